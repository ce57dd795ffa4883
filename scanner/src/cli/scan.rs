//! `agentless-scanner scan`: one target, once.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::log::Log;
use super::shown::Shown;
use super::signals::Signals;
use super::{Exit, say, unless_closed};
use crate::aws::{Aws, Connection};
use crate::limits::Limits;
use crate::output::file::OutputFile;
use crate::output::summary::{Run, Summary, peak_rss};
use crate::output::table;
use crate::progress::Progress;
use crate::sbom::cyclonedx::Bom;
use crate::scan::{self, Options, ScanError};
use crate::target::ebs::EbsTarget;
use crate::target::{Identity, Leftover, Snapshots, Target};

/// List the packages on an EC2 instance, a volume, a snapshot, a disk image or a directory.
///
/// For an instance or a volume, snapshots are made, read and deleted again, also after a failure or Ctrl-C. A snapshot
/// that you name is only read. Needs the permissions of the scanner's role; credentials and region come from the usual
/// places of AWS tools.
///
/// Exit status: 0 everything was read; 3 something could not be read, and the list says what; 1 there is no list, or a
/// snapshot was left behind; 2 the command line is not understood.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Scan {
    /// What to scan: i-…, vol-…, snap-…, a raw disk image, a block device, or the root directory of a system.
    pub(super) target: String,
    /// Form of the package list.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write the package list to this file instead of standard output. The file appears when the list is whole.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the figures of the scan to this file, as JSON. They describe a package list: where there is none, what is
    /// there stays as it is.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// AWS region of the target.
    #[arg(long, value_name = "REGION", help_heading = "AWS")]
    region: Option<String>,
    /// Profile of the shared AWS configuration.
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    profile: Option<String>,
    /// How long to wait for snapshots: a number with s, m or h. The first snapshot of a large volume can take hours.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration, help_heading = "AWS")]
    snapshot_timeout: Duration,
    /// Blocks of one volume that are fetched at the same time.
    #[arg(long, value_name = "N", default_value = "64", help_heading = "AWS")]
    concurrency: NonZeroUsize,
}

const EXAMPLES: &str = "\
Examples:
  agentless-scanner scan i-0123456789abcdef0
  agentless-scanner scan snap-0123456789abcdef0 --format cyclonedx-json --output packages.cdx.json
  agentless-scanner scan disk.img --summary figures.json | grep openssl";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One package a line, in columns.
    Table,
    /// CycloneDX 1.6 in JSON.
    CyclonedxJson,
}

/// What is left of a snapshot's life when its scan should long be over, before others may delete it.
const EXPIRY_MARGIN: Duration = Duration::from_hours(2);

