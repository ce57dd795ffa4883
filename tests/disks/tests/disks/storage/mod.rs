//! Machines of several disks: what `/etc/fstab` joins, against the same filesystems mounted by the kernel.

mod blocks;
mod corpus;
mod machine;
mod subvolumes;
mod volumes;
