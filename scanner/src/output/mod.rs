//! Results for people and for programs.

pub mod file;
pub mod summary;
pub mod table;
pub(crate) mod text;
