//! The process that runs moto and the overlay. The protocol is described in `tests/local-aws/server.py`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::python;

/// Why moto did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The interpreter could not be run.
    #[error("could not run {python}")]
    Spawn {
        /// The interpreter.
        python: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or did not say where it listens in time.
    #[error("the local AWS's moto server did not start; it wrote:\n{log}")]
    NotReady {
        /// Its standard error.
        log: String,
    },
}

/// A running moto. Dropping it ends the process; so does the end of this process, however it ends.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
    log: Log,
}

impl Server {
    /// Start moto with `python` and wait until it accepts connections (one to four seconds of CPU time).
    pub(crate) fn start(python: &Path) -> Result<Self, ServerError> {
        let mut child = Command::new(python)
            .arg(python::sources().join("server.py"))
            .env_clear()
            .envs(
                ["PATH", "HOME", "TMPDIR", "LANG"]
                    .into_iter()
                    .filter_map(|key| Some((key, std::env::var_os(key)?))),
            )
            // 1,300 images of AWS would make every description of snapshots forty times slower.
            .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
            .env("PYTHONPYCACHEPREFIX", python::target_directory().join("local-aws/pycache"))
            .env("PYTHONUNBUFFERED", "1")
            // moto warns of each error code that botocore's model of a service does not list.
            .env("PYTHONWARNINGS", "ignore")
            // Not the terminal's foreground group: Ctrl-C is for the parent, which needs this server to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ServerError::Spawn { python: python.display().to_string(), source })?;
        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            log.follow(stderr);
        }
        let port = child.stdout.take().and_then(read_port);
        let mut server = Self { child, port: 0, log };
        server.port = port.ok_or_else(|| ServerError::NotReady { log: server.stop_and_read_log() })?;
        Ok(server)
    }

    /// The loopback port that moto listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The last lines that moto wrote to standard error: tracebacks.
    pub(crate) fn log_tail(&self) -> String {
        self.log.text()
    }

    fn stop_and_read_log(&mut self) -> String {
        self.stop();
        self.log.text()
    }

    fn stop(&mut self) {
        drop(self.child.stdin.take());
        // It holds no state worth a farewell; both calls fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last lines of moto's standard error, growing while it runs.
#[derive(Debug, Default)]
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Log {
    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<&str>>().join("\n")
    }

    fn follow(&self, stderr: ChildStderr) {
        let lines = Arc::clone(&self.lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LOG_LINES {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        });
    }
}

/// The port from the line that the server writes when it is ready. `None` when it ended or took too long.
fn read_port(stdout: ChildStdout) -> Option<u16> {
    #[derive(serde::Deserialize)]
    struct Ready {
        port: u16,
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let ready = read.ok().and_then(|_| serde_json::from_str::<Ready>(&line).ok());
        let _ = sender.send(ready);
    });
    receiver.recv_timeout(START_TIMEOUT).ok().flatten().map(|ready| ready.port)
}

/// Far above the four seconds that it takes on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(2);
const LOG_LINES: usize = 100;
