//! What the operating system's own package manager installed, and which system it is.

mod apk;
mod dpkg;
mod release;
mod rpm;

pub use apk::{Apk, fuzz_apk};
pub use dpkg::{Dpkg, fuzz_dpkg};
pub use release::{Release, fuzz_release};
pub use rpm::{Rpm, fuzz_rpm};
