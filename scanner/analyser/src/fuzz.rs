//! The bodies of the fuzz targets, each under the name of its own: whatever bytes they are given, they end soon and without a
//! panic.

pub use crate::analyse::survey::encoded_machine as machine;
pub use crate::database::bolt::fuzz_bolt as bolt;
pub use crate::extract::os::fuzz_dpkg as dpkg;
pub use crate::fs::fstab::fuzz_fstab as fstab;
pub use crate::fs::survey::encoded_btrfs as btrfs;
pub use crate::fs::survey::encoded_disk as partition_table;
pub use crate::fs::survey::encoded_journal as journal;
pub use crate::fs::survey::encoded_log as xfs_log;
pub use crate::fs::survey::encoded_volume as volume;
pub use crate::volume::survey::encoded_members as members;
pub use crate::volume::survey::volume_group as lvm_text;
