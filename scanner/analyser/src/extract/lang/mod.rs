//! What was installed for a language: by its own package manager, or into a program or an archive.

mod java;

pub use java::{Java, fuzz_java, fuzz_manifest};
