//! Measures what a provider's process uses while Terraform uses it.
//!
//! Terraform is given a mirror in which this very program stands in the place of each provider's. Started there, it starts
//! the real provider with the same streams and environment, waits for it, and appends to a file what the operating system
//! says that it used. The real program lies beside it, so that Terraform's checksum of the package, which it takes on every
//! command, costs what it costs a user.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use agentless_tests::terraform;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::Error;
use crate::subject::Subject;

/// The real program, beside the one that stands in for it.
const METERED: &str = "metered-provider";

/// Names the file of records.
const RECORDS: &str = "PROVIDER_METER_RECORDS";

/// How often a provider's anonymous memory is looked at: the operating system keeps no peak of it.
const SAMPLING: Duration = Duration::from_millis(5);

/// What a provider's processes used during one command: Terraform starts several.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Of all processes together, in user and system mode.
    pub(crate) cpu: Duration,
    /// Of the largest process, the pages of its program included.
    pub(crate) peak_kib: u64,
    /// Of the process with the most: memory that it has asked for, which nothing but swap can take back.
    pub(crate) anonymous_kib: u64,
}

/// A line of the file of records. A process that was killed has no end.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Record {
    Start,
    End { cpu_micros: u64, peak_kib: u64, anonymous_kib: u64 },
}

/// The provider to run, if this program was started in the place of one.
pub(crate) fn metered_provider() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    let stands_in = here.file_name()?.to_string_lossy().starts_with("terraform-provider-");
    stands_in.then(|| here.with_file_name(METERED))
}

/// Runs the provider to its end and records what it used. An error is for Terraform's log.
#[expect(clippy::print_stderr, reason = "Terraform logs what providers write there")]
pub(crate) fn run(provider: &Path) -> ExitCode {
    let metered = || {
        record(Record::Start)?;
        let mut process = Command::new(provider).args(std::env::args_os().skip(1)).spawn()?;
        let (running, end) = channel();
        let status_file = PathBuf::from(format!("/proc/{}/status", process.id()));
        let sampler = thread::spawn(move || peak_anonymous_kib(&status_file, &end));
        let status = process.wait()?;
        drop(running);
        let anonymous_kib = sampler.join().unwrap_or_default();
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let cpu = usage.user_time() + usage.system_time();
        record(Record::End {
            cpu_micros: cpu.num_microseconds().try_into().unwrap_or_default(),
            peak_kib: usage.max_rss().try_into().unwrap_or_default(),
            anonymous_kib,
        })?;
        Ok::<_, std::io::Error>(status.code().and_then(|code| u8::try_from(code).ok()))
    };
    match metered() {
        Ok(code) => code.map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("could not measure {}: {error}", provider.display());
            ExitCode::FAILURE
        }
    }
}

/// The most anonymous memory that a process has, by its status file, until nobody sends to `end` any more.
fn peak_anonymous_kib(status_file: &Path, end: &Receiver<()>) -> u64 {
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(status_file).unwrap_or_default();
        peak = peak.max(anonymous_kib(&status).unwrap_or_default());
        if end.recv_timeout(SAMPLING) != Err(RecvTimeoutError::Timeout) {
            return peak;
        }
    }
}

/// `RssAnon` of a status file (`proc_pid_status(5)`).
fn anonymous_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn record(record: Record) -> std::io::Result<()> {
    let path = std::env::var_os(RECORDS).unwrap_or_default();
    let mut file = File::options().append(true).open(path)?;
    // One write, so that the lines of several processes do not mix.
    file.write_all(format!("{}\n", serde_json::to_string(&record)?).as_bytes())
}

/// The mirror, and the file of records.
#[derive(Debug)]
pub(crate) struct Mirror {
    directory: TempDir,
}

impl Mirror {
    pub(crate) fn new(subjects: &[Subject]) -> Result<Self, Error> {
        let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = tempfile::Builder::new().prefix("metered-").tempdir_in(below);
        let mirror = Self { directory: made.map_err(Error::io("create a directory in", below))? };
        let this = std::env::current_exe().map_err(Error::io("find", Path::new("this program")))?;
        for subject in subjects {
            let package = terraform::package(mirror.path(), subject.source, &subject.version);
            fs::create_dir_all(&package).map_err(Error::io("create", &package))?;
            let stand_in = package.join(subject.program.file_name().unwrap_or_default());
            fs::hard_link(&this, &stand_in).map_err(Error::io("link", &stand_in))?;
            let metered = package.join(METERED);
            symlink(&subject.program, &metered).map_err(Error::io("link", &metered))?;
        }
        Ok(mirror)
    }

    /// For Terraform.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What Terraform must have in its environment.
    pub(crate) fn environment(&self) -> (&'static str, PathBuf) {
        (RECORDS, self.path().join("records"))
    }

    /// Forgets what was recorded.
    pub(crate) fn reset(&self) -> Result<(), Error> {
        let (_, records) = self.environment();
        fs::write(&records, "").map_err(Error::io("write", &records))
    }

    /// What was used since then.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        let (_, records) = self.environment();
        let text = fs::read_to_string(&records).map_err(Error::io("read", &records))?;
        let (mut usage, mut starts, mut ends) = (Usage::default(), 0, 0);
        for line in text.lines() {
            let record = serde_json::from_str(line).map_err(|error| {
                Error::Measurement(format!(
                    "{} is not a record of a process: {error}: {line}",
                    records.display()
                ))
            })?;
            match record {
                Record::Start => starts += 1,
                Record::End { cpu_micros, peak_kib, anonymous_kib } => {
                    ends += 1;
                    usage.cpu += Duration::from_micros(cpu_micros);
                    usage.peak_kib = usage.peak_kib.max(peak_kib);
                    usage.anonymous_kib = usage.anonymous_kib.max(anonymous_kib);
                }
            }
        }
        if starts == 0 || starts != ends {
            return Err(Error::Measurement(format!(
                "Terraform started a provider {starts} times, of which {ends} came to an end: what the others used is \
                 not known"
            )));
        }
        Ok(usage)
    }
}
