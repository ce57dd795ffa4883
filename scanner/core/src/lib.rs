//! What the parts of the scanner say to each other.
//!
//! The program is two processes: one that holds credentials and fetches blocks, and one without any power that reads what
//! the blocks say. What both must know is here, and nothing that parses: what a [`volume`] and a filesystem ([`fs`]) are,
//! where a target's files are ([`source`]), what reading them may cost ([`limits`]), and what was found ([`report`]).

#![forbid(unsafe_code)]

pub mod cache;
pub mod catalogue;
mod error;
pub mod findings;
pub mod fs;
pub mod limits;
pub mod number;
pub mod package;
pub mod report;
pub mod source;
pub mod task;
pub mod text;
pub mod volume;

pub use error::chain;
