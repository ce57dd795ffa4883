//! Reads disks and lists packages.
