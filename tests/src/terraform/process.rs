//! One run of a Terraform command, in a process group of its own.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::{Binary, Error, io};

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

/// A command under way. Dropping it ends it and everything that it started.
#[derive(Debug)]
pub struct Running {
    command: String,
    group: Pid,
    child: tokio::process::Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    time_limit: Duration,
    ended: bool,
}

impl Running {
    pub(super) fn start(
        binary: &Binary,
        arguments: &[&str],
        directory: &Path,
        environment: &[(OsString, OsString)],
        time_limit: Duration,
    ) -> Result<Self, Error> {
        let mut child = Command::new(&binary.path)
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| io("run", &binary.path, source))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Pid::from_raw(id.ok_or_else(|| Error::Check("Terraform ended at once".to_owned()))?);
        let command = format!("{} {}", binary.path.display(), arguments.join(" "));
        let stdout = child.stdout.take().map(read);
        let stderr = child.stderr.take().map(read);
        Ok(Self { command, group, child, stdout, stderr, time_limit, ended: false })
    }

    /// What Ctrl-C in a terminal does: SIGINT to Terraform and to the provider.
    ///
    /// # Errors
    /// When the command has ended.
    pub fn interrupt(&self) -> Result<(), Error> {
        killpg(self.group, Signal::SIGINT)
            .map_err(|error| Error::Check(format!("could not interrupt it: {error}")))
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// When it does not end in time: it is then interrupted and at last killed.
    pub async fn wait(mut self) -> Result<Finished, Error> {
        let (status, in_time) = match tokio::time::timeout(self.time_limit, self.child.wait()).await {
            Ok(status) => (status, true),
            Err(_) => (self.stop().await, false),
        };
        self.ended = true;
        // Whatever it left behind holds the pipes open, and has no business to go on.
        let _ = killpg(self.group, Signal::SIGKILL);
        let stdout = text(self.stdout.take()).await;
        let stderr = text(self.stderr.take()).await;
        let status = status.map_err(|source| io("wait for", Path::new(&self.command), source))?;
        if !in_time {
            let (command, limit) = (self.command.clone(), self.time_limit);
            return Err(Error::TimedOut { command, limit, output: format!("{stdout}{stderr}") });
        }
        Ok(Finished { command: self.command.clone(), code: status.code(), stdout, stderr, status })
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
    pub fn success(self) -> Result<Self, Error> {
        if self.code == Some(0) { Ok(self) } else { Err(self.into_error()) }
    }

    /// # Errors
    /// When the command did not fail with an exit code.
    pub fn failure(self) -> Result<Self, Error> {
        if matches!(self.code, None | Some(0)) { Err(self.into_error()) } else { Ok(self) }
    }

    pub(super) fn into_error(self) -> Error {
        let output = format!("{}{}", self.stdout, self.stderr);
        Error::Command { command: self.command, ended: self.status.to_string(), output }
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
/// Terraform ends in well under this after an interrupt, unless the provider hangs.
const GRACE: Duration = Duration::from_secs(30);
