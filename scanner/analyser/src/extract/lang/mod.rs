//! What was installed for a language: by its own package manager, or into a program or an archive.

mod dotnet;
mod java;

pub use dotnet::{Dotnet, fuzz_dotnet};
pub use java::{Java, fuzz_java, fuzz_manifest};
