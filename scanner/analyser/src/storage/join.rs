//! Joins to a root what its `/etc/fstab` mounts.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::roots::Root;
use super::source::{self, Resolved};
use crate::chain;
use crate::fs::fstab::{Entry, Fstab, Role, Spec};
use crate::fs::{FileSystem, FsPath, Inode, Subvolume, Tree};
use crate::limits::Limits;
use crate::report::{Content, MountReport, StorageReport, TreeReport, Unmounted};

/// A tree of files with the report on it.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) report: TreeReport,
    pub(super) tree: Tree,
    /// Devices that it mounts only for the firmware, which starts the machine from them: the partition table does not
    /// always say so.
    pub(super) firmware: Vec<usize>,
}

/// Where systems mount what the firmware reads.
const FIRMWARE: [&str; 3] = ["/boot/efi", "/boot/firmware", "/efi"];

/// The filesystems of a target, open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open<'a> {
    pub(super) storage: &'a StorageReport,
    pub(super) filesystems: &'a [Rc<dyn FileSystem>],
    pub(super) limits: &'a Limits,
}

impl Open<'_> {
    /// A tree of one filesystem, or of a part of it.
    pub(super) fn alone(&self, root: &Root, is_system: bool) -> Option<Joined> {
        let file_system = self.filesystems.get(root.filesystem)?;
        let tree = Tree::with_root(Rc::clone(file_system), root.inode, self.limits.clone());
        let mount = MountReport {
            path: "/".to_owned(),
            filesystem: root.filesystem,
            part: root.part.clone(),
            assumed: None,
        };
        let report = TreeReport { is_system, mounts: vec![mount], ..TreeReport::default() };
        Some(Joined { report, tree, firmware: Vec::new() })
    }

    /// The tree of a system: its root, and all that its `/etc/fstab` mounts.
    pub(super) fn system(&self, root: &Root) -> Option<Joined> {
        let Joined { mut report, mut tree, mut firmware } = self.alone(root, true)?;
        if let (Some((part, inode)), Some(file_system)) = (&root.var, self.filesystems.get(root.filesystem))
            && tree.mount(&FsPath::new("/var"), Rc::clone(file_system), *inode).is_ok()
        {
            report.mounts.push(mounted("/var", root.filesystem, Some(part.clone()), None));
        }
        let mut fstab = Fstab::read(&tree);
        let spec = fstab.root().map(|entry| entry.spec.clone());
        let own = source::Root { device: self.storage.device_of(root.filesystem), spec: spec.as_ref() };
        let mut known =
            Known { storage: self.storage, own, resolved: HashMap::new(), subvolumes: HashMap::new() };
        if self.may_have_units(root, &fstab, &mut known) {
            fstab.add_units(&tree);
        }
        let mut unmounted: Vec<Unmounted> = fstab
            .problems
            .iter()
            .map(|problem| Unmounted {
                path: "/etc/fstab".to_owned(),
                source: String::new(),
                reason: problem.clone(),
                is_gap: true,
            })
            .collect();
        for entry in fstab.entries.iter().filter(|entry| is_relevant(entry)) {
            if let Some(device) = self.firmware(entry, &mut known) {
                firmware.push(device);
                continue;
            }
            match self.mount(&mut tree, entry, &mut known) {
                Ok(mount) => report.mounts.push(mount),
                Err(Obstacle { reason, is_gap }) => unmounted.push(Unmounted {
                    path: entry.mount_point.to_string(),
                    source: text(&entry.spec),
                    reason,
                    is_gap: is_gap && !entry.options.has("nofail") && !is_for_firmware(entry),
                }),
            }
        }
        let most = self.limits.unmounted;
        if let Some(more @ 1..) = unmounted.len().checked_sub(most) {
            let is_gap = unmounted.iter().skip(most).any(|entry| entry.is_gap);
            unmounted.truncate(most);
            let reason = format!("{more} more entries are not mounted");
            unmounted.push(Unmounted {
                path: "/etc/fstab".to_owned(),
                source: String::new(),
                reason,
                is_gap,
            });
        }
        report.unmounted = unmounted;
        Some(Joined { report, tree, firmware })
    }

    /// Whether systemd's units may mount something that the table does not: only if it leaves a filesystem of the target
    /// out, or mounts nothing at all. Where it mounts everything, the blocks of the units' directories are spared.
    fn may_have_units(&self, root: &Root, fstab: &Fstab, known: &mut Known<'_>) -> bool {
        let named = fstab.entries.iter().filter_map(|entry| match known.resolve(&entry.spec) {
            Resolved::Device(device) | Resolved::Assumed { device, .. } => {
                match self.storage.devices.get(device)?.content {
                    Content::Filesystem { filesystem } => Some(filesystem),
                    _ => None,
                }
            }
            Resolved::Nothing { .. } => None,
        });
        let named: BTreeSet<usize> = named.chain([root.filesystem]).collect();
        fstab.entries.is_empty() || named.len() < self.filesystems.len()
    }

    /// The device of an entry that only serves to start the machine.
    fn firmware(&self, entry: &Entry, known: &mut Known<'_>) -> Option<usize> {
        if !is_for_firmware(entry) {
            return None;
        }
        let Resolved::Device(device) = known.resolve(&entry.spec) else { return None };
        let is_fat = match &self.storage.devices.get(device)?.content {
            Content::Unread { format, .. } => format.as_deref() == Some("FAT"),
            Content::Irrelevant { what } => what == "firmware",
            _ => false,
        };
        is_fat.then_some(device)
    }

    fn mount(&self, tree: &mut Tree, entry: &Entry, known: &mut Known<'_>) -> Result<MountReport, Obstacle> {
        let Entry { spec, mount_point, options, .. } = entry;
        if options.has("noauto") && !options.has("x-systemd.automount") {
            return Err(Obstacle::note("it is mounted on demand only (noauto)"));
        }
        match entry.role() {
            Role::Disk => {}
            Role::Bind => return self.bind(tree, spec, mount_point),
            Role::Elsewhere => {
                return Err(Obstacle::note(format!("{}: its files are not on a disk", entry.kind)));
            }
            Role::Virtual => {
                return Err(Obstacle::note(format!("{}: it shows files from elsewhere", entry.kind)));
            }
        }
        if let Spec::Path(_) = spec {
            return Err(Obstacle::note("it is an image in a file, which is not read"));
        }
        let (device, assumed) = match known.resolve(spec) {
            Resolved::Device(device) => (device, None),
            Resolved::Assumed { device, reason } => (device, Some(reason)),
            Resolved::Nothing { reason } => return Err(Obstacle::gap(reason)),
        };
        let place = self.storage.place(device);
        let index = match self.storage.devices.get(device).map(|device| &device.content) {
            Some(Content::Filesystem { filesystem }) => *filesystem,
            // The device itself is among the unknowns.
            Some(Content::Unread { .. }) => return Err(Obstacle::note(format!("{place} was not read"))),
            Some(Content::Irrelevant { what }) => return Err(Obstacle::note(format!("{place}: {what}"))),
            Some(Content::Empty) => {
                return Err(Obstacle::note(format!("nothing was ever written to {place}")));
            }
            _ => return Err(Obstacle::gap(format!("{place} is no filesystem"))),
        };
        let file_system = self.filesystems.get(index).ok_or_else(|| Obstacle::gap("it is not open"))?;
        let (part, inode) = known.subvolume(index, &**file_system, entry)?;
        tree.mount(mount_point, Rc::clone(file_system), inode)
            .map_err(|error| Obstacle::gap(chain(&error)))?;
        Ok(mounted(&mount_point.to_string(), index, part, assumed))
    }

    /// Shows a directory of the tree in a second place.
    fn bind(&self, tree: &mut Tree, spec: &Spec, mount_point: &FsPath) -> Result<MountReport, Obstacle> {
        let Spec::Path(directory) = spec else { return Err(Obstacle::gap("it is no directory")) };
        let found = tree.lookup(directory).map_err(|error| Obstacle::gap(chain(&error)))?;
        let (node, _) = found.ok_or_else(|| Obstacle::gap("the directory does not exist"))?;
        let (file_system, inode) = tree.place(node);
        let file_system = Rc::clone(file_system);
        let index = self.filesystems.iter().position(|other| Rc::ptr_eq(other, &file_system));
        tree.mount(mount_point, file_system, inode).map_err(|error| Obstacle::gap(chain(&error)))?;
        let part = Some(directory.to_string());
        Ok(mounted(&mount_point.to_string(), index.unwrap_or(usize::MAX), part, None))
    }
}

