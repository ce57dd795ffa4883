//! What tests of the sandbox observe an analyser with: nothing here believes what it says.
#![forbid(unsafe_code)]
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

pub mod captured_log;
pub mod memory;
pub mod processes;
pub mod recorded;
