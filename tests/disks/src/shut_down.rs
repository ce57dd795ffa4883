//! Stops a mounted filesystem in the middle of its work, like a power failure.

use std::fs::File;
use std::path::Path;

/// How a filesystem is stopped.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// `XFS_FSOP_GOING_FLAGS_LOGFLUSH`: after what is committed in memory was written to the journal.
    Flushed,
    /// `XFS_FSOP_GOING_FLAGS_NOLOGFLUSH`: like a power failure, after what was committed.
    AtOnce,
}

/// Stops the filesystem that `root` is on, by `XFS_IOC_GOINGDOWN`, which ext4 has as `EXT4_IOC_SHUTDOWN`.
pub fn shut_down(root: &Path, stop: Stop) {
    // `_IOR('X', 125, __u32)`
    const GOING_DOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
    // What is stopped already cannot be opened.
    let Ok(root) = File::open(root) else { return };
    let flags = match stop {
        Stop::Flushed => 1,
        Stop::AtOnce => 2,
    };
    #[expect(unsafe_code, reason = "the kernel reads one u32, which the setter holds")]
    // SAFETY: the opcode takes a pointer to a u32, which is what `Setter` passes.
    unsafe {
        rustix::ioctl::ioctl(&root, rustix::ioctl::Setter::<GOING_DOWN, u32>::new(flags)).unwrap();
    }
}
