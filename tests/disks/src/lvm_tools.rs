//! LVM2's tools, without device-mapper and away from this machine's own volumes.

use std::path::Path;
use std::process::Command;

use crate::image::Workspace;

/// One of LVM2's tools, which sees these devices and no others. Metadata only: neither this machine's own volumes nor its
/// device-mapper, if it has one, are touched.
pub fn command<'a>(
    workspace: &Workspace,
    tool: &str,
    devices: impl IntoIterator<Item = &'a Path>,
) -> Command {
    let locks = workspace.path("lvm-locks");
    std::fs::create_dir_all(&locks).unwrap();
    let config = format!(
        "global/activation=0 global/locking_dir=\"{}\" backup/backup=0 backup/archive=0 devices/hints=\"none\"",
        locks.display()
    );
    let devices: Vec<_> = devices.into_iter().map(|device| device.to_str().unwrap()).collect();
    let mut command = Command::new(tool);
    command.env("LVM_SUPPRESS_FD_WARNINGS", "1");
    command.args(["--devices", &devices.join(","), "--config", &config]);
    command
}
