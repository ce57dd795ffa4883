//! `cargo compare-disk disk.img`: what the scanner shows of a disk, against what the kernel shows of it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to whoever runs it")]

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use agentless_analyser::chain;
use agentless_analyser::fs::{self, FileSystem, Journal, Recognised, Tree};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::lvm::{self, PhysicalVolume};
use agentless_analyser::volume::{Volume, partition};
use agentless_core::volume::FileVolume;
use agentless_disk_tests::image::{Detached, Mount};
use agentless_disk_tests::{manifest, truncations};
use clap::Parser;
use tempfile::TempDir;

/// Compares what the scanner shows of a disk with what the kernel shows: every path, type, mode, size, owner, time, link
/// target, extended attribute and content.
///
/// Nothing is written to the disk. A filesystem that was unmounted is mounted read-only; of one that was in use, a
/// temporary copy is mounted, because the kernel writes when it recovers a journal.
///
/// Ends with 0 if everything is equal, with 1 if something differs, and with 2 if something could not be compared.
#[derive(Debug, Parser)]
#[command(name = "cargo compare-disk")]
struct Arguments {
    /// Image files or block devices: those that belong together, for volume groups of several disks.
    #[arg(required = true)]
    disks: Vec<PathBuf>,
    /// Compare only the partition with this number.
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u32>,
    /// Where temporary copies go: as large as what the filesystem has in use.
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = std::env::temp_dir())]
    copies: PathBuf,
    /// How many differences to print of each filesystem.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    most: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !rustix::process::geteuid().is_root() {
        eprintln!("Mounting needs root: run `sudo $(which cargo) compare-disk …`.");
        return ExitCode::from(2);
    }
    let devices = match find(&arguments) {
        Ok(devices) => devices,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let (mut compared, mut differ, mut failed) = (0, 0, 0);
    for device in devices {
        match device.compare(&arguments) {
            Ok(Outcome::Nothing(what)) => println!("{device}: {what}"),
            Ok(Outcome::Compared { how, entries, differences }) => {
                compared += 1;
                if differences.is_empty() {
                    println!("{device}: {how}, {entries} entries, all equal");
                } else {
                    differ += 1;
                    println!("{device}: {how}, {entries} entries, not all equal\n{differences}");
                }
            }
            Err(problem) => {
                failed += 1;
                println!("{device}: could not be compared: {problem}");
            }
        }
    }
    println!("filesystems: {compared} compared, {differ} of them differ, {failed} could not be compared");
    if differ > 0 {
        ExitCode::from(1)
    } else if failed > 0 || compared == 0 {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}

/// Something that may hold a filesystem.
struct Device {
    name: String,
    volume: Arc<dyn Volume>,
    /// The file that it is a part of, if that is all there is to it.
    part: Option<(PathBuf, Range<u64>)>,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The partitions of the disks, and the logical volumes on them.
fn find(arguments: &Arguments) -> Result<Vec<Device>, String> {
    let limits = Limits::default();
    let mut devices = Vec::new();
    for path in &arguments.disks {
        let in_words = |error: &dyn std::error::Error| format!("{}: {}", path.display(), chain(error));
        refuse_mounted(path)?;
        let disk: Arc<dyn Volume> = Arc::new(FileVolume::open(path).map_err(|error| in_words(&error))?);
        let table = partition::read(&disk, &limits).map_err(|error| in_words(&error))?;
        for problem in &table.problems {
            println!("{}: {problem}", path.display());
        }
        for found in table.partitions {
            if arguments.partition.is_some_and(|wanted| wanted != found.number) {
                continue;
            }
            let name = match found.number {
                0 => path.display().to_string(),
                number => format!("{} partition {number}", path.display()),
            };
            let volume = found.open(&disk).map_err(|error| in_words(&error))?;
            let end = found.offset.saturating_add(found.size);
            let part = Some((path.clone(), found.offset..end));
            devices.push(Device { name, volume: Arc::new(volume), part });
        }
    }
    if devices.is_empty() {
        return Err("there is no such partition".to_owned());
    }
    let mut members = Vec::new();
    for device in &devices {
        match PhysicalVolume::read(&device.volume, &limits) {
            Ok(Some(member)) => members.push((member, Arc::clone(&device.volume))),
            Ok(None) => {}
            Err(error) => println!("{device}: {}", chain(&error)),
        }
    }
    for group in lvm::assemble(members, &limits) {
        for problem in &group.problems {
            println!("volume group {}: {problem}", group.name);
        }
        for logical in group.logical_volumes.into_iter().filter(|logical| logical.visible) {
            let name = format!("logical volume {}/{}", group.name, logical.name);
            match logical.volume {
                Ok(volume) => devices.push(Device { name, volume, part: None }),
                Err(reason) => println!("{name}: {reason}"),
            }
        }
    }
    Ok(devices)
}

/// A mounted device changes while it is compared.
fn refuse_mounted(path: &Path) -> Result<(), String> {
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let name = real.display().to_string();
    let mut sources = mounts.lines().filter_map(|mount| mount.split(' ').next());
    match sources.find(|source| name.starts_with("/dev/") && source.starts_with(&name)) {
        Some(source) => {
            Err(format!("{source} is mounted, and would change meanwhile: compare a snapshot of it"))
        }
        None => Ok(()),
    }
}

/// What came of one device.
enum Outcome {
    /// It has no filesystem that the scanner reads.
    Nothing(String),
    Compared {
        how: String,
        entries: usize,
        /// The first differences as text.
        differences: String,
    },
}

impl Device {
    fn compare(&self, arguments: &Arguments) -> Result<Outcome, String> {
        let limits = Limits::default();
        let open = || -> Result<Box<dyn FileSystem>, String> {
            fs::open(Arc::clone(&self.volume), &limits).map_err(|error| chain(&error))
        };
        match fs::probe(&*self.volume).map_err(|error| chain(&error))? {
            Recognised::Driver(_) => {}
            Recognised::Other { name, .. } => {
                return Ok(Outcome::Nothing(format!("{name}, which is not compared")));
            }
            _ => return Ok(Outcome::Nothing("nothing that is known".to_owned())),
        }
        let opened = open()?;
        let (kind, journal) = (opened.kind(), opened.journal());
        let (mount, copied) = self.mount(kind, journal, &arguments.copies)?;
        let mut kernel = manifest::of_kernel_without_recovery(mount.path());
        let ours = manifest::of_tree(&whole_tree(opened, &limits)?);
        let mut how = match (copied, journal) {
            (false, _) => kind.to_owned(),
            (true, Journal::Clean) => format!("{kind}, from a temporary copy"),
            (true, journal) => {
                format!("{kind}, recovered by the kernel in a temporary copy, by us: {journal:?}")
            }
        };
        let is_ext = matches!(kind, "ext3" | "ext4");
        if copied && is_ext && !manifest::differences(&kernel, &ours).is_empty() {
            // It takes a second copy, so only where there is something to explain.
            let copy = self.copy(&arguments.copies)?;
            how = match truncations::take_times_of_disk(&mut kernel, mount.path(), &copy.path(), None) {
                Ok(0) => how,
                Ok(cut) => format!("{how}, with the disk's times of {cut} entries that were being cut"),
                Err(problem) => format!("{how}; which files were being cut is not known ({problem})"),
            };
        }
        let differences = manifest::differences(&kernel, &ours);
        let differences = manifest::describe(&differences, arguments.most);
        Ok(Outcome::Compared { how, entries: kernel.len(), differences })
    }

    /// Mounts it, and says whether that took a copy.
    fn mount(&self, kind: &str, journal: Journal, copies: &Path) -> Result<(Detached, bool), String> {
        let options = match kind {
            // Another filesystem with its UUID may be mounted: the one that the disk is a snapshot of.
            "xfs" => ",nouuid",
            // All subvolumes.
            "btrfs" => ",subvolid=5",
            _ => "",
        };
        let points = TempDir::new().map_err(|error| error.to_string())?;
        let link = points.path().join("disk");
        if let (Some((path, part)), Journal::Clean) = (&self.part, journal) {
            // The mount point is named after the image, which may be where nothing can be written.
            let target = path.canonicalize().map_err(|error| error.to_string())?;
            std::os::unix::fs::symlink(target, &link).map_err(|error| error.to_string())?;
            if let Ok(mount) = Mount::attempt(&link, Some(part), &format!("ro{options}")) {
                return Ok((mount.detach(), false));
            }
        }
        let copy = self.copy(copies)?;
        let mount = Mount::attempt(&copy.path(), None, &format!("rw{options}"));
        let mount = mount.map_err(|problem| format!("the kernel does not mount it: {problem}"))?;
        // What is mounted keeps the file that has no name any more.
        Ok((mount.detach(), true))
    }

    /// A copy that leaves out what is zero.
    fn copy(&self, folder: &Path) -> Result<Copy, String> {
        const PIECE: usize = 1 << 20;

        let failed = |error: std::io::Error| {
            format!("could not copy it to {} ({error}): --copies names another place", folder.display())
        };
        let copy = Copy(tempfile::tempdir_in(folder).map_err(failed)?);
        let file = File::create(copy.path()).map_err(failed)?;
        let size = self.volume.size();
        file.set_len(size).map_err(failed)?;
        let (mut piece, zeros) = (Vec::new(), vec![0; PIECE]);
        for start in (0..size).step_by(PIECE) {
            let length = usize::try_from(size - start).map_or(PIECE, |left| left.min(PIECE));
            piece.resize(length, 0);
            self.volume.read_at(start, &mut piece).map_err(|error| chain(&error))?;
            if !zeros.starts_with(&piece) {
                file.write_all_at(&piece, start).map_err(failed)?;
            }
        }
        Ok(copy)
    }
}

/// All subvolumes, where the filesystem has them: from the top level, which holds the others.
fn whole_tree(file_system: Box<dyn FileSystem>, limits: &Limits) -> Result<Tree, String> {
    let subvolumes = file_system.subvolumes().map_err(|error| chain(&error))?;
    if let Some((id, error)) = subvolumes.problems.first() {
        return Err(format!("the subvolume {id}: {}", chain(error)));
    }
    let top = subvolumes.found.iter().find(|subvolume| subvolume.path.is_empty());
    let root = top.map_or_else(|| file_system.root(), |subvolume| subvolume.root);
    Ok(Tree::with_root(Rc::from(file_system), root, limits.clone()))
}

/// A temporary copy of a filesystem.
struct Copy(TempDir);

impl Copy {
    fn path(&self) -> PathBuf {
        self.0.path().join("copy")
    }
}
