//! Opens the filesystems of the devices, those on several devices once.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::devices::{Candidate, Device, head};
use crate::chain;
use crate::contain::contained;
use crate::fs::{self, Driver, FileSystem, FsError, Membership};
use crate::limits::Limits;
use crate::report::{Content, FilesystemReport, Journal};
use crate::volume::Volume;
use crate::volume::bytes::to_u64;

/// A filesystem and the report on it.
pub(super) type Opened = (FilesystemReport, Rc<dyn FileSystem>);

/// The devices that are one filesystem.
struct Group {
    driver: &'static dyn Driver,
    devices: Vec<usize>,
    /// How many there should be.
    members: u64,
}

/// Opens the filesystems, in the order of their first devices. What cannot be opened is said in the reports of its devices.
pub(super) fn open(devices: &mut [Device], candidates: &[Candidate], limits: &Limits) -> Vec<Opened> {
    let groups = group(devices, candidates);
    let limits_of_each = limits.shared_by(groups.len());
    let mut opened: Vec<Opened> = Vec::new();
    for Group { driver, devices: on, members } in groups {
        let result = if to_u64(opened.len()) < u64::from(limits.filesystems) {
            let volumes: Vec<Arc<dyn Volume>> =
                on.iter().filter_map(|&device| devices.get(device)?.volume.clone()).collect();
            match contained(|| driver.open(&volumes, &limits_of_each)) {
                Ok(result) => result.map_err(|error| chain(&error)),
                Err(error) => Err(chain(&error)),
            }
        } else {
            let limit = u64::from(limits.filesystems);
            Err(chain(&FsError::Limit {
                what: "the number of filesystems of one target (`filesystems`)",
                limit,
            }))
        };
        match result {
            Ok(file_system) => {
                let index = opened.len();
                opened.push(describe(devices, on, members, index, file_system));
            }
            Err(error) => {
                let reason = format!("{}: {error}", driver.name());
                let present = to_u64(on.len());
                let reason = if present < members {
                    format!("{reason} ({present} of its {members} devices are among those of the target)")
                } else {
                    reason
                };
                for device in on {
                    let format = Some(driver.name().to_owned());
                    set_content(devices, device, Content::Unread { format, reason: reason.clone() });
                }
            }
        }
    }
    opened
}

/// What was done about a filesystem's journal, for the report. Final when the filesystem has been used.
pub(super) fn journal_of(file_system: &dyn FileSystem) -> Journal {
    match file_system.journal() {
        fs::Journal::Clean => Journal::Clean,
        fs::Journal::Replayed { transactions } => Journal::Replayed { transactions },
        fs::Journal::Partial { transactions, reason } => {
            Journal::Partial { transactions, reason: reason.to_owned() }
        }
        fs::Journal::Ignored { reason } => Journal::Ignored { reason: reason.to_owned() },
    }
}

fn describe(
    devices: &mut [Device],
    on: Vec<usize>,
    members: u64,
    index: usize,
    file_system: Box<dyn FileSystem>,
) -> Opened {
    let fs::Identity { uuid, label, size, block_size, features } = file_system.identity();
    let label =
        label.map(|label| String::from_utf8_lossy(&label).into_owned()).filter(|label| !label.is_empty());
    for &device in &on {
        set_content(devices, device, Content::Filesystem { filesystem: index });
        if let Some(device) = devices.get_mut(device) {
            device.report.uuid.clone_from(&uuid);
            device.report.label.clone_from(&label);
        }
    }
    if let Some(first) = on.first().and_then(|&first| devices.get_mut(first)) {
        first.report.problems.extend(file_system.problems());
    }
    let present = to_u64(on.len());
    if present < members
        && let Some(first) = on.first().and_then(|&first| devices.get_mut(first))
    {
        first.report.problems.push(format!(
            "{present} of the filesystem's {members} devices are among those of the target: what is on the others \
             cannot be read"
        ));
    }
    let report = FilesystemReport {
        format: file_system.kind().to_owned(),
        devices: on,
        journal: journal_of(&*file_system),
        size,
        block_size,
        features,
    };
    (report, Rc::from(file_system))
}

/// Finds out which devices are one filesystem. Of two devices with the same place in it, as where a disk was copied, the
/// second is said not to be read.
fn group(devices: &mut [Device], candidates: &[Candidate]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: BTreeMap<(&'static str, [u8; 16]), usize> = BTreeMap::new();
    let mut places = BTreeSet::new();
    for &Candidate { device, driver, .. } in candidates {
        let volume = devices.get(device).and_then(|device| device.volume.as_ref());
        let head = volume.and_then(|volume| head(&**volume).ok()).unwrap_or_default();
        let Some(Membership { filesystem, member, members }) =
            driver.membership(&head).filter(|membership| membership.members > 1)
        else {
            groups.push(Group { driver, devices: vec![device], members: 1 });
            continue;
        };
        if !places.insert((driver.name(), filesystem, member)) {
            let reason = format!("{}: it is a copy of another device of the same filesystem", driver.name());
            let format = Some(driver.name().to_owned());
            set_content(devices, device, Content::Unread { format, reason });
            continue;
        }
        let next = groups.len();
        let index = *known.entry((driver.name(), filesystem)).or_insert(next);
        match groups.get_mut(index) {
            Some(group) => {
                group.devices.push(device);
                group.members = group.members.max(members);
            }
            None => groups.push(Group { driver, devices: vec![device], members }),
        }
    }
    groups
}

fn set_content(devices: &mut [Device], device: usize, content: Content) {
    if let Some(device) = devices.get_mut(device) {
        device.report.content = content;
    }
}
