//! The archives of a function.

use std::rc::Rc;

use super::{Archive, DiskState, Place, Storage, filesystems, join, roots};
use crate::chain;
use crate::contain::contained;
use crate::fs::unpacked::{self, Unpacked};
use crate::fs::{FileSystem, FsError, Tree};
use crate::limits::Limits;
use crate::report::{
    Content, DeviceKind, DeviceReport, FilesystemReport, StorageReport, TreeReport, VolumeReport, VolumeState,
};

impl Storage {
    /// As if each archive were a disk with a filesystem, all of them in one tree.
    pub(super) fn of_function(archives: &[Archive], limits: &Limits) -> Self {
        let mut report = StorageReport::default();
        let mut unpacked = Unpacked::new(limits);
        // Which filesystem each archive that was added is, and where it is unpacked.
        let (mut added, mut places) = (Vec::new(), Vec::new());
        for (index, archive) in archives.iter().enumerate() {
            let (size, state) = match &archive.state {
                DiskState::Open(volume) => (Some(volume.size()), VolumeState::Read),
                DiskState::Empty { size } => (Some(*size), VolumeState::Empty),
                DiskState::Unread { reason } => (None, VolumeState::Unread { reason: reason.clone() }),
            };
            report.volumes.push(VolumeReport { id: archive.id.clone(), device: None, size, state });
            let DiskState::Open(volume) = &archive.state else { continue };
            let read = contained(|| unpacked.add(archive.place, archive.format, volume.clone()));
            let read = match read {
                Ok(read) => read.map_err(|error: FsError| chain(&error)),
                Err(error) => Err(chain(&error)),
            };
            let format = unpacked::kind(archive.format).to_owned();
            let (content, problems) = match read {
                Ok(problems) => {
                    let filesystem = report.filesystems.len();
                    report.filesystems.push(FilesystemReport {
                        format,
                        devices: vec![report.devices.len()],
                        journal: filesystems::journal_of(&unpacked),
                        size: None,
                        block_size: None,
                        features: Vec::new(),
                    });
                    added.push(Some(filesystem));
                    places.push((filesystem, archive.place));
                    (Content::Filesystem { filesystem }, problems)
                }
                Err(reason) => {
                    added.push(None);
                    (Content::Unread { format: Some(format), reason }, Vec::new())
                }
            };
            report.devices.push(DeviceReport {
                name: archive.id.clone(),
                kind: DeviceKind::Disk { volume: index },
                below: Vec::new(),
                size,
                uuid: None,
                label: None,
                content,
                problems,
                notes: Vec::new(),
            });
        }
        let unpacked = Rc::new(unpacked);
        let shown: Rc<dyn FileSystem> = Rc::<Unpacked>::clone(&unpacked);
        let filesystems = places.iter().map(|_| Rc::clone(&shown)).collect();
        let mut trees = Vec::new();
        // The upper layer of an image is its root, as that of a container is; of a zip function the code comes first.
        let root = match places.first() {
            Some((_, Place::Root)) => places.last(),
            first => first,
        };
        if let Some(&(root, _)) = root {
            let tree = Tree::new(shown, limits.clone());
            let others = places.iter().filter(|(filesystem, _)| *filesystem != root);
            let others = others.map(|&(filesystem, place)| {
                let path = if place == Place::Opt { "/opt" } else { "/" };
                join::mounted(path, filesystem, None, None)
            });
            let mounts = std::iter::once(join::mounted("/", root, None, None)).chain(others).collect();
            let is_system = contained(|| roots::has_release(&tree)).unwrap_or_default();
            report.trees.push(TreeReport { is_system, mounts, ..TreeReport::default() });
            trees.push(tree);
        }
        Self { report, trees, filesystems, function: Some((unpacked, added)) }
    }
}
