//! Why there is no report.

use std::fmt;
use std::io;
use std::time::Duration;

use super::foreign::foreign;
use crate::confine::{Part, list};
use crate::protocol::frame::WireError;

/// Why the analysis of a target gave no result. Sorted by who must act.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The environment: no process could be started.
    #[error("the analyser could not be started")]
    Start(#[source] io::Error),
    /// The environment: the kernel cannot take the power of the analyser away, and it is not wanted to run with it.
    #[error(
        "this system does not confine the analyser, which would read a disk that may be hostile: {}. Linux 5.13 or later \
         with Landlock does; `--sandbox best-effort` reads the disk all the same",
        foreign(&list(.missing))
    )]
    Insufficient {
        /// What is missing.
        missing: Vec<Part>,
    },
    /// The target: what was asked for cannot be done.
    #[error("{reason}")]
    Task {
        /// Why not.
        reason: String,
    },
    /// The target or this program: reading the disk ended the analyser.
    #[error("the analyser was ended: {0}")]
    Died(Cause),
    /// The target or this program: the analyser needed more time than it may have.
    #[error("the analysis was not finished after {}, which is the limit (`analyser_seconds`; a configuration can raise it)", seconds(.limit))]
    Deadline {
        /// How long it may take.
        limit: Duration,
    },
    /// The target or this program: the analyser said something that it may not say. A disk that took it over would do so.
    #[error("the analyser was ended")]
    Protocol(#[source] WireError),
    /// The caller: what was printed of a file could not be passed on.
    #[error("could not write the output")]
    Output(#[source] io::Error),
    /// The caller ended the analysis.
    #[error("the analysis was stopped")]
    Stopped,
}

/// What ended an analyser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It asked the kernel for something that it may not do.
    SystemCall,
    /// It needed more memory than it may have.
    Memory,
    /// It needed more processor time than it may have.
    ProcessorTime,
    /// It reached for memory that is not there, as when its stack is full.
    Fault {
        /// The last thing that it wrote.
        last_words: String,
    },
    /// It ended by itself, without a report.
    Ended {
        /// How.
        status: String,
        /// The last thing that it wrote.
        last_words: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, last_words) = match self {
            Self::SystemCall => ("it made a system call that it may not make", ""),
            Self::Memory => (
                "it needed more memory than the limit allows (`analyser_memory`; a configuration can raise it)",
                "",
            ),
            Self::ProcessorTime => (
                "it needed more processor time than the limit allows (`analyser_cpu_seconds`; a configuration can raise it)",
                "",
            ),
            Self::Fault { last_words } => ("it reached for memory that is not there", &**last_words),
            Self::Ended { status, last_words } => (&**status, &**last_words),
        };
        f.write_str(text)?;
        if last_words.is_empty() { Ok(()) } else { write!(f, " ({last_words})") }
    }
}

fn seconds(limit: &Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}
