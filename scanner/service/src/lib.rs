//! The parts of the scanner's service that know nothing of AWS's interfaces: when what is scanned, in which order, what is
//! made on the way, and how the package lists leave.
//!
//! The scanner's `daemon` joins them with AWS. Nothing here opens a disk.

#![forbid(unsafe_code)]

pub mod board;
pub mod delivery;
pub mod fuzz;
pub mod http;
pub mod journal;
pub mod notify;
pub mod queue;
pub mod report;
pub mod schedule;
pub mod scrub;
pub mod secret;
pub mod secrets;
pub mod settings;
pub mod sink;
mod small_file;
pub mod span;
pub mod spool;
pub mod status;
pub mod target;
pub mod tasks;
