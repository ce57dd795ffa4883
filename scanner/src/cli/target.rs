//! The target of a verb: where it is, and how it is reached.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agentless_core::limits::Limits;
use agentless_core::source::Source;
use agentless_core::task::Task;
use agentless_sandbox::parent::{Job, Mode, Program, Sandbox, SandboxError, Stop};
use agentless_service::settings::{Mistakes, Settings};
use clap::{Args, ValueEnum};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::confine::{Safeguards, confine};
use super::log::Log;
use super::say;
use super::shown::Shown;
use super::signals::Signals;
use crate::aws::{Aws, Connection};
use crate::config::sandbox_mode;
use crate::progress::Progress;
use crate::scan::{self, Analysis, Options, Read, ScanError};
use crate::target::ebs::EbsTarget;
use crate::target::function::FunctionName;
use crate::target::{EXPIRY_MARGIN, Identity, Leftover, Snapshots, Target, TargetError, TargetPlace};

/// Where a target is, and how it is reached.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// What to read: i-…, vol-…, snap-…, ami-…, lambda:NAME or the ARN of a function, a raw disk image, a block device, or the root directory of a system.
    pub(super) target: String,
    /// A further disk of the same machine, as an image or a block device: its /var, or the rest of its volume group. Can be
    /// given several times.
    #[arg(long = "disk", value_name = "PATH")]
    disks: Vec<PathBuf>,
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
    /// What to do where the system cannot take the power from the process that reads the disks, and from this one what it
    /// does not need. Without it, the configuration says so, or else it is best-effort.
    #[arg(long, value_enum, value_name = "MODE", help_heading = "Protection")]
    sandbox: Option<SandboxMode>,
    /// Configuration in YAML, of which the keys sandbox and limits count here. Without it, the file that
    /// AGENTLESS_SCANNER_CONFIG names, or else /etc/agentless-scanner/config.yaml if it exists.
    #[arg(long, value_name = "FILE", help_heading = "Protection")]
    #[expect(clippy::doc_markdown, reason = "the text is the option's help, where backticks would show")]
    config: Option<PathBuf>,
}

/// As [`Mode`], on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SandboxMode {
    /// Read nothing.
    Required,
    /// Read all the same, with a warning.
    BestEffort,
}

impl From<SandboxMode> for Mode {
    fn from(mode: SandboxMode) -> Self {
        match mode {
            SandboxMode::Required => Self::Required,
            SandboxMode::BestEffort => Self::BestEffort,
        }
    }
}

/// What became of reading a target.
pub(super) struct Finished {
    /// What was found.
    pub(super) result: Result<Read, Box<dyn Error>>,
    /// The region of a target that is in AWS.
    pub(super) region: Option<String>,
    /// Snapshots that could not be deleted.
    pub(super) leftover: Option<Leftover>,
    /// Requests to AWS, by action.
    pub(super) calls: BTreeMap<String, u64>,
}

impl From<Result<Read, Box<dyn Error>>> for Finished {
    fn from(result: Result<Read, Box<dyn Error>>) -> Self {
        Self { result, region: None, leftover: None, calls: BTreeMap::new() }
    }
}

/// A target, and how it is read.
pub(super) struct Reading {
    /// The target.
    pub(super) target: Target,
    /// What reading it may cost.
    pub(super) options: Options,
    protection: Safeguards,
}

