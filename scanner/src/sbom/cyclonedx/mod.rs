//! CycloneDX, in two forms.

pub mod json;
pub mod protobuf;
