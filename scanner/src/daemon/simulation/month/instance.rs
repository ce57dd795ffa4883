//! The life of an instance of the group, from its launch to its end: what the service's start and end do, with the service itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::aws::Account;
use super::super::instance::{Disk, Instance};
use super::super::ledger::Loss;
use super::LINE;
use super::group::{Group, Id, Launched};
use crate::aws::{AwsError, Hook, Lifecycle, Outcome, TargetState};
use crate::daemon::ending::Next;
use crate::daemon::life::{self, Fate};

/// What an image is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quality {
    Good,
    /// The service on it cannot start, and says so.
    Broken,
    /// It does not even get so far.
    Stuck,
    /// It starts, and is off some time after it was admitted.
    DiesAfter(Duration),
}

/// What the instances have in common.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) account: Arc<Account>,
    pub(super) group: Arc<Group>,
    random: Mutex<fastrand::Rng>,
    /// The services that take on work, with the time of their start.
    services: Mutex<BTreeMap<Id, OffsetDateTime>>,
    /// Disks that were lost while there was no other service.
    orphans: Mutex<Vec<Loss>>,
    /// Ends the instance by a fault of its host.
    struck: Mutex<BTreeMap<Id, CancellationToken>>,
}

/// An instance, as its group sees it.
#[derive(Debug)]
struct Seat {
    fleet: Arc<Fleet>,
    id: Id,
}

const LAUNCH: &str = "launch";
const TERMINATION: &str = "termination";
/// How many of a hundred requests to the group go wrong.
const FAULTS: u32 = 5;

impl Fleet {
    pub(super) fn new(account: &Arc<Account>, group: &Arc<Group>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            account: Arc::clone(account),
            group: Arc::clone(group),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            services: Mutex::default(),
            orphans: Mutex::default(),
            struck: Mutex::default(),
        })
    }

    /// The host of an instance fails.
    pub(super) fn strike(&self, id: Id) {
        self.struck.lock().unwrap()[&id].cancel();
    }

    /// Whether an instance takes on work.
    pub(super) fn works(&self, id: Id) -> bool {
        self.services.lock().unwrap().contains_key(&id)
    }

    /// How many hosts have failed.
    pub(super) fn failed(&self) -> usize {
        self.struck.lock().unwrap().values().filter(|struck| struck.is_cancelled()).count()
    }

    /// Lives until the group has terminated it.
    pub(super) async fn live(self: Arc<Self>, launched: Launched, quality: Quality) {
        let Launched { id, gone, .. } = launched;
        let struck = CancellationToken::new();
        self.struck.lock().unwrap().insert(id, struck.clone());
        if gone.run_until_cancelled(sleep(self.seconds(30..120))).await.is_none() {
            return;
        }
        let seat = Seat { fleet: Arc::clone(&self), id };
        let (launch, termination) = (Hook(LAUNCH.to_owned()), Hook(TERMINATION.to_owned()));
        match quality {
            Quality::Stuck => return gone.cancelled().await,
            Quality::Broken => {
                // Whether it was told or not: there is nothing more to be done.
                let _ = life::complete(&seat, &launch, Outcome::Abandon).await;
                return gone.cancelled().await;
            }
            Quality::Good | Quality::DiesAfter(_) => {}
        }
        let number = self.random.lock().unwrap().u64(..);
        let instance =
            Instance::start(&self.account, LINE, format!("{LINE}/i-{id}"), Disk::new(number)).await;
        self.began(id, instance.started);
        let serve = async {
            // One that was not told is given up by the group when it has waited long enough.
            let _ = life::complete(&seat, &launch, Outcome::Continue).await;
            life::condemned(&seat).await;
        };
        let die = async {
            match quality {
                Quality::DiesAfter(time) => _ = struck.run_until_cancelled(sleep(time)).await,
                _ => struck.cancelled().await,
            }
        };
        tokio::select! {
            () = serve => {}
            () = die => return self.dies(id, instance).await,
            () = gone.cancelled() => return self.is_lost(id, instance).await,
        }
        self.services.lock().unwrap().remove(&id);
        let end = CancellationToken::new();
        let drain = async {
            instance.drain(Next::FreshDisk).await;
            end.cancel();
        };
        let finish = async {
            tokio::join!(life::keep_waiting(&seat, &termination, &end), drain);
            let _ = life::complete(&seat, &termination, Outcome::Continue).await;
        };
        tokio::select! {
            () = finish => gone.cancelled().await,
            () = gone.cancelled() => {
                if !end.is_cancelled() {
                    self.account.ledger.violation(format!("instance {id} was ended before it was done"));
                }
            }
        }
    }

    /// The machine is off, with whatever was on its disk.
    async fn dies(&self, id: Id, instance: Instance) {
        self.group.died(id);
        self.is_lost(id, instance).await;
    }

    async fn is_lost(&self, id: Id, instance: Instance) {
        let was = instance.started;
        let disk = instance.kill().await;
        let done = Account::places().map(|place| (place.clone(), disk.done(&place, was))).into();
        let mut services = self.services.lock().unwrap();
        services.remove(&id);
        let loss = Loss { line: LINE, disk: disk.number, done, started: was };
        match services.values().next() {
            Some(started) => self.account.ledger.lost(Loss { started: *started, ..loss }),
            None => self.orphans.lock().unwrap().push(loss),
        }
    }

    /// A service begins. It is the successor of those that left none.
    fn began(&self, id: Id, started: OffsetDateTime) {
        self.services.lock().unwrap().insert(id, started);
        for orphan in self.orphans.lock().unwrap().drain(..) {
            self.account.ledger.lost(Loss { started, ..orphan });
        }
    }

    fn seconds(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_secs(self.random.lock().unwrap().u64(range))
    }

    fn fails(&self) -> bool {
        self.random.lock().unwrap().u32(0..100) < FAULTS
    }
}

impl Seat {
    /// A request, which may fail before it does anything, or after.
    async fn ask(
        &self,
        call: &'static str,
        effect: impl FnOnce(&Group) -> bool + Send,
    ) -> Result<bool, AwsError> {
        let failed = || Err(AwsError::Failed { call, detail: "by chance".to_owned() });
        sleep(Duration::from_millis(200)).await;
        if self.fleet.fails() {
            return failed();
        }
        let waited = effect(&self.fleet.group);
        if self.fleet.fails() { failed() } else { Ok(waited) }
    }
}

impl Lifecycle for Seat {
    async fn complete(&self, hook: &Hook, outcome: Outcome) -> Result<bool, AwsError> {
        let call = "autoscaling:CompleteLifecycleAction";
        self.ask(call, |group| group.complete(self.id, hook.0 == LAUNCH, outcome)).await
    }

    async fn heartbeat(&self, _: &Hook) -> Result<bool, AwsError> {
        self.ask("autoscaling:RecordLifecycleActionHeartbeat", |group| group.heartbeat(self.id)).await
    }
}

impl Fate for Seat {
    async fn target_state(&self) -> Result<Option<TargetState>, String> {
        if self.fleet.fails() {
            return Err("no answer".to_owned());
        }
        let state =
            |is_terminating| if is_terminating { TargetState::Terminated } else { TargetState::InService };
        Ok(self.fleet.group.is_terminating(self.id).map(state))
    }
}
