//! What could not be read, of all that is in a report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Content, Journal, StorageReport, TreeReport, Unmounted, VolumeState};
use crate::findings::Gap;

/// Something that could not be read, with everything needed to find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unknown {
    /// The device or directory, and the volumes under it where its name does not say them.
    pub place: String,
    /// The volumes or the directory that it is on.
    pub volumes: Vec<String>,
    /// The file or directory in it.
    pub path: Option<String>,
    /// The extractor that wanted it.
    pub extractor: Option<String>,
    /// Why it could not be read.
    pub reason: String,
}

impl Unknown {
    /// Where it is, for people.
    pub fn text(&self) -> String {
        let path = self.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
        format!("{}{path}", self.place)
    }
}

impl StorageReport {
    /// Everything that could not be read.
    pub fn unknowns(&self) -> Vec<Unknown> {
        let mut places = Places::new(self);
        let mut unknowns = self.below(&mut places);
        for tree in &self.trees {
            unknowns.extend(tree.unknowns(&mut places));
        }
        unknowns
    }

    /// Volumes, devices and filesystems that could not be read: what is missing may be part of any tree.
    pub fn unknowns_of_storage(&self) -> Vec<Unknown> {
        self.below(&mut Places::new(self))
    }

    /// What could not be read in one of the trees.
    pub fn unknowns_of(&self, tree: &TreeReport) -> Vec<Unknown> {
        tree.unknowns(&mut Places::new(self))
    }

    fn below(&self, places: &mut Places<'_>) -> Vec<Unknown> {
        let mut unknowns = Vec::new();
        for volume in &self.volumes {
            if let VolumeState::Unread { reason } = &volume.state {
                let (place, volumes) = (volume.id.clone(), vec![volume.id.clone()]);
                unknowns.push(Unknown {
                    place,
                    volumes,
                    path: None,
                    extractor: None,
                    reason: reason.clone(),
                });
            }
        }
        for (index, device) in self.devices.iter().enumerate() {
            unknowns.extend(device.problems.iter().map(|reason| places.unknown(index, reason)));
            if let Content::Unread { reason, .. } = &device.content {
                unknowns.push(places.unknown(index, reason));
            }
        }
        for filesystem in &self.filesystems {
            let (what, reason) = match &filesystem.journal {
                Journal::Clean | Journal::Replayed { .. } => continue,
                Journal::Partial { reason, .. } => ("replayed only in part", reason),
                Journal::Ignored { reason } => ("not replayed", reason),
            };
            let reason = format!("the journal was {what}, so older contents may show: {reason}");
            unknowns.push(places.unknown(filesystem.first_device(), &reason));
        }
        unknowns
    }
}

impl TreeReport {
    fn unknowns(&self, places: &mut Places<'_>) -> Vec<Unknown> {
        let mut unknowns = Vec::new();
        let mut add = |filesystem, unknown: Unknown| {
            let below = places.unknown(places.report.device_of(filesystem), &unknown.reason);
            // Its paths are those of the container, which are others on the device.
            let place = match &self.container {
                Some(container) => format!("{} on {}", container.title(), below.place),
                None => below.place,
            };
            unknowns.push(Unknown { place, volumes: below.volumes, ..unknown });
        };
        let nowhere = |path, extractor, reason| Unknown {
            place: String::new(),
            volumes: Vec::new(),
            path,
            extractor,
            reason,
        };
        for Unmounted { path, source, reason, .. } in self.unmounted.iter().filter(|entry| entry.is_gap) {
            let reason = match source.as_str() {
                "" => reason.clone(),
                source => format!("/etc/fstab mounts {source} there: {reason}"),
            };
            add(self.root(), nowhere(Some(path.clone()), None, reason));
        }
        for Gap { path, extractor, reason } in &self.findings.gaps {
            let held = path.as_ref().map_or_else(|| self.root(), |path| self.filesystem_of(path));
            add(held, nowhere(path.clone(), extractor.clone(), reason.clone()));
        }
        unknowns
    }
}

/// The places of devices, each of which is worked out once: a report can have a hundred thousand unknowns on a device that is
/// made of a thousand others.
struct Places<'a> {
    report: &'a StorageReport,
    known: BTreeMap<usize, (String, Vec<String>)>,
}

impl<'a> Places<'a> {
    fn new(report: &'a StorageReport) -> Self {
        Self { report, known: BTreeMap::new() }
    }

    /// Something on a device, or on what it is made of, that could not be read.
    fn unknown(&mut self, device: usize, reason: &str) -> Unknown {
        let Self { report, known } = self;
        let place = || (report.place(device), report.volumes_of(device));
        let (place, volumes) = known.entry(device).or_insert_with(place).clone();
        Unknown { place, volumes, path: None, extractor: None, reason: reason.to_owned() }
    }
}
