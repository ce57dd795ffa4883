//! The archives of a function.

use super::{Archive, DiskState, Storage};
use crate::report::{Content, DeviceKind, DeviceReport, StorageReport, VolumeReport, VolumeState};

impl Storage {
    /// As if each archive were a disk, and what is in it a filesystem.
    pub(super) fn of_function(archives: &[Archive]) -> Self {
        let mut report = StorageReport::default();
        for (index, archive) in archives.iter().enumerate() {
            let (size, state) = match &archive.state {
                DiskState::Open(volume) => (Some(volume.size()), VolumeState::Read),
                DiskState::Empty { size } => (Some(*size), VolumeState::Empty),
                DiskState::Unread { reason } => (None, VolumeState::Unread { reason: reason.clone() }),
            };
            if state == VolumeState::Read {
                let reason = "this version does not read it".to_owned();
                report.devices.push(DeviceReport {
                    name: archive.id.clone(),
                    kind: DeviceKind::Disk { volume: index },
                    below: Vec::new(),
                    size,
                    uuid: None,
                    label: None,
                    content: Content::Unread { format: None, reason },
                    problems: Vec::new(),
                    notes: Vec::new(),
                });
            }
            report.volumes.push(VolumeReport { id: archive.id.clone(), device: None, size, state });
        }
        Self { report, trees: Vec::new(), filesystems: Vec::new() }
    }
}
