//! Results for people and for programs.

pub mod file;
pub mod folder;
pub mod inspection;
pub mod memory;
pub mod storage;
pub mod summary;
pub mod table;
pub(crate) mod text;
