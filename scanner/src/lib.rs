//! Reads disks and lists packages.

pub mod fs;
pub mod limits;
pub mod volume;
