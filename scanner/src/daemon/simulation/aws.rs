//! An account of AWS with instances and snapshots, whose answers come late, wrong or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agentless_service::target::Place;
use scanner_policy::tags;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::ledger::Ledger;
use crate::aws::inventory::{self, Inventory};
use crate::aws::{Attachment, AwsError, Ec2, Image, Instance, Snapshot, SnapshotState, Tags, VolumeInfo};

/// When the simulation begins.
const BEGINNING: OffsetDateTime = time::macros::datetime!(2026-11-21 06:00:00 UTC);
/// How many snapshots may be in progress in a region: less than both scanners want.
const IN_PROGRESS: usize = 8;
/// How long lists do not show what is new, and still show what is gone, at most.
const LAG: u64 = 20;
/// How long clients wait for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// The account.
#[derive(Debug)]
pub(super) struct Account {
    state: Mutex<State>,
    began: Instant,
    pub(super) ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    /// How many of a hundred requests go wrong.
    percent: u32,
    /// Volumes by instance and place.
    hosts: BTreeMap<(Place, String), Vec<String>>,
    snapshots: BTreeMap<String, Made>,
    /// Scans that have not ended, with their scanners.
    living: HashMap<Uuid, String>,
    created: usize,
    faults: usize,
}

#[derive(Clone, Debug)]
struct Made {
    place: Place,
    tags: Tags,
    started: OffsetDateTime,
    complete: Instant,
    fails: bool,
    /// From then on it is known to everybody.
    shown: Instant,
    /// From then on nobody knows it any more.
    gone: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Throttled,
    Failed,
    AnswerLost,
    Denied,
    Hangs,
    HangsAfterwards,
}

/// A scan that has not ended, until this is dropped.
#[derive(Debug)]
pub(super) struct Living {
    account: Arc<Account>,
    scan: Uuid,
}

/// A region of the account, as one part of one scanner sees it.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) account: Arc<Account>,
    pub(super) place: Place,
    /// The scanner.
    pub(super) scanner: String,
    /// Whether it is its sweeper that asks, and not a scan.
    pub(super) is_sweep: bool,
}

impl Account {
    pub(super) fn new(seed: u64, ledger: Arc<Ledger>) -> Arc<Self> {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            percent: 0,
            hosts: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            living: HashMap::new(),
            created: 0,
            faults: 0,
        };
        Arc::new(Self { state: Mutex::new(state), began: Instant::now(), ledger })
    }

    pub(super) fn places() -> [Place; 2] {
        ["eu-central-1", "eu-west-1"]
            .map(|region| Place { account: "111122223333".to_owned(), region: region.to_owned() })
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        BEGINNING + self.began.elapsed()
    }

    /// From here on, so many of a hundred requests go wrong.
    pub(super) fn set_faults(&self, percent: u32) {
        self.lock().percent = percent;
    }

    /// Something happens by this chance, as long as anything goes wrong at all.
    pub(super) fn goes_wrong(&self) -> Option<u32> {
        let mut state = self.lock();
        let percent = state.percent;
        (state.random.u32(0..100) < percent).then(|| state.random.u32(0..100))
    }

    pub(super) fn seconds(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_secs(self.lock().random.u64(range))
    }

    pub(super) fn appear(&self, place: &Place, id: &str, volumes: usize) {
        let volumes = (0..volumes).map(|number| format!("vol-{number}-of-{id}")).collect();
        self.lock().hosts.insert((place.clone(), id.to_owned()), volumes);
        self.ledger.appeared(arn(place, id), place.clone(), self.now());
    }

    pub(super) fn vanish(&self, place: &Place, id: &str) {
        self.lock().hosts.remove(&(place.clone(), id.to_owned()));
        self.ledger.vanished(&arn(place, id), self.now());
    }

    /// A scan begins.
    pub(super) fn begin(self: &Arc<Self>, scanner: &str, scan: Uuid) -> Living {
        self.lock().living.insert(scan, scanner.to_owned());
        Living { account: Arc::clone(self), scan }
    }

    /// How many scans of a scanner have not ended.
    pub(super) fn running(&self, scanner: &str) -> usize {
        self.lock().living.values().filter(|of| *of == scanner).count()
    }

    /// The snapshots that are there.
    pub(super) fn left(&self) -> Vec<(String, Tags)> {
        let state = self.lock();
        let there = state.snapshots.iter().filter(|(_, made)| made.gone.is_none());
        there.map(|(id, made)| (id.clone(), made.tags.clone())).collect()
    }

    /// The snapshots that are there so long after their expiry.
    pub(super) fn overdue(&self, by: Duration) -> Vec<String> {
        let now = self.now();
        let expiry = |tags: &Tags| OffsetDateTime::parse(&tags[tags::EXPIRES_AT], &Rfc3339).unwrap();
        let overdue = self.left().into_iter().filter(|(_, tags)| expiry(tags) + by < now);
        overdue.map(|(id, tags)| format!("{id} is overdue at {now}: {tags:?}")).collect()
    }

    /// How many snapshots were made, and how many requests went wrong.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.created, state.faults)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// The ARN of an instance.
