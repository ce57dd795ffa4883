//! The analyser's process: how it is started, how it is ended, and what it died of.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use agentless_core::text::printable;
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process_group};

use super::error::{Cause, SandboxError};
use crate::child;
use crate::confine::ChildLimits;

/// What an analyser is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// This program itself, also if its file was replaced since it was started.
    ///
    /// # Errors
    ///
    /// If the operating system does not say which program this is.
    pub fn own() -> io::Result<Self> {
        let path = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self { path })
    }

    /// Another program, which takes the place of the analyser.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

/// A running analyser. Ends with this value, whatever it does.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Whether it was waited for: from then on, its number may be that of another process.
    is_gone: bool,
}

impl Process {
    /// Starts an analyser with nothing but its limits and one end of a socket, and gives the other end.
    pub(super) fn start(program: &Program, limits: ChildLimits) -> Result<(Self, UnixStream), SandboxError> {
        let (ours, theirs) = UnixStream::pair().map_err(SandboxError::Start)?;
        let mut command = Command::new(&program.path);
        // What lists of processes show.
        command.arg0("agentless-scanner");
        command
            .arg(child::VERB)
            .args(child::arguments(limits))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn().map_err(SandboxError::Start)?;
        Ok((Self { child, is_gone: false }, ours))
    }

    /// Ends the analyser, if it did not end by itself, and says how it ended.
    pub(super) fn end(mut self) -> Death {
        let status = self.kill();
        Death { status, last_words: self.last_words() }
    }

    fn kill(&mut self) -> Option<ExitStatus> {
        // It has made itself the leader of a session, and cannot have any other process in it; but if it could, they would
        // go with it. Until it is waited for, its number is not given to another process.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // There is no such group if it did not come so far.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // It may have ended already.
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        self.is_gone = true;
        status
    }

    /// The last line of what it wrote to standard error: a panic, or why memory could not be had.
    fn last_words(&mut self) -> Option<String> {
        /// Against one that writes without end. A pipe holds no more than 64 KiB.
        const MOST: u64 = 64 << 10;
        /// Characters of the line that are shown: a panic's message and its place, on a few lines of a terminal.
        const SHOWN: usize = 200;

        let mut written = Vec::new();
        let pipe = self.child.stderr.take()?;
        // What is in the pipe, and no more: where analysers are not confined, one could have handed its end on.
        ioctl_fionbio(&pipe, true).ok()?;
        // What could not be read is not said.
        #[expect(clippy::disallowed_methods, reason = "bounded, and not a file of a disk")]
        let _ = pipe.take(MOST).read_to_end(&mut written);
        let text = String::from_utf8_lossy(&written);
        // Below what was wrong, Rust's runtime advises to run the program with more variables.
        let line =
            text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with("note:"))?;
        Some(printable(line).chars().take(SHOWN).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_gone {
            self.kill();
        }
    }
}

/// How an analyser ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Death {
    status: Option<ExitStatus>,
    last_words: Option<String>,
}

impl Death {
    /// Why an analyser that should have gone on did not.
    pub(super) fn cause(self) -> Cause {
        let last_words = self.last_words.unwrap_or_default();
        let Some(status) = self.status else {
            return Cause::Ended { status: "nobody knows how".to_owned(), last_words };
        };
        match status.signal() {
            Some(signal) if signal == Signal::SYS.as_raw() => Cause::SystemCall,
            Some(signal) if signal == Signal::XCPU.as_raw() => Cause::ProcessorTime,
            Some(signal) if signal == Signal::ABORT.as_raw() && last_words.contains("memory allocation") => {
                Cause::Memory
            }
            Some(signal) if signal == Signal::KILL.as_raw() => {
                let status = "it was killed by somebody, or by the system because memory ran out (signal 9)";
                Cause::Ended { status: status.to_owned(), last_words }
            }
            Some(signal) if signal == Signal::SEGV.as_raw() => Cause::Fault { last_words },
            _ => Cause::Ended { status: status.to_string(), last_words },
        }
    }
}
