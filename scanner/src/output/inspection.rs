//! What a target is made of, without what is installed on it.

use std::fmt::{Result as Written, Write};

use agentless_core::text::printable;
use serde::Serialize;

use super::storage::{self, DeviceSummary, MountSummary};
use super::summary::TargetSummary;
use super::text::bytes;
use crate::package::OperatingSystem;
use crate::report::{StorageReport, Unknown, Unmounted, VolumeReport};
use crate::target::Target;

/// The disks of a target, what was recognised on them, and which filesystems are one system.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    target: TargetSummary,
    /// Whether everything was recognised and read.
    complete: bool,
    volumes: Vec<VolumeReport>,
    devices: Vec<DeviceSummary>,
    trees: Vec<TreeShown>,
    unknowns: Vec<Unknown>,
}

#[derive(Clone, Debug, Serialize)]
struct TreeShown {
    /// By which the tree is named on the command line, from 1.
    number: usize,
    system: bool,
    operating_system: Option<OperatingSystem>,
    mounts: Vec<MountSummary>,
    unmounted: Vec<Unmounted>,
}

impl Inspection {
    /// Of a target that was read.
    pub fn new(target: &Target, region: Option<String>, report: &StorageReport) -> Self {
        let unknowns = report.unknowns();
        let places = report.places();
        let trees = (1..).zip(&report.trees).map(|(number, tree)| TreeShown {
            number,
            system: tree.is_system,
            operating_system: tree.findings.operating_system.clone(),
            mounts: storage::mounts(report, &places, tree),
            unmounted: tree.unmounted.clone(),
        });
        Self {
            target: TargetSummary { id: target.to_string(), kind: target.kind(), region },
            complete: unknowns.is_empty(),
            volumes: report.volumes.clone(),
            devices: storage::devices(report),
            trees: trees.collect(),
            unknowns,
        }
    }

    /// Whether everything was recognised and read.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// For people. Ends with a line end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, out: &mut String) -> Written {
        for volume in &self.volumes {
            let size = volume.size.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
            let device =
                volume.device.as_ref().map(|name| format!(" {}", printable(name))).unwrap_or_default();
            writeln!(out, "{}{device}{size}", printable(&volume.id))?;
            storage::describe_devices(out, &self.devices, &volume.id)?;
        }
        storage::describe_assembled(out, &self.devices)?;
        for tree in &self.trees {
            tree.write_text(out)?;
        }
        match self.unknowns.len() {
            0 => Ok(()),
            count => {
                writeln!(out, "Unknown: {count}")?;
                storage::write_unknowns(out, &self.unknowns)
            }
        }
    }
}

impl TreeShown {
    fn write_text(&self, out: &mut String) -> Written {
        write!(out, "{} {}", if self.system { "System" } else { "Files" }, self.number)?;
        if let Some(system) = &self.operating_system {
            let version = system.version.as_ref().map(|version| format!(", {version}")).unwrap_or_default();
            write!(
                out,
                ": {}{}",
                printable(system.name.as_ref().unwrap_or(&system.id)),
                printable(&version)
            )?;
        }
        writeln!(out)?;
        storage::write_mounts(out, &self.mounts, true)?;
        storage::write_unmounted(out, &self.unmounted)
    }
}
