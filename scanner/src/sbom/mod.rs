//! Package lists in standard formats.

pub mod cyclonedx;
mod purl;
