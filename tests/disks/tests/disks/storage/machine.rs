//! The files of a machine, by the kernel and by us.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agentless_analyser::fs::{FileType, FsPath, Tree};
use agentless_analyser::limits::Limits;
use agentless_analyser::report::StorageReport;
use agentless_analyser::storage::{Disk, DiskState, Source, Storage};
use agentless_core::volume::FileVolume;

use agentless_disk_tests::image::{Workspace, run, unmount};

/// Directories with nothing, and files with their bytes, by path.
pub(super) type Files = BTreeMap<String, Option<Vec<u8>>>;

/// A directory on which the kernel mounts several filesystems, as a machine would.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts images with their options, each at its path, in this order.
    pub(super) fn new(workspace: &Workspace, mounts: &[(&str, &Path, &str)]) -> Self {
        let mounted = Self(workspace.path("machine"));
        fs::create_dir(&mounted.0).unwrap();
        for (path, image, options) in mounts {
            let point = mounted.0.join(path.trim_start_matches('/'));
            run(Command::new("mount").arg("-o").arg(format!("loop,ro{options}")).arg(image).arg(point));
        }
        mounted
    }

    /// What is seen there.
    pub(super) fn files(&self) -> Files {
        let mut files = Files::new();
        let mut waiting = vec![self.0.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("/{}", path.strip_prefix(&self.0).unwrap().display());
                if path.is_dir() {
                    files.insert(name, None);
                    waiting.push(path);
                } else {
                    files.insert(name, Some(fs::read(path).unwrap()));
                }
            }
        }
        files
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, &["--recursive"]);
    }
}

/// What we make of these disks.
pub(super) fn open(disks: &[PathBuf]) -> Storage {
    let disks: Vec<_> = disks
        .iter()
        .map(|path| Disk {
            id: path.file_name().unwrap().to_string_lossy().into_owned(),
            device: None,
            state: DiskState::Open(Arc::new(FileVolume::open(path).unwrap())),
        })
        .collect();
    Storage::open("machine", Source::Disks(&disks), &Limits::default())
}

/// What we see in the tree with this number.
pub(super) fn files(storage: &Storage, tree: usize) -> Files {
    fn visit(tree: &Tree, directory: &FsPath, files: &mut Files) {
        for entry in tree.read_dir(directory).unwrap().unwrap() {
            let path = directory.join(&entry.name);
            let stat = tree.stat(entry.node).unwrap();
            if stat.file_type == FileType::Directory {
                files.insert(path.to_string(), None);
                visit(tree, &path, files);
            } else {
                let content = tree.open_node(entry.node, &stat).unwrap().read_all().unwrap();
                files.insert(path.to_string(), Some(content));
            }
        }
    }
    let (_, tree) = storage.trees().nth(tree).unwrap();
    let mut files = Files::new();
    visit(tree, &FsPath::root(), &mut files);
    files
}

/// `path = place` of what is mounted in the tree with this number.
pub(super) fn mounts(report: &StorageReport, tree: usize) -> Vec<String> {
    let mounts = report.trees[tree].mounts.iter();
    mounts
        .map(|mount| {
            let part = mount.part.as_ref().map(|part| format!(" {part}")).unwrap_or_default();
            format!("{} = {}{part}", mount.path, report.place_of(mount.filesystem))
        })
        .collect()
}

/// What could not be read.
pub(super) fn unknowns(report: &StorageReport) -> Vec<String> {
    let unknowns = report.unknowns();
    unknowns.iter().map(|unknown| format!("{}: {}", unknown.text(), unknown.reason)).collect()
}

/// A directory with these files, for `mkfs -d`. A path that ends with `/` is a directory.
pub(super) fn directory(workspace: &Workspace, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = workspace.path(name);
    for (path, content) in files {
        let at = directory.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(at).unwrap();
        } else {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, content).unwrap();
        }
    }
    directory
}
