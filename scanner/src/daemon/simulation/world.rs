//! The service's world over the simulated AWS: the real snapshots, sweeps and surveys; only reading a disk is waiting.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentless_service::journal::{Chronicle, Journal};
use agentless_service::queue::Job;
use agentless_service::report::{Outcome, Report};
use agentless_service::target::Place;
use tokio::time::{Instant, sleep};

use super::aws::{Account, Region};
use crate::daemon::discovery::{self, DiscoverySettings, Survey};
use crate::daemon::sweep::{InUse, Sweeper, Swept};
use crate::daemon::world::{Figures, Scanned, World};
use crate::target::ebs::{self, EbsTarget, Patience};
use crate::target::{EXPIRY_MARGIN, Identity, Permits, Shared, Snapshots};

/// How long snapshots are waited for.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_mins(30);
/// How many snapshots a scanner has in progress in a region.
const IN_PROGRESS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// The world of one scanner.
#[derive(Debug)]
pub(super) struct Simulated {
    account: Arc<Account>,
    scanner: String,
    grounds: BTreeMap<Place, Ground>,
}

#[derive(Debug)]
struct Ground {
    region: Region,
    shared: Arc<Shared<Region>>,
    sweeper: Sweeper<Region>,
}

impl Simulated {
    pub(super) fn new(account: &Arc<Account>, scanner: &str, journal: &Arc<Journal>) -> Self {
        let ground = |place: &Place| {
            let region = |is_sweep| Region {
                account: Arc::clone(account),
                place: place.clone(),
                scanner: scanner.to_owned(),
                is_sweep,
            };
            let chronicle: Arc<dyn Chronicle> = Arc::<Journal>::clone(journal);
            let permits = Permits::new(IN_PROGRESS);
            let (place, scanner, journal) = (place.clone(), scanner.to_owned(), Arc::clone(journal));
            Ground {
                region: region(false),
                shared: Arc::new(Shared::new(Arc::new(region(false)), place.clone(), permits, chronicle)),
                sweeper: Sweeper::new(Arc::new(region(true)), place, scanner, journal),
            }
        };
        let grounds = Account::places().iter().map(|place| (place.clone(), ground(place))).collect();
        Self { account: Arc::clone(account), scanner: scanner.to_owned(), grounds }
    }

    /// Makes the snapshots of a target, reads them for some minutes, and deletes them.
    async fn read(&self, job: &Job, step: &(dyn Fn(&str) + Sync)) -> Result<(), String> {
        let ground = &self.grounds[&job.target.place];
        let identity = Identity {
            scan: job.scan,
            scanner: self.scanner.clone(),
            target: job.target.id.clone(),
            expires: self.account.now() + SNAPSHOT_TIMEOUT + job.deadline + EXPIRY_MARGIN,
        };
        let snapshots = Snapshots::of(Arc::clone(&ground.shared), identity);
        let read = async {
            let patience = Patience { timeout: SNAPSHOT_TIMEOUT, cancel: &job.cancel, look: &step };
            let target = EbsTarget::Instance(&job.target.id);
            let prepared = ebs::prepare(&ground.region, &snapshots, target, patience).await;
            prepared.map_err(|error| crate::chain(&error))?;
            let reading = self.account.seconds(30..1500);
            job.cancel.run_until_cancelled(sleep(reading)).await.ok_or("cancelled")?;
            Ok(())
        };
        let result = read.await;
        // What is left of them is the sweep's.
        let _ = snapshots.delete_all(&job.target.place.region).await;
        result
    }
}

impl World for Simulated {
    async fn places(&self) -> Result<Vec<Place>, String> {
        match self.account.goes_wrong() {
            Some(_) => Err("no identity, by chance".to_owned()),
            None => Ok(self.grounds.keys().cloned().collect()),
        }
    }

    async fn survey(&self, place: &Place) -> Result<Survey, String> {
        Ok(discovery::survey(&self.grounds[place].region, place, &DiscoverySettings::default()).await)
    }

    async fn scan(&self, job: &Job, step: &(dyn Fn(&str) + Sync)) -> Scanned {
        let _living = self.account.begin(&self.scanner, job.scan);
        let (started, begin) = (self.account.now(), Instant::now());
        let is_late = AtomicBool::new(false);
        let deadline = async {
            sleep(job.deadline).await;
            is_late.store(true, Ordering::Relaxed);
            job.cancel.cancel();
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = self.read(job, step) => result,
            () = deadline => return Scanned::Cancelled,
        };
        let outcome = match result {
            Ok(()) => Outcome::Listed(Vec::new()),
            Err(_) if !is_late.into_inner() && job.cancel.is_cancelled() => return Scanned::Cancelled,
            Err(reason) => Outcome::Failed(reason),
        };
        let report = Report {
            target: job.target.clone(),
            scan: job.scan,
            scanner: self.scanner.clone(),
            started,
            duration: begin.elapsed(),
            outcome,
        };
        Scanned::Reported(Box::new(Figures { report, packages: 1, unknowns: 0 }))
    }

    async fn sweep(&self, place: &Place, in_use: &impl InUse) -> Result<Swept, String> {
        let swept = self.grounds[place].sweeper.sweep(in_use, self.account.now()).await;
        swept.map_err(|error| crate::chain(&error))
    }
}
