//! The local AWS and the end-to-end harness.

pub mod machine_image;
pub mod packages;
pub mod tools;
