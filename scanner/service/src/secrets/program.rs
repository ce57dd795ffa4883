//! The program that knows secrets: asked on its standard input for handles, it answers with their values.
//!
//! `{"version":"1.0","secrets":["handle"]}` goes in, `{"handle":{"value":"…","error":null}}` comes out. It is run as the
//! scanner, so it must be nobody else's to change: a regular file of the scanner's user without any permission for others.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::secret::Secret;
use crate::settings::SecretBackend;

/// Why the program gives no secrets. What it printed is not told: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be looked at.
    #[error("it cannot be looked at")]
    Look(#[source] io::Error),
    /// Others could have written it, or could read what it knows.
    #[error(
        "it {reason}; it must be a regular file that belongs to the scanner's user (id {user}), without any permission for group and others (chmod 700)"
    )]
    Unsafe {
        /// What is wrong with it.
        reason: &'static str,
        /// The user.
        user: u32,
    },
    /// It cannot be run.
    #[error("it cannot be run")]
    Run(#[source] io::Error),
    /// It says itself that it failed.
    #[error("it failed ({0}); run it by hand to see why")]
    Failed(ExitStatus),
    /// It takes too long.
    #[error("it was not finished after {0} s (secret_backend_timeout), and was ended")]
    Slow(u64),
    /// It says too much.
    #[error("it printed more than {0} bytes (secret_backend_output_max_size), and was ended")]
    Long(usize),
    /// What it says cannot be understood.
    #[error(
        "what it printed is not {{\"handle\": {{\"value\": …, \"error\": …}}}} in JSON (line {line}, column {column})"
    )]
    Answer {
        /// The line of the answer.
        line: usize,
        /// The column in it.
        column: usize,
    },
    /// It does not give one of them.
    #[error("ENC[{handle}]: {reason}")]
    Secret {
        /// The handle.
        handle: String,
        /// Why not.
        reason: String,
    },
}

#[derive(Serialize)]
struct Question<'a> {
    version: &'static str,
    secrets: &'a [&'a str],
}

#[derive(Deserialize)]
struct Answer {
    value: Option<String>,
    error: Option<String>,
}

/// Asks the program for secrets. Either all are there or none.
pub(super) async fn fetch(
    backend: &SecretBackend,
    handles: &[&str],
) -> Result<BTreeMap<String, Secret>, ProgramError> {
    check(&backend.command)?;
    let question = serde_json::to_vec(&Question { version: "1.0", secrets: handles })
        .map_err(|error| ProgramError::Run(error.into()))?;
    let output = run(backend, &question).await?;
    let mut answers: BTreeMap<String, Answer> = serde_json::from_slice(&output)
        .map_err(|error| ProgramError::Answer { line: error.line(), column: error.column() })?;
    handles
        .iter()
        .map(|&handle| {
            let failed = |reason: String| ProgramError::Secret { handle: handle.to_owned(), reason };
            let answer =
                answers.remove(handle).ok_or_else(|| failed("the answer leaves it out".to_owned()))?;
            if let Some(error) = answer.error.filter(|error| !error.is_empty()) {
                return Err(failed(format!("the program says: {}", told(&error))));
            }
            match answer.value.filter(|value| !value.is_empty()) {
                Some(value) => Ok((handle.to_owned(), Secret::new(value))),
                None => Err(failed("it is empty".to_owned())),
            }
        })
        .collect()
}

/// The beginning of an error of the program's own words.
fn told(error: &str) -> String {
    let start: String = error.chars().take(200).collect();
    crate::scrub::scrub(&agentless_core::text::printable(&start)).into_owned()
}

fn check(command: &Path) -> Result<(), ProgramError> {
    let metadata = command.symlink_metadata().map_err(ProgramError::Look)?;
    let user = geteuid().as_raw();
    let reason = if !metadata.is_file() {
        "is no regular file"
    } else if metadata.uid() != user {
        "belongs to another user"
    } else if metadata.mode() & 0o077 != 0 {
        "has permissions for others"
    } else {
        return Ok(());
    };
    Err(ProgramError::Unsafe { reason, user })
}

/// Runs the program to its end, and gives what it printed.
async fn run(backend: &SecretBackend, question: &[u8]) -> Result<Vec<u8>, ProgramError> {
    let child = Command::new(&backend.command)
        .args(&backend.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Nobody checks it for secrets.
        .stderr(Stdio::null())
        // What it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(ProgramError::Run)?;
    let mut group = Group(child);
    let talk = talk(&mut group.0, question, backend.output_bytes);
    match tokio::time::timeout(backend.timeout, talk).await {
        Ok(done) => done,
        Err(_) => Err(ProgramError::Slow(backend.timeout.as_secs())),
    }
}

async fn talk(child: &mut Child, question: &[u8], most: usize) -> Result<Vec<u8>, ProgramError> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let ask = async {
        if let Some(mut stdin) = stdin {
            // Who does not read to the end has heard enough, and is judged by the answer.
            let _ = stdin.write_all(question).await;
            let _ = stdin.shutdown().await;
        }
    };
    let listen = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            stdout.take(bound).read_to_end(&mut output).await.map_err(ProgramError::Run)?;
        }
        if output.len() > most { Err(ProgramError::Long(most)) } else { Ok(output) }
    };
    // A program may answer before it has read everything.
    let ((), output) = tokio::join!(ask, listen);
    let output = output?;
    let status = child.wait().await.map_err(ProgramError::Run)?;
    if status.success() { Ok(output) } else { Err(ProgramError::Failed(status)) }
}