impl Place {
    /// Finds out what to read and how, and gives up what this process does not need for that and for writing files into
    /// `folders`. It must be called while the process has one thread.
    pub(super) fn prepare<'a>(
        &self,
        folders: impl IntoIterator<Item = &'a Path>,
        log: Log,
    ) -> Result<Reading, Box<dyn Error>> {
        let settings = self.settings()?;
        let target = self.target()?;
        // The command line has the last word.
        let mode =
            self.sandbox.map(Mode::from).or_else(|| settings.sandbox.map(sandbox_mode)).unwrap_or_default();
        let protection = confine(&target, folders, mode, log)?;
        Ok(Reading { target, options: self.options(settings.limits)?, protection })
    }

    fn target(&self) -> Result<Target, TargetError> {
        let target = Target::parse(&self.target)?;
        match &target {
            Target::Image(path) | Target::Device(path) => {
                let mut seen = HashSet::new();
                for disk in std::iter::once(path).chain(&self.disks) {
                    // What does not exist is said when it is opened.
                    if !seen.insert(disk.canonicalize().unwrap_or_else(|_| disk.clone())) {
                        return Err(TargetError::Twice { given: disk.display().to_string() });
                    }
                }
                Ok(target)
            }
            _ if self.disks.is_empty() => Ok(target),
            _ => Err(TargetError::Disks { given: self.target.clone() }),
        }
    }

    fn settings(&self) -> Result<Settings, Mistakes> {
        Settings::load_here(self.config.as_deref(), &[])
    }

    /// How to read it.
    fn options(&self, limits: Limits) -> Result<Options, Box<dyn Error>> {
        Ok(Options {
            limits,
            concurrency: self.concurrency,
            snapshot_timeout: self.snapshot_timeout,
            now: OffsetDateTime::now_utc().replace_nanosecond(0)?,
            cancel: CancellationToken::new(),
            progress: Arc::new(Progress::default()),
            keeping: None,
        })
    }

    /// Has an analyser do its task with the target; what that prints goes to `out`. `shows` says whether a line on the
    /// terminal may tell how far it is.
    pub(super) fn analyse(
        &self,
        reading: &Reading,
        task: Task,
        shows: bool,
        out: impl Write + Send + 'static,
    ) -> Result<Finished, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let finished = runtime.block_on(self.run(reading, task, shows, out));
        // A thread that still reads a cancelled target is not waited for.
        runtime.shutdown_background();
        finished
    }

    async fn run(
        &self,
        Reading { target, options, protection }: &Reading,
        task: Task,
        shows: bool,
        mut out: impl Write + Send + 'static,
    ) -> Result<Finished, Box<dyn Error>> {
        let mut signals = Signals::listen()?;
        let protection = protection.clone();
        let sandbox =
            Sandbox { program: Program::own()?, mode: protection.mode(), limits: options.limits.clone() };
        let stop = Stop::default();
        tokio::spawn(stop_when(options.cancel.clone(), stop.clone()));
        let id = target.to_string();
        let analysis = move |source: Source<'_>| {
            let job = Job { task, id: &id, source };
            let result = sandbox.run_watched(job, &mut out, &stop, &|analyser| protection.warn(analyser))?;
            out.flush().map_err(SandboxError::Output)?;
            Ok(result)
        };
        let _shown = Shown::start(&options.progress, shows);
        Ok(match target.place() {
            TargetPlace::Ebs(ebs) => {
                Box::pin(self.remote(target, ebs, options, &mut signals, analysis)).await
            }
            TargetPlace::Lambda(name) => tokio::select! {
                finished = self.function(target, name, options, analysis) => finished,
                () = signals.next() => {
                    options.cancel.cancel();
                    Err(ScanError::Cancelled.into()).into()
                }
            },
            TargetPlace::Here(path) => tokio::select! {
                result = scan::with_local(target, path, &self.disks, options, analysis) => result.map_err(Into::into).into(),
                () = signals.next() => Err(ScanError::Cancelled.into()).into(),
            },
        })
    }

    /// Reads a function. Nothing is made for it, so nothing is left behind.
    async fn function(
        &self,
        target: &Target,
        name: &FunctionName,
        options: &Options,
        analysis: impl Analysis,
    ) -> Finished {
        // An ARN names its region, which need not be said twice.
        let region = self.region.clone().or_else(|| name.region().map(str::to_owned));
        let connection = Connection { region, profile: self.profile.clone() };
        options.progress.step("connecting");
        let aws = match Aws::connect(&connection).await {
            Ok(aws) => Arc::new(aws),
            Err(error) => return Err(error.into()).into(),
        };
        let result = scan::with_function(&aws, (target, name), options, analysis).await;
        let region = Some(aws.region().to_owned());
        Finished { result: result.map_err(Into::into), region, leftover: None, calls: aws.calls() }
    }

    /// Reads a target in EC2. The first signal ends that and leaves nothing behind; the second ends the program, and
    /// tells what may be left.
    async fn remote(
        &self,
        target: &Target,
        ebs: EbsTarget<'_>,
        options: &Options,
        signals: &mut Signals,
        analysis: impl Analysis,
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
        let reading = scan::with_remote(&aws, region, &snapshots, (target, ebs), options, analysis);
        tokio::pin!(reading);
        let (result, leftover) = tokio::select! {
            done = &mut reading => done,
            () = signals.next() => {
                options.cancel.cancel();
                say("ending the scan, and deleting its snapshots; press Ctrl-C again to leave them");
                tokio::select! {
                    done = &mut reading => done,
                    () = signals.next() => (Err(ScanError::Cancelled), snapshots.leftover(region, None)),
                }
            }
        };
        let region = Some(region.to_owned());
        Finished { result: result.map_err(Into::into), region, leftover, calls: aws.calls() }
    }
}

/// Ends an analysis when the scan is cancelled.
async fn stop_when(cancel: CancellationToken, stop: Stop) {
    cancel.cancelled().await;
    stop.stop();
}

/// Who scans, for the tags of snapshots: the machine on which the command is run.
pub(super) fn scanner_id() -> String {
    format!("cli@{}", crate::hostname())
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
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn each_disk_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        for name in ["one", "two"] {
            std::fs::write(path(name), [0; 512]).unwrap();
        }
        std::os::unix::fs::symlink("one", path("link")).unwrap();
        let place = |disk: &str| {
            let arguments = ["scan".into(), path("one"), "--disk".into(), path(disk)];
            let matches = Place::augment_args(clap::Command::new("scan")).get_matches_from(arguments);
            Place::from_arg_matches(&matches).unwrap()
        };
        assert!(place("two").target().is_ok());
        for same in ["one", "link"] {
            assert!(matches!(place(same).target(), Err(TargetError::Twice { .. })), "{same}");
        }
    }

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
