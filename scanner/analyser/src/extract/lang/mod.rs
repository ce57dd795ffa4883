//! What was installed for a language: by its own package manager, or into a program or an archive.

mod go;
mod rust;

pub use go::{Go, fuzz_go};
pub use rust::{Rust, fuzz_rust};
