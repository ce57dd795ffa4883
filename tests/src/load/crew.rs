//! Several scanners at work, and what they use.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentless_service::board::View;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::time::sleep;

use super::fleet::{TAG, value};
use super::rates::{CLASSES, Class};
use super::{Load, LoadError, io};
use crate::local_aws::{InstanceMetadata, SeedError};
use crate::service::{Machine, Service, ServiceError};

/// The scanners, side by side.
#[derive(Debug)]
pub struct Crew {
    scanners: Vec<Scanner>,
}

/// One of them.
#[derive(Debug)]
pub struct Scanner {
    machine: Machine,
    /// None after its end.
    service: Option<Service>,
    _metadata: InstanceMetadata,
}

/// What one of them used, its analysers included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// In user and system mode, of the scanner and of its analysers that have ended.
    pub cpu: Duration,
    /// The most memory that the scanner itself had, the pages of its program included.
    pub peak_kib: u64,
    /// The most that it had whenever it was looked at, twice a second, without these pages.
    pub anonymous_kib: u64,
}

/// Where each scanner writes its lists.
const LISTS: &str = "lists";
/// Longer ago than any interval: everything is due.
const LONG_AGO: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Ticks a second in `/proc`, on every system that has it.
const TICKS: u64 = 100;

impl Crew {
    /// Starts them, with everything due.
    pub(super) async fn start(load: &Load<'_>) -> Result<Self, LoadError> {
        let mut scanners = Vec::new();
        for number in 0..load.scanners {
            scanners.push(Scanner::start(load, number).await?);
        }
        Ok(Self { scanners })
    }

    /// Waits until nothing waits any more and so many targets have a result that is written. Returns what is shown then, and what
    /// each has used.
    pub(super) async fn until_done(
        &self,
        targets: usize,
        limit: Duration,
    ) -> Result<(Vec<View>, Vec<Usage>), LoadError> {
        let end = Instant::now() + limit;
        let mut used = vec![Usage::default(); self.scanners.len()];
        loop {
            for (used, now) in used.iter_mut().zip(self.usage()?) {
                *used = Usage { anonymous_kib: used.anonymous_kib.max(now.anonymous_kib), ..now };
            }
            let mut views = Vec::new();
            for scanner in &self.scanners {
                views.push(scanner.view().await?);
            }
            let done: u64 = views.iter().flat_map(|view| view.totals.outcomes.values()).sum();
            let is_idle = |view: &View| {
                view.queue.waiting == 0
                    && view.queue.running == 0
                    && view.sinks.iter().all(|sink| sink.queued == 0)
            };
            if usize::try_from(done).is_ok_and(|done| done >= targets) && views.iter().all(is_idle) {
                return Ok((views, used));
            }
            if Instant::now() > end {
                let shown = views.iter().map(|view| format!("{:?} {:?}", view.queue, view.problems));
                let shown = shown.collect::<Vec<_>>().join("\n");
                return Err(LoadError::Late { done, targets, limit, shown });
            }
            sleep(PAUSE).await;
        }
    }

    /// What each of them has used so far, and the anonymous memory that it has now.
    fn usage(&self) -> Result<Vec<Usage>, LoadError> {
        let services = self.scanners.iter().filter_map(|scanner| scanner.service.as_ref());
        services.map(|service| usage(service.id().as_raw())).collect()
    }

    /// The package lists of each.
    pub(super) fn lists(&self) -> Result<Vec<Vec<PathBuf>>, LoadError> {
        let lists = self.scanners.iter().map(|scanner| scanner.machine.lists(LISTS));
        Ok(lists.collect::<Result<_, ServiceError>>()?)
    }

    /// Ends them, as a service manager does. Their files remain.
    pub(super) async fn end(mut self) -> Result<Self, LoadError> {
        for scanner in &mut self.scanners {
            let Some(service) = scanner.service.take() else { continue };
            let finished = service.end().await?;
            finished.success().map_err(ServiceError::from)?;
        }
        Ok(self)
    }
}

impl Scanner {
    async fn start(load: &Load<'_>, number: usize) -> Result<Self, LoadError> {
        let name = format!("worker-load-{number}");
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let iam = aws_sdk_iam::Client::new(&load.aws.harness_sdk_config());
        let role = iam.create_role().role_name(&name).assume_role_policy_document(trust);
        role.send().await.map_err(SeedError::from)?;
        let metadata = load.aws.instance_metadata(&name).await.map_err(io("serve instance metadata"))?;
        let machine = Machine::instance(load.aws, &metadata)?.logging("info");
        machine.configure(&keys(load, number, &machine.path(LISTS)))?;
        machine.all_done_until(LONG_AGO)?;
        let service = machine.ready().await?;
        Ok(Self { machine, service: Some(service), _metadata: metadata })
    }

    async fn view(&self) -> Result<View, LoadError> {
        match &self.service {
            Some(service) => Ok(service.view().await?),
            None => Err(io("watch a scanner")(std::io::Error::other("it has ended"))),
        }
    }
}

/// A scanner's configuration: its own part of the targets, in every region, and of the requests.
fn keys(load: &Load<'_>, number: usize, lists: &Path) -> String {
    let rate = |class: &Class| format!("{}: {}", class.name, (load.rates)(class, load.scanners));
    let rates: Vec<String> = CLASSES.iter().map(rate).collect();
    format!(
        "scanner_id: load-{number}
regions: [{}]
features: [hosts, images, functions]
images: {{used: false}}
include_tags: {{{TAG}: {}}}
rate_limits: {{{}}}
sinks:
  files: {{directory: {}}}
",
        load.regions.join(", "),
        value(number),
        rates.join(", "),
        lists.display(),
    )
}

/// `proc_pid_stat(5)` and `proc_pid_status(5)`.
fn usage(process: i32) -> Result<Usage, LoadError> {
    let file = |name: &str| {
        let path = format!("/proc/{process}/{name}");
        std::fs::read_to_string(&path).map_err(io(format!("read {path}")))
    };
    let (stat, status) = (file("stat")?, file("status")?);
    parsed(&stat, &status).ok_or_else(|| {
        io(format!("understand the figures of process {process}"))(std::io::Error::other(stat))
    })
}

fn parsed(stat: &str, status: &str) -> Option<Usage> {
    // After the program's name, which may contain anything: `utime`, `stime`, `cutime` and `cstime` are the 14th to 17th.
    let (_, figures) = stat.rsplit_once(") ")?;
    let times = figures.split_whitespace().skip(11).take(4).map(|time| time.parse::<u64>().ok());
    let ticks: u64 = times.sum::<Option<u64>>()?;
    let kib = |name: &str| -> Option<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse().ok()
    };
    let (peak_kib, anonymous_kib) = (kib("VmHWM")?, kib("RssAnon")?);
    Some(Usage { cpu: Duration::from_millis(ticks * (1000 / TICKS)), peak_kib, anonymous_kib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 7 20 0 9 0 1 2 3";
        let used = parsed(stat, "Name:\ta\nVmHWM:\t   1234 kB\nRssAnon:\t 34 kB\n").unwrap();
        let expected = (Duration::from_millis(1300), 1234, 34);
        assert_eq!((used.cpu, used.peak_kib, used.anonymous_kib), expected);
        assert!(parsed("7 (a) S", "VmHWM: 1 kB").is_none());
        let own = usage(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.peak_kib > 100, "{own:?}");
    }
}
