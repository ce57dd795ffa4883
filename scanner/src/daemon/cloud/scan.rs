//! One scan of the service: from a job to a report.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use agentless_core::source::Source;
use agentless_core::task::{Scope, Task};
use agentless_sandbox::parent::{Job as Analysed, Stop};
use agentless_service::queue::Job;
use agentless_service::report::{Outcome, Report};
use agentless_service::settings::{VendorAgent, Volumes};
use agentless_service::target::Kind;
use agentless_service::tasks::Actions;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Cloud, Ground, lists};
use crate::daemon::world::{Figures, Scanned};
use crate::kept::Keeping;
use crate::progress::Progress;
use crate::scan::{self, Analysis, Options, Read, Scan, ScanError};
use crate::target::ebs::EbsTarget;
use crate::target::function::FunctionName;
use crate::target::{EXPIRY_MARGIN, Identity, Snapshots, Target};

/// Blocks of one volume that are fetched at the same time.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
/// How often the status learns how far a scan is.
const LOOK: Duration = Duration::from_secs(2);

impl Cloud {
    /// Scans a target.
    pub(super) async fn scan_target(&self, job: &Job, step: &(dyn Fn(&str) + Sync)) -> Scanned {
        let started = self.clock.now();
        let begin = Instant::now();
        let progress = Arc::new(Progress::default());
        let look = async {
            loop {
                sleep(LOOK).await;
                step(&progress.line());
            }
        };
        let is_late = std::sync::atomic::AtomicBool::new(false);
        let deadline = async {
            sleep(job.deadline).await;
            is_late.store(true, std::sync::atomic::Ordering::Relaxed);
            job.cancel.cancel();
            // The scan ends by itself, and deletes what it made.
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = self.read(job, &progress, started) => result,
            () = look => return Scanned::Cancelled,
            () = deadline => return Scanned::Cancelled,
        };
        let is_late = is_late.into_inner();
        let outcome = match result {
            Ok(scan) => {
                if let Some(reason) = self.skips(&scan) {
                    return Scanned::Skipped(reason);
                }
                let packages = agentless_core::number::to_u64(scan.report.packages().count());
                let unknowns = agentless_core::number::to_u64(scan.report.unknowns().len());
                let lists = lists::lists(&scan, &self.catalogue, actions(job));
                lists
                    .map(|lists| (Outcome::Listed(lists), packages, unknowns))
                    .map_err(|error| error.to_string())
            }
            Err(_) if is_late => Err(format!(
                "the scan was not done after {} s and was ended: give it more time with `scan_timeout_minutes`",
                job.deadline.as_secs()
            )),
            Err(error) if job.cancel.is_cancelled() => {
                tracing::debug!(error, "ended");
                return Scanned::Cancelled;
            }
            Err(error) => Err(error),
        };
        let (outcome, packages, unknowns) = outcome.unwrap_or_else(|reason| (Outcome::Failed(reason), 0, 0));
        let mut target = job.target.clone();
        if let Some(hostname) = &job.hostname {
            target.tags.entry("hostname".to_owned()).or_insert_with(|| hostname.clone());
        }
        let report = Report {
            target,
            scan: job.scan,
            scanner: self.settings().scanner_id.clone(),
            started,
            duration: begin.elapsed(),
            outcome,
        };
        Scanned::Reported(Box::new(Figures { report, packages, unknowns }))
    }

    /// Why what was read is not reported.
    fn skips(&self, scan: &Scan) -> Option<String> {
        let is_listed = self.settings().hosts.vendor_agent == VendorAgent::Skip
            && scan.report.kind == "instance"
            && scan.report.has_listing_agent();
        is_listed.then(|| "the Datadog agent on it lists its packages (`hosts.vendor_agent`)".to_owned())
    }