/// What was found out for one `/etc/fstab`. Against one of a thousand lines that name the same, each of which would cost a
/// search of a thousand devices or subvolumes.
struct Known<'a> {
    storage: &'a StorageReport,
    own: source::Root<'a>,
    resolved: HashMap<Spec, Resolved>,
    /// By filesystem.
    subvolumes: HashMap<usize, Result<Vec<Subvolume>, String>>,
}

impl Known<'_> {
    fn resolve(&mut self, spec: &Spec) -> Resolved {
        let Self { storage, own, resolved, .. } = self;
        resolved.entry(spec.clone()).or_insert_with(|| source::resolve(storage, spec, *own)).clone()
    }

    /// The directory of a filesystem that an entry mounts: a subvolume that its options name, or the root.
    fn subvolume(
        &mut self,
        index: usize,
        file_system: &dyn FileSystem,
        entry: &Entry,
    ) -> Result<(Option<String>, Inode), Obstacle> {
        let (path, id) = (entry.options.subvolume(), entry.options.subvolume_id());
        if path.is_none() && id.is_none() {
            return Ok((None, file_system.root()));
        }
        let all = self
            .subvolumes
            .entry(index)
            .or_insert_with(|| file_system.subvolumes().map(|all| all.found).map_err(|error| chain(&error)))
            .as_ref()
            .map_err(Obstacle::gap)?;
        // Where both are given, the kernel wants them to name the same.
        let fits = |wanted: &Subvolume| match (path, id) {
            (Some(path), _) => wanted.path == path,
            (None, id) => id == Some(wanted.id),
        };
        let found = all.iter().find(|subvolume| fits(subvolume)).ok_or_else(|| {
            let name = path.map_or_else(
                || format!("with the number {}", id.unwrap_or_default()),
                |path| FsPath::new(path).to_string(),
            );
            Obstacle::gap(format!("the filesystem has no subvolume {name}"))
        })?;
        Ok((Some(FsPath::new(&found.path).to_string()), found.root))
    }
}

