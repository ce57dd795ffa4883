//! The scanner's side: starts an analyser, gives it the bytes that it asks for, and takes its report as foreign input.
//!
//! The process here holds credentials, so nothing here looks into what a disk says. What the analyser asks for is checked
//! against what it was given, what it reports is counted and checked ([`crate::protocol::part`]), and whatever it does, it
//! ends within its limits and costs its own result alone.

mod directory;
mod error;
mod foreign;
mod guarded;
mod process;
mod quota;
pub(crate) mod serve;
mod stop;

use std::io::Write;
use std::time::{Duration, Instant};

use agentless_core::limits::Limits;
use agentless_core::report::StorageReport;
use agentless_core::source::Source;
use agentless_core::task::Task;
use serde::{Deserialize, Serialize};

pub use error::{Cause, SandboxError};
pub use process::Program;
pub use stop::Stop;

use self::foreign::foreign;
use self::guarded::Guarded;
use self::process::Process;
use self::serve::Server;
use crate::confine::{ChildLimits, Confinement};
use crate::protocol::frame::{Connection, WireError};

/// How analysers are run.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// What they are started from.
    pub program: Program,
    /// What to do where the system cannot confine them.
    pub mode: Mode,
    /// What each of them may cost.
    pub limits: Limits,
}

/// What to do where the system cannot confine an analyser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Read nothing, and say what is missing.
    Required,
    /// Read all the same, and say what is missing.
    #[default]
    BestEffort,
}

/// What an analyser is to do.
#[derive(Debug)]
pub struct Job<'a> {
    /// What is wanted.
    pub task: Task,
    /// The id of the target, or its path.
    pub id: &'a str,
    /// Its disks or its directory.
    pub source: Source<'a>,
}

impl Sandbox {
    /// Has an analyser do a job. What it prints of a file goes to `out`. Blocks until it is done, or `stop` ends it.
    ///
    /// # Errors
    ///
    /// [`SandboxError`] if there is no report. Disks that could not be read stand in the report.
    pub fn run(&self, job: Job<'_>, out: &mut dyn Write, stop: &Stop) -> Result<StorageReport, SandboxError> {
        self.run_watched(job, out, stop, &|_| {})
    }

    /// As [`run`](Self::run), and tells `confined` what of the analyser's confinement is in force, before the analyser gets
    /// the first byte of the target. It is not told of one that [`Mode::Required`] refuses.
    pub fn run_watched(
        &self,
        job: Job<'_>,
        out: &mut dyn Write,
        stop: &Stop,
        confined: &dyn Fn(&Confinement),
    ) -> Result<StorageReport, SandboxError> {
        let started = Instant::now();
        let limit = Duration::from_secs(self.limits.analyser_seconds);
        let limits = ChildLimits {
            memory: self.limits.analyser_memory,
            processor_seconds: self.limits.analyser_cpu_seconds,
        };
        let (process, socket) = Process::start(&self.program, limits)?;
        stop.watch(socket.try_clone().map_err(SandboxError::Start)?);
        // A limit beyond the end of time is none.
        let end = started.checked_add(limit).unwrap_or_else(|| started + Duration::from_hours(24 * 365));
        let connection = Connection::new(Guarded::new(socket, end));
        let result = Server::new(self, connection, started, out).watched(confined).serve(job);
        let death = process.end();
        stop.forget();
        result.map_err(|error| match error {
            _ if stop.is_stopped() => SandboxError::Stopped,
            SandboxError::Task { reason } => SandboxError::Task { reason: foreign(&reason) },
            SandboxError::Protocol(WireError::Protocol { problem }) => {
                SandboxError::Protocol(WireError::Protocol { problem: foreign(&problem) })
            }
            SandboxError::Protocol(WireError::Closed) => SandboxError::Died(death.cause()),
            SandboxError::Protocol(WireError::Io(source))
                if source.kind() == std::io::ErrorKind::TimedOut =>
            {
                SandboxError::Deadline { limit }
            }
            error => error,
        })
    }
}
