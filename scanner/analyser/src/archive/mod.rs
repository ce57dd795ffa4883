//! Archives: files in files.
//!
//! An archive is read where it is, and so is one that is stored in another. Its own words about sizes and counts bind
//! nobody: what reading it costs is paid from one [`Allowance`], which those in it share, and what it keeps in memory is
//! bounded together with those that it is in.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod allowance;
mod nested;
pub mod zip;

pub use allowance::Allowance;
pub use nested::Nested;