/// Why something is not mounted.
struct Obstacle {
    reason: String,
    is_gap: bool,
}

impl Obstacle {
    /// Packages may be missing.
    fn gap(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_gap: true }
    }

    /// None are, or another place says so.
    fn note(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_gap: false }
    }
}

/// A mount for the report.
pub(super) fn mounted(
    path: &str,
    filesystem: usize,
    part: Option<String>,
    assumed: Option<String>,
) -> MountReport {
    MountReport { path: path.to_owned(), filesystem, part, assumed }
}

/// Whether an entry mounts what the firmware reads.
fn is_for_firmware(entry: &Entry) -> bool {
    FIRMWARE.iter().any(|path| entry.mount_point == FsPath::new(path))
}

/// Whether an entry can bring files. The root is there already, and the kernel makes up what is below these directories. An
/// overlay has files of its own, in one of the directories that it shows.
fn is_relevant(entry: &Entry) -> bool {
    const GENERATED: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

    let point = &entry.mount_point;
    *point != FsPath::root()
        && (entry.role() != Role::Virtual || entry.kind == "overlay")
        && !GENERATED.iter().any(|directory| point.starts_with(&FsPath::new(directory)))
}

/// The first field of an entry, for people.
fn text(spec: &Spec) -> String {
    match spec {
        Spec::Uuid(uuid) => format!("UUID={uuid}"),
        Spec::Label(label) => format!("LABEL={label}"),
        Spec::PartUuid(uuid) => format!("PARTUUID={uuid}"),
        Spec::PartLabel(label) => format!("PARTLABEL={label}"),
        Spec::Id(id) => format!("/dev/disk/by-id/{id}"),
        Spec::Device(path) => format!("/dev{path}"),
        Spec::Path(path) => path.to_string(),
        Spec::Other(other) => other.to_string(),
    }
}
