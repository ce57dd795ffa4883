//! Runs programs, each in a process group of its own, so that nothing that they start outlives them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Why a program did not do what was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It could not be started or waited for.
    #[error("could not run `{command}`")]
    Run {
        /// The command line.
        command: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It ended otherwise than expected.
    #[error("`{command}` ended with {ended}:\n{output}")]
    Ended {
        /// The command line.
        command: String,
        /// Exit code or signal.
        ended: String,
        /// Standard output and error.
        output: String,
    },
    /// It did not end in time, and was stopped.
    #[error("`{command}` did not end within {limit:?}; it wrote:\n{output}")]
    TimedOut {
        /// The command line.
        command: String,
        /// How long it had.
        limit: Duration,
        /// Standard output and error.
        output: String,
    },
}

/// A program, and the circumstances in which it runs.
#[derive(Debug)]
pub struct Program<'a, N, V> {
    /// The program.
    pub path: &'a Path,
    /// Its working directory.
    pub directory: &'a Path,
    /// Its whole environment: nothing is inherited.
    pub environment: &'a [(N, V)],
    /// How long it may run.
    pub time_limit: Duration,
    /// When this is cancelled, it gets SIGINT once, as from Ctrl-C, and is waited for.
    pub interrupt: CancellationToken,
}

/// A command that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line.
    pub command: String,
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error: diagnostics.
    pub stderr: String,
    status: ExitStatus,
}

/// A program under way. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub struct Running {
    command: String,
    group: Pid,
    child: tokio::process::Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    time_limit: Duration,
    interrupt: CancellationToken,
    ended: bool,
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> Program<'_, N, V> {
    /// Starts it, with nothing on its standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(self, arguments: &[&str]) -> Result<Running, ProcessError> {
        let command = format!("{} {}", self.path.display(), arguments.join(" "));
        let failed = |source| ProcessError::Run { command: command.clone(), source };
        let mut child = Command::new(self.path)
            .args(arguments)
            .current_dir(self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Pid::from_raw(id.ok_or_else(|| failed(std::io::Error::other("it ended at once")))?);
        let stdout = child.stdout.take().map(read);
        let stderr = child.stderr.take().map(read);
        let Self { time_limit, interrupt, .. } = self;
        Ok(Running { command, group, child, stdout, stderr, time_limit, interrupt, ended: false })
    }
}

impl Running {
    /// What Ctrl-C in a terminal does: SIGINT to the program and to all that it started.
    ///
    /// # Errors
    /// When it has ended.
    pub fn interrupt(&self) -> Result<(), ProcessError> {
        killpg(self.group, Signal::SIGINT)
            .map_err(|error| ProcessError::Run { command: self.command.clone(), source: error.into() })
    }

    /// The id of the program's process.
    pub fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends the program a signal, and nothing to what it started.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        kill(self.group, signal)
            .map_err(|error| ProcessError::Run { command: self.command.clone(), source: error.into() })
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// When it does not end in time: it is then interrupted and at last killed.
    pub async fn wait(mut self) -> Result<Finished, ProcessError> {
        let (status, in_time) = match tokio::time::timeout(self.time_limit, self.wait_or_interrupt()).await {
            Ok(status) => (status, true),
            Err(_) => (self.stop().await, false),
        };
        self.ended = true;
        // Whatever it left behind holds the pipes open, and has no business to go on.
        let _ = killpg(self.group, Signal::SIGKILL);
        let stdout = text(self.stdout.take()).await;
        let stderr = text(self.stderr.take()).await;
        let status = status.map_err(|source| ProcessError::Run { command: self.command.clone(), source })?;
        if !in_time {
            let (command, limit) = (self.command.clone(), self.time_limit);
            return Err(ProcessError::TimedOut { command, limit, output: format!("{stdout}{stderr}") });
        }
        Ok(Finished { command: self.command.clone(), code: status.code(), stdout, stderr, status })
    }

    async fn wait_or_interrupt(&mut self) -> std::io::Result<ExitStatus> {
        tokio::select! {
            status = self.child.wait() => return status,
            () = self.interrupt.cancelled() => {}
        }
        // That it has just ended is no problem.
        let _ = self.interrupt();
        self.child.wait().await
    }

    async fn stop(&mut self) -> std::io::Result<ExitStatus> {
        let _ = killpg(self.group, Signal::SIGINT);
        if let Ok(status) = tokio::time::timeout(GRACE, self.child.wait()).await {
            return status;
        }
        let _ = killpg(self.group, Signal::SIGKILL);
        self.child.wait().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

impl Finished {
    /// # Errors
    /// When the command failed.
    pub fn success(self) -> Result<Self, ProcessError> {
        if self.code == Some(0) { Ok(self) } else { Err(self.into_error()) }
    }

    /// # Errors
    /// When the command did not fail with an exit code.
    pub fn failure(self) -> Result<Self, ProcessError> {
        if matches!(self.code, None | Some(0)) { Err(self.into_error()) } else { Ok(self) }
    }

    /// Exit code or signal.
    pub fn ended(&self) -> String {
        self.status.to_string()
    }

    /// The error of having ended so.
    pub fn into_error(self) -> ProcessError {
        let output = format!("{}{}", self.stdout, self.stderr);
        ProcessError::Ended { command: self.command, ended: self.status.to_string(), output }
    }
}

fn read(mut stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What was read. A process that left the group may hold the pipe open: it is not waited for.
async fn text(reader: Option<JoinHandle<String>>) -> String {
    let Some(reader) = reader else { return String::new() };
    tokio::time::timeout(DRAIN, reader).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// The group is dead, and its pipes are at their end.
const DRAIN: Duration = Duration::from_secs(10);
/// Programs end in well under this after an interrupt, unless they hang.
const GRACE: Duration = Duration::from_secs(30);
