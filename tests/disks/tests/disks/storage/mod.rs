//! Machines of several disks: what `/etc/fstab` joins, against the same filesystems mounted by the kernel.

mod machine;
mod subvolumes;
mod volumes;
