//! Finds and runs the system's programs: what is missing is said with the Debian package that has it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program of the system that could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// It is not installed.
    #[error("{program} was not found on PATH nor in /usr/sbin or /sbin; {advice}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// How to get it.
        advice: &'static str,
    },
    /// It could not be started.
    #[error("could not start {}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("{} failed ({status}): {message}", path.display())]
    Failed {
        /// The program.
        path: PathBuf,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it wrote to stderr.
        message: String,
    },
}

/// The path of a program, looked for on `PATH` and where Debian keeps system programs, which users do not have on
/// theirs.
pub fn find(program: &'static str, advice: &'static str) -> Result<PathBuf, ToolError> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .ok_or(ToolError::Missing { program, advice })
}

/// Runs a program to its end and returns what it wrote to stdout.
pub fn run<A: AsRef<OsStr>>(
    path: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Vec<u8>, ToolError> {
    let Output { status, stdout, stderr } = Command::new(path)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| ToolError::Start { path: path.to_owned(), source })?;
    if status.success() {
        return Ok(stdout);
    }
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(ToolError::Failed { path: path.to_owned(), status, message })
}
