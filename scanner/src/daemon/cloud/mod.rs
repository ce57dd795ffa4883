//! The service's world where AWS answers.

mod lists;
mod scan;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use agentless_core::catalogue::Catalogue;
use agentless_sandbox::parent::Sandbox;
use agentless_service::delivery::Clock;
use agentless_service::journal::Journal;
use agentless_service::queue::Job;
use agentless_service::settings::{self, Settings};
use agentless_service::target::Place;
use scanner_policy::Feature;
use tokio::sync::watch;
use uuid::Uuid;

use super::discovery::{self, DiscoverySettings, Remembering, Survey, TagSelection};
use super::sweep::{InUse, Sweeper, Swept};
use super::world::{Scanned, World};
use crate::aws::{Accounts, Aws};
use crate::kept::Kept;
use crate::target::{Permits, Shared};

/// AWS, as the service needs it.
#[derive(Debug)]
pub struct Cloud {
    /// Who makes snapshots.
    scanner: String,
    accounts: Accounts,
    settings: watch::Receiver<Arc<Settings>>,
    /// The regions of each account.
    regions: Vec<String>,
    journal: Arc<Journal>,
    sandbox: Sandbox,
    catalogue: Catalogue,
    clock: Clock,
    /// What is kept of volumes for their next scan.
    kept: Arc<Kept>,
    grounds: Mutex<HashMap<Place, Arc<Ground>>>,
}

/// What the scans and sweeps of a place share.
#[derive(Debug)]
struct Ground {
    aws: Arc<Aws>,
    shared: Arc<Shared<Aws>>,
    sweeper: Sweeper<Aws>,
    functions: discovery::Memory,
}

impl Cloud {
    /// Sends no request.
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own, made in one place")]
    pub fn new(
        scanner: String,
        accounts: Accounts,
        settings: watch::Receiver<Arc<Settings>>,
        regions: Vec<String>,
        journal: Arc<Journal>,
        sandbox: Sandbox,
        catalogue: Catalogue,
        clock: Clock,
        kept: Arc<Kept>,
    ) -> Self {
        let grounds = Mutex::default();
        Self { scanner, accounts, settings, regions, journal, sandbox, catalogue, clock, kept, grounds }
    }

    /// Keeps nothing any longer, and says where there is something to sweep.
    pub fn forget_kept(&self) -> BTreeSet<Place> {
        self.kept.clear()
    }

    /// The accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    async fn ground(&self, place: &Place) -> Result<Arc<Ground>, String> {
        if let Some(ground) = self.grounds().get(place) {
            return Ok(Arc::clone(ground));
        }
        let aws = self.accounts.at(place).await.map_err(|error| crate::chain(&error))?;
        let settings = self.settings();
        let permits = Permits::new(NonZeroUsize::new(settings.queue.snapshots).unwrap_or(NonZeroUsize::MIN));
        let journal = Arc::clone(&self.journal);
        let ground = Ground {
            shared: Arc::new(Shared::new(Arc::clone(&aws), place.clone(), permits, self.journal.clone())),
            sweeper: Sweeper::new(Arc::clone(&aws), place.clone(), self.scanner.clone(), journal),
            functions: discovery::Memory::default(),
            aws,
        };
        // Somebody else may have been faster: there must not be two counts of snapshots.
        Ok(Arc::clone(self.grounds().entry(place.clone()).or_insert_with(|| Arc::new(ground))))
    }

    /// How many snapshots are in progress, by place.
    pub fn snapshots_in_progress(&self) -> Vec<(Place, usize)> {
        let grounds = self.grounds();
        let counts = grounds.iter().map(|(place, ground)| (place.clone(), ground.shared.in_progress()));
        let mut counts: Vec<_> = counts.collect();
        counts.sort();
        counts
    }

    fn grounds(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Arc<Ground>>> {
        self.grounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for Cloud {
    async fn places(&self) -> Result<Vec<Place>, String> {
        let accounts = self.accounts.ids().await.map_err(|error| crate::chain(&error))?;
        Ok(places(&accounts, &self.regions))
    }

    async fn survey(&self, place: &Place) -> Result<Survey, String> {
        let ground = self.ground(place).await?;
        let inventory = Remembering::new(&*ground.aws, &ground.functions);
        Ok(Box::pin(discovery::survey(&inventory, place, &wanted(&self.settings()))).await)
    }

    async fn scan(&self, job: &Job, step: &(dyn Fn(&str) + Sync)) -> Scanned {
        self.scan_target(job, step).await
    }

    async fn sweep(&self, place: &Place, in_use: &impl InUse) -> Result<Swept, String> {
        let ground = self.ground(place).await?;
        let now = self.clock.now();
        if self.settings().incremental {
            self.kept.expire(now);
        } else {
            self.kept.clear();
        }
        let in_use = AndKept { in_use, kept: &self.kept };
        ground.sweeper.sweep(&in_use, now).await.map_err(|error| crate::chain(&error))
    }
}

/// What is in use, and what is kept.
#[derive(Debug)]
pub(crate) struct AndKept<'a, I> {
    pub(crate) in_use: &'a I,
    pub(crate) kept: &'a Kept,
}

impl<I: InUse> InUse for AndKept<'_, I> {
    fn runs(&self, scan: Uuid) -> bool {
        self.in_use.runs(scan)
    }

    fn keeps(&self, snapshot: &str) -> bool {
        self.kept.keeps(snapshot) || self.in_use.keeps(snapshot)
    }
}

/// These regions of each of these accounts.
pub(super) fn places(accounts: &[String], regions: &[String]) -> Vec<Place> {
    let of = |account: &String| {
        let place = |region: &String| Place { account: account.clone(), region: region.clone() };
        regions.iter().map(place).collect::<Vec<_>>()
    };
    accounts.iter().flat_map(of).collect()
}

/// What to look for, as the configuration says.
pub fn wanted(settings: &Settings) -> DiscoverySettings {
    let feature = |feature: &settings::Feature| match feature {
        settings::Feature::Hosts => Feature::Hosts,
        settings::Feature::Images => Feature::Images,
        settings::Feature::Functions => Feature::Functions,
    };
    DiscoverySettings {
        features: settings.features.iter().map(feature).collect(),
        volumes: match settings.hosts.volumes {
            settings::Volumes::All => discovery::Volumes::All,
            settings::Volumes::Root => discovery::Volumes::Root,
        },
        stopped_instances: settings.hosts.stopped,
        owned_images: settings.images.owned,
        used_images: settings.images.used,
        tags: TagSelection { include: settings.include_tags.clone(), exclude: settings.exclude_tags.clone() },
    }
}