pub(super) fn arn(place: &Place, id: &str) -> String {
    format!("arn:aws:ec2:{}:{}:instance/{id}", place.region, place.account)
}

impl Drop for Living {
    fn drop(&mut self) {
        self.account.lock().living.remove(&self.scan);
    }
}

impl State {
    fn fault(&mut self) -> Option<Fault> {
        use Fault::{AnswerLost, Denied, Failed, Hangs, HangsAfterwards, Throttled};
        let kinds =
            [Throttled, Throttled, Failed, Failed, AnswerLost, AnswerLost, Denied, Hangs, HangsAfterwards];
        if self.random.u32(0..100) >= self.percent {
            return None;
        }
        self.faults += 1;
        self.random.choice(kinds)
    }

    fn latency(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(5..400))
    }

    fn in_progress(&self, place: &Place) -> usize {
        let now = Instant::now();
        let here = self.snapshots.values().filter(|made| made.place == *place && made.gone.is_none());
        here.filter(|made| made.complete > now && !made.fails).count()
    }

    fn make(&mut self, place: &Place, tags: &Tags, started: OffsetDateTime) -> (String, Made) {
        self.created += 1;
        let now = Instant::now();
        // One in a hundred takes longer than any scan waits.
        let pending = if self.random.u32(0..100) == 0 { 7200 } else { self.random.u64(5..600) };
        let made = Made {
            place: place.clone(),
            tags: tags.clone(),
            started,
            complete: now + Duration::from_secs(pending),
            fails: self.random.u32(0..100) == 0,
            shown: now + Duration::from_secs(self.random.u64(0..LAG)),
            gone: None,
        };
        let id = format!("snap-{}", self.created);
        self.snapshots.insert(id.clone(), made.clone());
        (id, made)
    }
}

impl Made {
    fn is_known(&self) -> bool {
        let now = Instant::now();
        self.shown <= now && self.gone.is_none_or(|gone| gone > now)
    }

    fn describe(&self, id: &str) -> Snapshot {
        let state = if self.fails {
            SnapshotState::Unusable { reason: "error: by chance".to_owned() }
        } else if self.complete > Instant::now() {
            SnapshotState::Pending { progress: "40%".to_owned() }
        } else {
            SnapshotState::Completed
        };
        Snapshot { id: id.to_owned(), state, started: Some(self.started), tags: self.tags.clone() }
    }
}

fn not_found<T>(call: &'static str, id: &str) -> Result<T, AwsError> {
    Err(AwsError::NotFound { call, detail: format!("no {id}") })
}

impl Region {
    /// One request: what it does is done between two stretches of time, in each of which who asked may die.
    async fn request<T>(
        &self,
        call: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let detail = "by chance".to_owned();
        let (fault, there, back) = {
            let mut state = self.account.lock();
            (state.fault(), state.latency(), state.latency())
        };
        sleep(there).await;
        match fault {
            Some(Fault::Throttled) => return Err(AwsError::Throttled { call, detail }),
            Some(Fault::Failed) => return Err(AwsError::Failed { call, detail }),
            Some(Fault::Denied) => return Err(AwsError::Denied { call, detail }),
            Some(Fault::Hangs) => {
                sleep(PATIENCE).await;
                return Err(AwsError::Unreachable { call, source: detail.into() });
            }
            Some(Fault::AnswerLost | Fault::HangsAfterwards) | None => {}
        }
        let answer = effect(&mut self.account.lock());
        sleep(back).await;
        match fault {
            Some(Fault::HangsAfterwards) => {
                sleep(PATIENCE).await;
                Err(AwsError::Unreachable { call, source: detail.into() })
            }
            Some(_) => Err(AwsError::Failed { call, detail }),
            None => answer,
        }
    }

    fn volume_info(instance: &str, number: usize, id: &str) -> VolumeInfo {
        let attachment = Attachment { instance: instance.to_owned(), device: device(number) };
        VolumeInfo { id: id.to_owned(), tags: Tags::new(), attachments: vec![attachment] }
    }

    fn key(&self, id: &str) -> (Place, String) {
        (self.place.clone(), id.to_owned())
    }
}

impl Ec2 for Region {
    async fn instance(&self, id: &str) -> Result<Instance, AwsError> {
        let call = "ec2:DescribeInstances";
        let look = |state: &mut State| match state.hosts.get(&self.key(id)) {
            None => not_found(call, id),
            Some(_) => Ok(Instance {
                id: id.to_owned(),
                state: "running".to_owned(),
                root_device: Some("/dev/xvd0".to_owned()),
                tags: Tags::new(),
            }),
        };
        self.request(call, look).await
    }

    async fn volumes_of(&self, instance: &str) -> Result<Vec<VolumeInfo>, AwsError> {
        let look = |state: &mut State| {
            let volumes = state.hosts.get(&self.key(instance)).cloned().unwrap_or_default();
            Ok((0..).zip(&volumes).map(|(number, id)| Self::volume_info(instance, number, id)).collect())
        };
        self.request("ec2:DescribeVolumes", look).await
    }

    async fn volume(&self, id: &str) -> Result<VolumeInfo, AwsError> {
        not_found("ec2:DescribeVolumes", id)
    }

