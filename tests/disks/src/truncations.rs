//! Files that were being cut when an ext3 or ext4 disk was copied.
//!
//! Such a file has its new size already, and is in the list of orphaned inodes until the blocks behind its end are free.
//! Who recovers the disk frees them. The kernel then sets the file's time to that of the recovery, which is nothing that
//! the disk has; `e2fsck` leaves the time as it is. So of these files, and of nothing else about them, the truth is the
//! time after `e2fsck`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::image::Mount;
use crate::loop_device::Loop;
use crate::manifest::Manifest;

/// Gives each file that was being cut the time that the disk has of it, and returns how many paths these files have.
///
/// `kernel` is what the kernel shows at `root`, where it has recovered one copy of the disk. Another copy, which nothing
/// has recovered yet, is `image` or a part of it: `e2fsck` changes it.
///
/// # Errors
///
/// `e2fsck` cannot be run or cannot recover the filesystem, or the kernel does not mount what it recovered.
pub fn take_times_of_disk(
    kernel: &mut Manifest,
    root: &Path,
    image: &Path,
    part: Option<&Range<u64>>,
) -> Result<usize, String> {
    let cut = finish(Loop::attach(image, part, false).path())?;
    if cut.is_empty() {
        return Ok(0);
    }
    let mount = Mount::attempt(image, part, "ro")?;
    let mut paths = 0;
    for (path, entry) in kernel {
        let metadata = |root: &Path| {
            let path = root.join(OsStr::from_bytes(path));
            path.symlink_metadata().map_err(|error| format!("{}: {error}", path.display()))
        };
        if cut.contains(&metadata(root)?.ino()) {
            entry.mtime = metadata(mount.path())?.mtime();
            paths += 1;
        }
    }
    Ok(paths)
}

/// Replays the journal of `device`, ends what was under way, and returns the inodes of the files that were cut.
fn finish(device: &Path) -> Result<BTreeSet<u64>, String> {
    /// Errors were corrected: replaying a journal need not count as one.
    const CORRECTED: i32 = 1;

    let mut e2fsck = Command::new("e2fsck");
    e2fsck.env("LC_ALL", "C").args(["-y", "-E", "journal_only"]).arg(device);
    let output = e2fsck.output().map_err(|error| format!("e2fsck: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !matches!(output.status.code(), Some(0 | CORRECTED)) {
        let problem = String::from_utf8_lossy(&output.stderr);
        return Err(format!("e2fsck does not recover it: {}: {said}{problem}", output.status));
    }
    let truncated = said.lines().filter_map(|line| line.strip_prefix("Truncating orphaned inode "));
    truncated
        .map(|rest| {
            let number = rest.split(' ').next().and_then(|number| number.parse().ok());
            number.ok_or_else(|| format!("e2fsck truncates an inode without a number: {rest}"))
        })
        .collect()
}
