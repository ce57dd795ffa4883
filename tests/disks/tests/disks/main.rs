//! Our view of a disk against the kernel's.
//!
//! Each image is made by `mkfs`, filled through a mount of the kernel's own driver, and then read by both: every entry must
//! agree in path, type, mode, size, owner, time, link target and content. Needs root, loop devices and e2fsprogs; see
//! [`agentless_disk_tests::image::can_mount`] for what happens without them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, and print figures"
)]

mod blocks_touched;
mod btrfs;
mod compare_disk;
mod corpus;
mod ext4;
mod kernel_floor;
mod live;
mod lvm;
mod matrix;
mod mounts;
mod overlay;
mod partitions;
mod raid;
mod storage;
mod walk;
mod xfs;
