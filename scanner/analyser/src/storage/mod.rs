//! From the disks of one machine to its systems.
//!
//! A machine's storage spans its volumes: partitions, volume groups, arrays, filesystems of several devices, and an
//! `/etc/fstab` that mounts one of them into another. [`Storage::open`] takes all disks of a target at once, finds the
//! devices, opens the filesystems, and joins them to the trees that the systems on them would see.
//!
//! Pure as the parsers below it: no credentials, no network, no clock. It never fails; what could not be read is in the
//! report.

mod devices;
mod filesystems;
mod function;
mod identity;
mod join;
mod members;
mod roots;
mod source;
#[cfg(test)]
pub(crate) mod test_image;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

pub use agentless_core::source::{Archive, ArchiveFormat, Disk, DiskState, Place, Source};

use self::devices::Devices;
use self::join::{Joined, Open};
use self::roots::Root;
use crate::chain;
use crate::contain::contained;
use crate::fs::unpacked::Unpacked;
use crate::fs::{FileSystem, FsPath, Node, Tree};
use crate::limits::Limits;
use crate::report::{
    Content, DeviceKind, DeviceReport, FilesystemReport, StorageReport, TreeReport, VolumeReport, VolumeState,
};
use crate::volume::bytes::to_usize;

/// The disks of a target, with their filesystems open and joined.
pub struct Storage {
    /// What was recognised. The trees stand in the order of [`trees`](Self::trees); nothing was looked for in them yet.
    pub report: StorageReport,
    trees: Vec<Tree>,
    filesystems: Vec<Rc<dyn FileSystem>>,
    /// The one tree of a function, and the filesystem of each of its archives.
    function: Option<(Rc<Unpacked>, Vec<Option<usize>>)>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Storage {
    /// Reads what the disks of the target `id` are made of, or its directory. Blocks while it reads.
    pub fn open(id: &str, source: Source<'_>, limits: &Limits) -> Self {
        match source {
            Source::Disks(disks) => Self::of_disks(disks, limits),
            Source::Directory(directory) => Self::of_directory(id, directory, limits),
            Source::Function(archives) => Self::of_function(archives, limits),
        }
    }

    fn of_disks(disks: &[Disk], limits: &Limits) -> Self {
        let (volumes, devices) = Devices::find(disks, limits);
        let Devices { list: mut devices, candidates, .. } = devices;
        let opened = filesystems::open(&mut devices, &candidates, limits);
        let (reports, filesystems): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let report = StorageReport {
            volumes,
            devices: devices.into_iter().map(|device| device.report).collect(),
            filesystems: reports,
            trees: Vec::new(),
        };
        let mut storage = Self { report, trees: Vec::new(), filesystems, function: None };
        storage.find_systems(limits);
        storage
    }

    /// As if the directory were a filesystem on a disk.
    fn of_directory(id: &str, directory: Box<dyn FileSystem>, limits: &Limits) -> Self {
        let device = DeviceReport {
            name: id.to_owned(),
            kind: DeviceKind::Directory,
            below: Vec::new(),
            size: None,
            uuid: None,
            label: None,
            content: Content::Filesystem { filesystem: 0 },
            problems: Vec::new(),
            notes: Vec::new(),
        };
        let filesystem = FilesystemReport {
            format: directory.kind().to_owned(),
            devices: vec![0],
            journal: filesystems::journal_of(&*directory),
            size: None,
            block_size: None,
            features: Vec::new(),
        };
        let volume = VolumeReport { id: id.to_owned(), device: None, size: None, state: VolumeState::Read };
        let directory: Rc<dyn FileSystem> = Rc::from(directory);
        let tree = Tree::new(Rc::clone(&directory), limits.clone());
        // What is mounted in it, the kernel shows.
        let report = TreeReport {
            is_system: contained(|| roots::has_release(&tree)).unwrap_or_default(),
            mounts: vec![join::mounted("/", 0, None, None)],
            ..TreeReport::default()
        };
        Self {
            report: StorageReport {
                volumes: vec![volume],
                devices: vec![device],
                filesystems: vec![filesystem],
                trees: vec![report],
            },
            trees: vec![tree],
            filesystems: vec![directory],
            function: None,
        }
    }

    /// The trees, each with the report on it: the systems, then each filesystem that is part of none.
    pub fn trees(&self) -> impl Iterator<Item = (&TreeReport, &Tree)> {
        self.report.trees.iter().zip(&self.trees)
    }

    /// The tree of one filesystem by itself, by its index.
    pub fn filesystem(&self, index: usize, limits: &Limits) -> Option<Tree> {
        Some(Tree::new(Rc::clone(self.filesystems.get(index)?), limits.clone()))
    }

    /// The index of a filesystem.
    pub fn filesystem_of(&self, file_system: &Rc<dyn FileSystem>) -> Option<usize> {
        self.filesystems.iter().position(|other| Rc::ptr_eq(other, file_system))
    }

    /// The index of the filesystem that holds a file of a tree: of a function's, that of its archive.
    pub fn holder(&self, tree: &Tree, node: Node) -> Option<usize> {
        let (file_system, inode) = tree.place(node);
        match &self.function {
            Some((unpacked, filesystems)) => filesystems.get(unpacked.archive_of(inode)?).copied().flatten(),
            None => self.filesystem_of(file_system),
        }
    }

    /// Closes the filesystems, and says what was done about their journals: that is final only now.
    pub fn close(mut self) -> StorageReport {
        for (report, file_system) in self.report.filesystems.iter_mut().zip(&self.filesystems) {
            report.journal = filesystems::journal_of(&**file_system);
        }
        self.report
    }

    fn find_systems(&mut self, limits: &Limits) {
        let mut roots = Vec::new();
        for (index, file_system) in self.filesystems.iter().enumerate() {
            let (found, problems) = contained(|| roots::find(index, file_system, limits))
                .unwrap_or_else(|error| (Vec::new(), vec![chain(&error)]));
            roots.extend(found);
            let device = self.report.device_of(index);
            if let Some(device) = self.report.devices.get_mut(device) {
                device.problems.extend(problems);
            }
        }
        // The system on the first volume first, also where the volumes of a group lie behind all partitions.
        roots.sort_by_key(|root: &Root| self.report.first_volume(self.report.device_of(root.filesystem)));

        if let Some(left_out) = roots.get(to_usize(limits.systems)).map(|root| root.filesystem) {
            let device = self.report.device_of(left_out);
            if let Some(device) = self.report.devices.get_mut(device) {
                let limit = limits.systems;
                device.problems.push(format!(
                    "the target has more than {limit} systems, which is the limit (`systems`)"
                ));
            }
            roots.truncate(to_usize(limits.systems));
        }

        let open = Open { storage: &self.report, filesystems: &self.filesystems, limits };
        let mut joined: Vec<Joined> = Vec::new();
        let mut problems = Vec::new();
        for root in &roots {
            match contained(|| open.system(root)) {
                Ok(system) => joined.extend(system),
                Err(error) => {
                    problems.push((self.report.device_of(root.filesystem), chain(&error)));
                    joined.extend(open.alone(root, true));
                }
            }
        }
        let added = contained(|| add_usr(&open, &roots, &mut joined));
        problems.extend(added.unwrap_or_else(|error| vec![(0, chain(&error))]));
        let used: BTreeSet<usize> = joined
            .iter()
            .flat_map(|joined| joined.report.mounts.iter().map(|mount| mount.filesystem))
            .collect();
        for (filesystem, file_system) in self.filesystems.iter().enumerate() {
            if !used.contains(&filesystem) {
                let root = Root { filesystem, inode: file_system.root(), part: None, var: None };
                joined.extend(open.alone(&root, false));
            }
        }
        let mut firmware = Vec::new();
        for joined in joined {
            self.report.trees.push(joined.report);
            self.trees.push(joined.tree);
            firmware.extend(joined.firmware);
        }
        for (device, problem) in problems {
            if let Some(device) = self.report.devices.get_mut(device) {
                device.problems.push(problem);
            }
        }
        for device in firmware {
            if let Some(device) = self.report.devices.get_mut(device) {
                device.content = Content::Irrelevant { what: "firmware".to_owned() };
            }
        }
    }
}

/// Systems made as images have a root that is nearly empty, and a `/usr` each for this version and the last one. No
/// `/etc/fstab` says so. Each of them with the root is a system; returns what is wrong by device.
fn add_usr(open: &Open<'_>, roots: &[Root], joined: &mut Vec<Joined>) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    let is_root = |filesystem| roots.iter().any(|root| root.filesystem == filesystem);
    let alone: Vec<(Root, Tree)> = open
        .filesystems
        .iter()
        .enumerate()
        .filter(|(filesystem, _)| {
            let is_joined = joined.iter().any(|joined| {
                joined.report.mounts.iter().skip(1).any(|mount| mount.filesystem == *filesystem)
            });
            !is_joined
        })
        .filter_map(|(filesystem, file_system)| {
            let root = Root { filesystem, inode: file_system.root(), part: None, var: None };
            let tree = open.alone(&root, false)?.tree;
            Some((root, tree))
        })
        .collect();
    let usr: Vec<&Root> = alone
        .iter()
        .filter(|(root, tree)| !is_root(root.filesystem) && roots::is_usr(tree))
        .map(|(root, _)| root)
        .collect();
    if usr.is_empty() {
        return problems;
    }
    let wanting: Vec<&Root> =
        alone.iter().filter(|(_, tree)| roots::wants_usr(tree)).map(|(root, _)| root).collect();
    let &[root] = wanting.as_slice() else {
        for usr in usr {
            let problem =
                "this is the /usr of a system, and which root belongs to it cannot be told".to_owned();
            problems.push((open.storage.device_of(usr.filesystem), problem));
        }
        return problems;
    };
    joined.retain(|joined| joined.report.root() != root.filesystem);
    for usr in usr {
        let Some(Joined { mut report, mut tree, firmware }) = open.system(root) else { continue };
        let Some(file_system) = open.filesystems.get(usr.filesystem) else { continue };
        if tree.mount(&FsPath::new("/usr"), Rc::clone(file_system), usr.inode).is_ok() {
            let reason = "nothing says which /usr belongs to this root, and no other root can be meant";
            report.mounts.push(join::mounted("/usr", usr.filesystem, None, Some(reason.to_owned())));
            joined.push(Joined { report, tree, firmware });
        }
    }
    problems
}
