//! The scanner's parsers of disks and of package databases, and nothing else of it.
//!
//! The modules are included by path, because the scanner as a dependency would bring the AWS SDK: twenty minutes of
//! compiling with instrumentation, to fuzz code that none of it is part of.

#[path = "../../src/analyse.rs"]
pub mod analyse;
#[path = "../../src/contain.rs"]
mod contain;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/extract/mod.rs"]
pub mod extract;
#[path = "../../src/fs/mod.rs"]
pub mod fs;
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/package.rs"]
pub mod package;
#[path = "../../src/report.rs"]
pub mod report;
#[path = "../../src/storage/mod.rs"]
pub mod storage;

pub mod volume;

pub use error::chain;