    async fn read(&self, job: &Job, progress: &Arc<Progress>, now: OffsetDateTime) -> Result<Scan, String> {
        let settings = self.settings();
        let ground = self.ground(&job.target.place).await?;
        let expires = now + settings.snapshot_timeout + job.deadline + EXPIRY_MARGIN;
        let is_kept = settings.incremental && matches!(job.target.kind, Kind::Instance | Kind::Volume);
        // As long as the next scan may take to come.
        let kept_until = expires.max(now + settings.scan_interval.saturating_mul(2));
        let expires = if is_kept { kept_until } else { expires };
        let keeping = is_kept.then(|| Keeping {
            kept: Arc::clone(&self.kept),
            place: job.target.place.clone(),
            expires,
            now,
        });
        let options = Options {
            limits: settings.limits.clone(),
            concurrency: CONCURRENCY,
            snapshot_timeout: settings.snapshot_timeout,
            now,
            cancel: job.cancel.clone(),
            progress: Arc::clone(progress),
            keeping,
        };
        let failed = |error: ScanError| crate::chain(&error);
        let id = job.target.id.clone();
        let (target, read) = match job.target.kind {
            Kind::Function => {
                let name = FunctionName::parse(&id).ok_or_else(|| format!("{id} is no ARN of a function"))?;
                let target = Target::Function(name.clone());
                let analysis = self.analysis(job, &target);
                (target.clone(), scan::with_function(&ground.aws, (&target, &name), &options, analysis).await)
            }
            kind => {
                let (target, is_root) = match kind {
                    Kind::Volume => (Target::Volume(id.clone()), false),
                    Kind::Snapshot => (Target::Snapshot(id.clone()), false),
                    Kind::Image => (Target::MachineImage(id.clone()), false),
                    _ => (Target::Instance(id.clone()), settings.hosts.volumes == Volumes::Root),
                };
                let ebs = match &target {
                    Target::Volume(id) => EbsTarget::Volume(id),
                    Target::Snapshot(id) => EbsTarget::Snapshot(id),
                    Target::MachineImage(id) => EbsTarget::Image(id),
                    _ if is_root => EbsTarget::RootOf(&id),
                    _ => EbsTarget::Instance(&id),
                };
                let analysis = self.analysis(job, &target);
                let identity =
                    Identity { scan: job.scan, scanner: self.scanner.clone(), target: id.clone(), expires };
                let read = self.read_disks(&ground, (&target, ebs), identity, &options, analysis).await;
                (target, read)
            }
        };
        let region = Some(job.target.place.region.clone());
        Scan::new(&target, region, read.map_err(failed)?, now).map(Scan::without_owned).map_err(failed)
    }

    async fn read_disks(
        &self,
        ground: &Ground,
        (target, ebs): (&Target, EbsTarget<'_>),
        identity: Identity,
        options: &Options,
        analysis: impl Analysis,
    ) -> Result<Read, ScanError> {
        let snapshots = Snapshots::of(Arc::clone(&ground.shared), identity);
        let region = ground.aws.region();
        let read = scan::with_remote(&ground.aws, region, &snapshots, (target, ebs), options, analysis);
        let (read, leftover) = read.await;
        if let Some(leftover) = leftover {
            // The journal knows of them, and the sweep goes on trying.
            tracing::warn!(%leftover, "snapshots are not deleted yet");
        }
        read
    }

    /// What an analyser is asked to do with the target.
    fn analysis(&self, job: &Job, target: &Target) -> impl Analysis + use<> {
        let (sandbox, stop, cancel) = (self.sandbox.clone(), Stop::default(), job.cancel.clone());
        let id = target.to_string();
        let task = Task::Packages(scope(actions(job)));
        let watched = stop.clone();
        let watch = Watch(tokio::spawn(async move {
            cancel.cancelled().await;
            watched.stop();
        }));
        move |source: Source<'_>| {
            let _watch = watch;
            sandbox.run(Analysed { task, id: &id, source }, &mut io::sink(), &stop)
        }
    }
}

/// Ends the analyser when the scan is cancelled. It ends with the analysis, also where that is never begun.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is scanned of a target: what the task wants, or everything.
fn actions(job: &Job) -> Actions {
    job.scope.actions(Actions::ALL)
}

/// What the analyser looks for.
fn scope(actions: Actions) -> Scope {
    Scope {
        languages: actions.containers_app || actions.applications,
        containers: actions.containers_os || actions.containers_app,
        copyright: false,
    }
}