    async fn image(&self, id: &str) -> Result<Image, AwsError> {
        not_found("ec2:DescribeImages", id)
    }

    async fn copy_snapshot(&self, snapshot: &str, _: &Tags) -> Result<Snapshot, AwsError> {
        not_found("ec2:CopySnapshot", snapshot)
    }

    async fn create_snapshot(&self, volume: &str, tags: &Tags) -> Result<Snapshot, AwsError> {
        let (call, now) = ("ec2:CreateSnapshot", self.account.now());
        let make = |state: &mut State| {
            let mut volumes = state.hosts.iter().filter(|((place, _), _)| *place == self.place);
            if !volumes.any(|(_, volumes)| volumes.iter().any(|id| id == volume)) {
                return not_found(call, volume);
            }
            if state.in_progress(&self.place) >= IN_PROGRESS {
                return Err(AwsError::SnapshotLimit { call, detail: "too many".to_owned() });
            }
            let (id, made) = state.make(&self.place, tags, now);
            Ok(made.describe(&id))
        };
        self.request(call, make).await
    }

    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, AwsError> {
        let call = "ec2:DescribeSnapshots";
        let look = |state: &mut State| {
            let one = |id: &String| match state.snapshots.get(id).filter(|made| made.is_known()) {
                Some(made) => Ok(made.describe(id)),
                None => not_found(call, id),
            };
            ids.iter().map(one).collect()
        };
        self.request(call, look).await
    }

    async fn snapshots_tagged(&self, tags: &Tags) -> Result<Vec<Snapshot>, AwsError> {
        let look = |state: &mut State| {
            let here = state.snapshots.iter().filter(|(_, made)| made.place == self.place && made.is_known());
            let wanted =
                here.filter(|(_, made)| tags.iter().all(|(key, value)| made.tags.get(key) == Some(value)));
            Ok(wanted.map(|(id, made)| made.describe(id)).collect())
        };
        self.request("ec2:DescribeSnapshots", look).await
    }

    async fn delete_snapshot(&self, id: &str) -> Result<(), AwsError> {
        let (call, now) = ("ec2:DeleteSnapshot", self.account.now());
        let delete = |state: &mut State| {
            let lag = Duration::from_secs(state.random.u64(0..LAG));
            let living = state.living.clone();
            let Some(made) = state.snapshots.get_mut(id).filter(|made| made.is_known()) else {
                return not_found(call, id);
            };
            if made.gone.is_some() {
                return not_found(call, id);
            }
            let is_living =
                Uuid::parse_str(&made.tags[tags::SCAN_ID]).is_ok_and(|scan| living.contains_key(&scan));
            let is_own = made.tags[tags::SCANNER_ID] == self.scanner;
            if is_living && (self.is_sweep || !is_own) {
                let text =
                    format!("{now}: {} took {id} from a scan that runs: {:?}", self.scanner, made.tags);
                self.account.ledger.violation(text);
            }
            made.gone = Some(Instant::now() + lag);
            Ok(())
        };
        self.request(call, delete).await
    }
}

impl Inventory for Region {
    async fn instances(&self) -> Result<Vec<inventory::Instance>, AwsError> {
        let look = |state: &mut State| {
            let here = state.hosts.iter().filter(|((place, _), _)| *place == self.place);
            let instance = |((_, id), volumes): (&(Place, String), &Vec<String>)| inventory::Instance {
                id: id.clone(),
                state: "running".to_owned(),
                image: None,
                is_windows: false,
                root_device: Some("/dev/xvd0".to_owned()),
                volumes: (0..).zip(volumes).map(|(number, id)| (device(number), id.clone())).collect(),
                tags: Tags::new(),
            };
            Ok(here.map(instance).collect())
        };
        self.request("ec2:DescribeInstances", look).await
    }

    async fn attached_volumes(&self) -> Result<Vec<VolumeInfo>, AwsError> {
        let look = |state: &mut State| {
            let here = state.hosts.iter().filter(|((place, _), _)| *place == self.place);
            let volumes = here.flat_map(|((_, instance), volumes)| {
                (0..).zip(volumes).map(move |(number, id)| Self::volume_info(instance, number, id))
            });
            Ok(volumes.collect())
        };
        self.request("ec2:DescribeVolumes", look).await
    }

    async fn own_images(&self) -> Result<Vec<inventory::Image>, AwsError> {
        Ok(Vec::new())
    }

    async fn images(&self, _: &BTreeSet<String>) -> Result<Vec<inventory::Image>, AwsError> {
        Ok(Vec::new())
    }

    async fn functions(&self) -> Result<Vec<inventory::Function>, AwsError> {
        Ok(Vec::new())
    }

    async fn function_tags(&self, arn: &str) -> Result<Tags, AwsError> {
        not_found("lambda:ListTags", arn)
    }

    async fn aliased_versions(&self, arn: &str) -> Result<BTreeSet<String>, AwsError> {
        not_found("lambda:ListAliases", arn)
    }
}

fn device(number: usize) -> String {
    format!("/dev/xvd{number}")
}