impl Scan {
    pub(super) fn run(self, log: Log) -> Result<Exit, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let exit = runtime.block_on(self.scan(log));
        // A thread that still analyses a cancelled target is not waited for.
        runtime.shutdown_background();
        exit
    }

    async fn scan(self, log: Log) -> Result<Exit, Box<dyn Error>> {
        let start = Instant::now();
        let target = Target::parse(&self.target)?;
        // Before the work, so that a wrong path does not cost the result.
        let output = self.output.as_deref().map(OutputFile::open).transpose()?;
        let summary_file = self.summary.as_deref().map(OutputFile::open).transpose()?;

        let now = OffsetDateTime::now_utc();
        let progress = Arc::new(Progress::default());
        let options = Options {
            limits: Limits::default(),
            concurrency: self.concurrency,
            snapshot_timeout: self.snapshot_timeout,
            now: now.replace_nanosecond(0)?,
            cancel: CancellationToken::new(),
            progress: Arc::clone(&progress),
        };
        let mut signals = Signals::listen()?;
        let shown = Shown::start(&progress, !log.quiet && !log.is_verbose());
        let Finished { result, leftover, calls } = match target.place() {
            Ok(ebs) => Box::pin(self.remote(&target, ebs, &options, &mut signals)).await,
            Err(path) => tokio::select! {
                result = scan::local(path, &target, &options) => result.map_err(Into::into).into(),
                () = signals.next() => Err(ScanError::Cancelled.into()).into(),
            },
        };
        drop(shown);
        if let Some(leftover) = &leftover {
            say(&format!("error: {leftover}"));
        }
        let scan = result?;
        let run = Run {
            calls,
            leftover: leftover.as_ref().map(|leftover| leftover.ids.clone()).unwrap_or_default(),
            duration: start.elapsed(),
            peak_rss: peak_rss(),
        };
        let summary = Summary::new(&scan, run);

        let write = |writer: &mut dyn Write| match self.format {
            Format::Table => table::write(&scan.report, writer),
            Format::CyclonedxJson => Bom::new(&scan.report, scan.time).write(writer),
        };
        match output {
            Some(file) => file.write(write)?,
            None => unless_closed(write_stdout(write))?,
        }
        if let Some(file) = summary_file {
            file.write(|writer| {
                serde_json::to_writer_pretty(&mut *writer, &summary)?;
                writer.write_all(b"\n")
            })?;
        }
        if !log.quiet {
            say(summary.text().trim_end());
        }
        Ok(match (leftover, summary.is_complete()) {
            (Some(_), _) => Exit::Failed,
            (None, false) => Exit::Incomplete,
            (None, true) => Exit::Complete,
        })
    }

    /// Scans a target in AWS. The first signal ends the scan and leaves nothing behind; the second ends the program, and
    /// tells what may be left.
    async fn remote(
        &self,
        target: &Target,
        ebs: EbsTarget<'_>,
        options: &Options,
        signals: &mut Signals,
    ) -> Finished {
        let connection = Connection { region: self.region.clone(), profile: self.profile.clone() };
        options.progress.step("connecting");
        let connected = tokio::select! {
            connected = Aws::connect(&connection) => connected,
            () = signals.next() => return Err(ScanError::Cancelled.into()).into(),
        };
        let aws = match connected {
            Ok(aws) => Arc::new(aws),
            Err(error) => return Err(error.into()).into(),
        };
        let identity = Identity {
            scan: Uuid::new_v4(),
            scanner: scanner_id(),
            target: target.to_string(),
            expires: options.now + self.snapshot_timeout + EXPIRY_MARGIN,
        };
        let region = aws.region();
        let snapshots = Snapshots::new(Arc::clone(&aws), identity);
        let scan = scan::remote(&aws, region, &snapshots, (target, ebs), options);
        tokio::pin!(scan);
        let (result, leftover) = tokio::select! {
            done = &mut scan => done,
            () = signals.next() => {
                options.cancel.cancel();
                say("ending the scan, and deleting its snapshots; press Ctrl-C again to leave them");
                tokio::select! {
                    done = &mut scan => done,
                    () = signals.next() => (Err(ScanError::Cancelled), snapshots.leftover(region, None)),
                }
            }
        };
        Finished { result: result.map_err(Into::into), leftover, calls: aws.calls() }
    }
}

/// A scan that has ended, one way or the other.
struct Finished {
    result: Result<scan::Scan, Box<dyn Error>>,
    leftover: Option<Leftover>,
    calls: BTreeMap<String, u64>,
}

impl From<Result<scan::Scan, Box<dyn Error>>> for Finished {
    fn from(result: Result<scan::Scan, Box<dyn Error>>) -> Self {
        Self { result, leftover: None, calls: BTreeMap::new() }
    }
}

/// Who scans, for the tags of snapshots: the machine on which the command is run.
fn scanner_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("cli@{}", host.trim())
}

/// Writes to standard output.
fn write_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    write(&mut stdout)?;
    stdout.flush()
}

/// A time such as `90s`, `30m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number with s, m or h, such as 90s, 30m or 2h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds_each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    // A week is more than any snapshot takes, and keeps the arithmetic of times from overflowing.
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds_each));
    seconds.filter(|&seconds| seconds <= 7 * 24 * 3600).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for wrong in ["", "s", "10", "-1s", "1.5h", "99999999999999999999h", "1000h", "1é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
