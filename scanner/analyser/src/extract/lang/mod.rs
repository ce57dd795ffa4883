//! What was installed for a language: by its own package manager, or into a program or an archive.

mod conda;
mod node;
mod php;
mod python;
mod ruby;

pub use conda::Conda;
pub use node::Node;
pub use php::Php;
pub use python::{Python, fuzz_python_metadata};
pub use ruby::{Ruby, fuzz_gemspec};
mod dotnet;
mod java;

pub use dotnet::{Dotnet, fuzz_dotnet};
pub use java::{Java, fuzz_java, fuzz_manifest};
mod go;
mod rust;

pub use go::{Go, fuzz_go};
pub use rust::{Rust, fuzz_rust};
