//! What the operating system's own package manager installed, and which system it is.

mod dpkg;
mod release;
mod rpm;

pub use dpkg::{Dpkg, fuzz_dpkg};
pub use release::Release;
pub use rpm::{Rpm, fuzz_rpm};