/// A child with all that it starts; they end when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // While the child has not been waited for, nobody else has its id.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::*;

    /// A program of the shell's with this mode.
    fn program(folder: &Path, script: &str, mode: u32) -> SecretBackend {
        let command = folder.join("program");
        let _ = fs::remove_file(&command);
        fs::write(&command, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&command, Permissions::from_mode(mode)).unwrap();
        SecretBackend { command, arguments: Vec::new(), timeout: Duration::from_mins(1), output_bytes: 1000 }
    }

    async fn ask(backend: &SecretBackend) -> Result<BTreeMap<String, Secret>, String> {
        loop {
            match fetch(backend, &["a", "b"]).await {
                // Another test has started a process while the script was still open for writing.
                Err(ProgramError::Run(error)) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                    tokio::task::yield_now().await;
                }
                result => return result.map_err(|error| agentless_core::chain(&error)),
            }
        }
    }

    #[tokio::test]
    async fn the_program_is_asked_once_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let question = folder.path().join("question");
        let script = format!(
            "cat > '{}'; echo \"{{\\\"a\\\":{{\\\"value\\\":\\\"$1\\\",\\\"error\\\":null}},\\\"b\\\":{{\\\"value\\\":\\\"two\\\"}},\\\"c\\\":{{}}}}\"",
            question.display()
        );
        let mut backend = program(folder.path(), &script, 0o700);
        backend.arguments = vec!["one word".to_owned()];
        let secrets = ask(&backend).await.unwrap();
        let shown: Vec<_> =
            secrets.iter().map(|(handle, secret)| (handle.as_str(), secret.expose())).collect();
        assert_eq!(shown, [("a", "one word"), ("b", "two")]);
        assert_eq!(fs::read_to_string(question).unwrap(), r#"{"version":"1.0","secrets":["a","b"]}"#);
    }

    #[tokio::test]
    async fn every_failure_is_told_and_no_secret_with_it() {
        let folder = tempfile::tempdir().unwrap();
        for (script, expected) in [
            ("echo hunter2; exit 3", "it failed (exit status: 3); run it by hand to see why"),
            ("kill -9 $$", "it failed (signal: 9"),
            ("echo hunter2", "what it printed is not"),
            (r#"echo '{"a":{"value":"hunter2"}}'"#, "ENC[b]: the answer leaves it out"),
            (r#"echo '{"a":{"value":"hunter2"},"b":{"value":""}}'"#, "ENC[b]: it is empty"),
            (r#"echo '{"a":{"value":"hunter2"},"b":{"value":null,"error":""}}'"#, "ENC[b]: it is empty"),
            (
                r#"echo '{"a":{"value":"hunter2"},"b":{"value":"x","error":"no such secret, token=hunter2"}}'"#,
                "ENC[b]: the program says: no such secret, token=********",
            ),
            (
                "yes hunter2",
                "it printed more than 1000 bytes (secret_backend_output_max_size), and was ended",
            ),
        ] {
            let error = ask(&program(folder.path(), script, 0o700)).await.unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{script}: {error}");
        }
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // Its child has the standard output, and would be waited for.
        let script = format!("sleep 1000 & echo $! > '{}'; wait", pid.display());
        let mut backend = program(folder.path(), &script, 0o700);
        backend.timeout = Duration::from_secs(1);
        let start = Instant::now();
        let error = ask(&backend).await.unwrap_err();
        assert_eq!(error, "it was not finished after 1 s (secret_backend_timeout), and was ended");
        assert!(start.elapsed() < Duration::from_secs(100));
        let child = PathBuf::from("/proc").join(fs::read_to_string(pid).unwrap().trim());
        let ended = || fs::read_to_string(child.join("stat")).map_or(true, |stat| stat.contains(") Z "));
        while !ended() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_program_that_others_could_write_or_read_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o750, 0o701, 0o720] {
            let error = ask(&program(folder.path(), "exit 0", mode)).await.unwrap_err();
            assert!(error.contains("has permissions for others"), "{error}");
        }
        let mut backend = program(folder.path(), "exit 0", 0o600);
        assert!(ask(&backend).await.unwrap_err().starts_with("it cannot be run"));
        for (command, expected) in [
            (folder.path().to_owned(), "is no regular file"),
            (folder.path().join("none"), "cannot be looked at"),
        ] {
            backend.command = command;
            let error = ask(&backend).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("program", &link).unwrap();
        backend.command = link;
        assert!(ask(&backend).await.unwrap_err().contains("is no regular file"));
    }
}
