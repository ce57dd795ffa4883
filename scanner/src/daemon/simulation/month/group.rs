//! A model of an Auto Scaling group that keeps one instance.
//!
//! It is written from AWS's documentation, and is not AWS. Where that leaves a choice, the model takes the worse one. The pages of
//! the user guide, by their titles:
//!
//! - "Replace Auto Scaling instances based on maximum instance lifetime": what is in service for a day is replaced, by what the
//!   group launches at that time;
//! - "Instance maintenance policies": with 100 to 200 percent healthy, whatever is replaced goes on until another one is in service
//!   and warmed up, also where its health check failed;
//! - "How lifecycle hooks work in Auto Scaling groups", "Considerations and limitations for lifecycle hooks": waiting, heartbeats,
//!   timeouts, `CONTINUE` and `ABANDON`; whoever is abandoned is replaced, after pauses that grow while launches go on failing;
//! - "How an instance refresh works in an Auto Scaling group", "Understand the default values for an instance refresh": old
//!   instances are replaced by ones of the desired version, then the bake time is waited for, and only then the group launches that
//!   version for good; an hour without progress is a failure. Whatever is launched meanwhile is of the new version;
//! - "Undo changes with a manual or auto rollback": after a failure, or when an alarm goes off, what has the new version is replaced
//!   by what the group had before;
//! - "Health checks for instances in an Auto Scaling group": an instance that is off is found unhealthy some minutes later. An
//!   alarm on it goes off later still;
//! - "Auto Scaling group Availability Zone distribution": where a zone has no capacity, another one is tried.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::Outcome;

/// A numbered version of the launch template: the place of its image in the list of all.
pub(super) type Version = usize;
/// An instance.
pub(super) type Id = u32;

/// The group.
#[derive(Debug)]
pub(super) struct Group(Mutex<State>);

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    /// What it launches, unless a refresh says otherwise.
    version: Version,
    members: BTreeMap<Id, Member>,
    /// Whether each zone has capacity.
    zones: [bool; 3],
    refresh: Option<Refresh>,
    /// How many launches failed since the last that did not.
    failures: u32,
    /// When the next may be tried.
    next_launch: Instant,
    launches: Vec<Launched>,
    /// How many were replaced because of their age.
    aged: usize,
    /// Whether it is to have no instance any more.
    is_closed: bool,
}

#[derive(Debug)]
struct Member {
    version: Version,
    stage: Stage,
    /// From then on its health check fails, or has failed.
    unhealthy: Option<Instant>,
    gone: CancellationToken,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Pending { until: Instant },
    InService { since: Instant },
    Terminating { until: Instant, limit: Instant },
}

/// An instance refresh with automatic rollback, or what became of the last one.
#[derive(Clone, Copy, Debug)]
struct Refresh {
    version: Version,
    phase: Phase,
    /// When the alarm goes off.
    alarm: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Replacing { progress: Instant },
    Baking { until: Instant },
    RollingBack,
    Ended { is_success: bool },
}

/// An instance that was launched.
#[derive(Clone, Debug)]
pub(super) struct Launched {
    pub(super) id: Id,
    pub(super) version: Version,
    pub(super) at: Instant,
    /// Cancelled when the instance is terminated.
    pub(super) gone: CancellationToken,
}

/// `max_instance_lifetime`.
const LIFETIME: Duration = Duration::from_hours(24);
/// `default_instance_warmup`.
const WARM_UP: Duration = Duration::from_mins(1);
/// How long the hooks wait for a sign.
const LAUNCH_HOOK: Duration = Duration::from_mins(10);
const TERMINATION_HOOK: Duration = Duration::from_mins(30);
/// How long a hook waits at most, whatever signs there are.
const LONGEST: Duration = Duration::from_hours(48);
/// `bake_time`.
pub(super) const BAKE: Duration = Duration::from_mins(30);
/// A refresh that does not get further fails.
const STUCK: Duration = Duration::from_hours(1);
/// How soon a launch is tried again that a zone had no capacity for.
const ANOTHER_ZONE: Duration = Duration::from_secs(30);
/// The pauses between launches that fail: the first one, and the longest.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

impl Group {
    pub(super) fn new(seed: u64, version: Version) -> Self {
        Self(Mutex::new(State {
            random: fastrand::Rng::with_seed(seed),
            version,
            members: BTreeMap::new(),
            zones: [true; 3],
            refresh: None,
            failures: 0,
            next_launch: Instant::now(),
            launches: Vec::new(),
            aged: 0,
            is_closed: false,
        }))
    }

    /// Does what is to be done now, and says which instance was launched. To be asked every few seconds.
    pub(super) fn step(&self) -> Option<Launched> {
        let mut state = self.lock();
        state.time_out();
        state.go_on_with_refresh();
        state.terminate_replaced();
        state.launch_needed()
    }

    /// From now on each zone has capacity or not.
    pub(super) fn set_zones(&self, zones: [bool; 3]) {
        self.lock().zones = zones;
    }

    /// Whether there is a zone with capacity.
    pub(super) fn has_capacity(&self) -> bool {
        self.lock().zones.contains(&true)
    }

    /// Starts to replace all instances by ones of this version. False while that is done already.
    pub(super) fn start_refresh(&self, version: Version) -> bool {
        let mut state = self.lock();
        if state.is_refreshing() {
            return false;
        }
        let phase = Phase::Replacing { progress: Instant::now() };
        state.refresh = Some(Refresh { version, phase, alarm: None });
        true
    }

    /// Whether the last refresh has succeeded; nothing while it is under way.
    pub(super) fn refreshed(&self) -> Option<bool> {
        match self.lock().refresh?.phase {
            Phase::Ended { is_success } => Some(is_success),
            _ => None,
        }
    }

    /// An instance is off. What of it is in service stays so until the health check says otherwise.
    pub(super) fn died(&self, id: Id) {
        let mut state = self.lock();
        let after = Duration::from_secs(state.random.u64(60..300));
        if let Some(member) = state.members.get_mut(&id) {
            member.unhealthy = Some(Instant::now() + after);
        }
    }

    /// The instances that are in service, with their versions.
    pub(super) fn in_service(&self) -> Vec<(Id, Version)> {
        let state = self.lock();
        let in_service =
            state.members.iter().filter(|(_, member)| matches!(member.stage, Stage::InService { .. }));
        in_service.map(|(id, member)| (*id, member.version)).collect()
    }

    /// Whether one instance is in service and works, and nothing is about to change.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.lock();
        let mut members = state.members.values();
        let is_calm =
            |member: &Member| matches!(member.stage, Stage::InService { .. }) && member.unhealthy.is_none();
        members.len() == 1 && members.all(is_calm) && !state.is_refreshing()
    }

    /// What the group launches when nothing is changed.
    pub(super) fn version(&self) -> Version {
        self.lock().version
    }

    /// From now on it is to have no instance.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// How many instances were replaced because of their age.
    pub(super) fn aged(&self) -> usize {
        self.lock().aged
    }

    pub(super) fn launches(&self) -> Vec<Launched> {
        self.lock().launches.clone()
    }

    /// Whether the group wants an instance to end; nothing where it is not one of its own.
    pub(super) fn is_terminating(&self, id: Id) -> Option<bool> {
        let state = self.lock();
        state.members.get(&id).map(|member| matches!(member.stage, Stage::Terminating { .. }))
    }

    /// An instance says how the action of a hook ended. True if the hook waited for it.
    pub(super) fn complete(&self, id: Id, is_launch: bool, outcome: Outcome) -> bool {
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(&id) else { return false };
        match (is_launch, outcome, member.stage) {
            (true, Outcome::Continue, Stage::Pending { .. }) => {
                member.stage = Stage::InService { since: Instant::now() };
                let version = member.version;
                state.admitted(version);
            }
            (true, Outcome::Abandon, Stage::Pending { .. }) => state.abandon(id),
            // Whatever it says, it ends.
            (false, _, Stage::Terminating { .. }) => state.remove(id),
            _ => return false,
        }
        true
    }

    /// An instance says that it still works on it.
    pub(super) fn heartbeat(&self, id: Id) -> bool {
        let now = Instant::now();
        match self.lock().members.get_mut(&id).map(|member| &mut member.stage) {
            Some(Stage::Pending { until }) => *until = now + LAUNCH_HOOK,
            Some(Stage::Terminating { until, limit }) => *until = (now + TERMINATION_HOOK).min(*limit),
            _ => return false,
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn is_refreshing(&self) -> bool {
        self.refresh.is_some_and(|refresh| !matches!(refresh.phase, Phase::Ended { .. }))
    }

    /// The hooks do not wait for ever.
    fn time_out(&mut self) {
        let now = Instant::now();
        let is_over = |member: &Member| match member.stage {
            Stage::Pending { until } | Stage::Terminating { until, .. } => until <= now,
            Stage::InService { .. } => false,
        };
        let over: Vec<_> =
            self.members.iter().filter(|(_, member)| is_over(member)).map(|(id, _)| *id).collect();
        for id in over {
            match self.members[&id].stage {
                Stage::Pending { .. } => self.abandon(id),
                _ => self.remove(id),
            }
        }
    }

    fn go_on_with_refresh(&mut self) {
        let Some(mut refresh) = self.refresh else { return };
        let now = Instant::now();
        if !matches!(refresh.phase, Phase::Ended { .. } | Phase::RollingBack)
            && refresh.alarm.is_none()
            && self.members.values().any(Member::is_unhealthy)
        {
            refresh.alarm = Some(now + Duration::from_secs(self.random.u64(60..300)));
        }
        let is_alarmed = refresh.alarm.is_some_and(|at| at <= now);
        let is_other = |member: &Member, version| member.is_active() && member.version != version;
        refresh.phase = match refresh.phase {
            Phase::Replacing { .. } | Phase::Baking { .. } if is_alarmed => Phase::RollingBack,
            Phase::Replacing { progress } if progress + STUCK <= now => Phase::RollingBack,
            Phase::Replacing { .. }
                if self.members.values().any(Member::serves)
                    && !self.members.values().any(|member| is_other(member, refresh.version)) =>
            {
                Phase::Baking { until: now + BAKE }
            }
            Phase::Baking { until } if until <= now => {
                self.version = refresh.version;
                Phase::Ended { is_success: true }
            }
            Phase::RollingBack if !self.members.values().any(|member| is_other(member, self.version)) => {
                Phase::Ended { is_success: false }
            }
            phase => phase,
        };
        self.refresh = Some(refresh);
        if refresh.phase == Phase::RollingBack {
            self.failures = 0;
            let is_launching = |member: &Member| matches!(member.stage, Stage::Pending { .. });
            let undone = self
                .members
                .iter()
                .find(|(_, member)| is_launching(member) && is_other(member, self.version));
            if let Some(id) = undone.map(|(id, _)| *id) {
                self.remove(id);
            }
        }
    }

    /// Whether an instance in service is to be replaced.
    fn is_doomed(&self, member: &Member) -> bool {
        let Stage::InService { .. } = member.stage else { return false };
        if self.is_closed {
            return true;
        }
        member.is_old()
            || member.is_unhealthy()
            || (self.is_refreshing() && member.version != self.launched_version())
    }

    /// What is launched now.
    fn launched_version(&self) -> Version {
        match self.refresh {
            Some(Refresh { version, phase: Phase::Replacing { .. } | Phase::Baking { .. }, .. }) => version,
            _ => self.version,
        }
    }

    /// Whoever is to be replaced ends when another one serves in its place: the oldest first.
    fn terminate_replaced(&mut self) {
        let now = Instant::now();
        let mut doomed: Vec<_> = self.members.iter().filter(|(_, member)| self.is_doomed(member)).collect();
        doomed.sort_by_key(|(_, member)| !member.is_unhealthy());
        let others = |id: Id| self.members.iter().filter(move |(other, _)| **other != id);
        let can_go = |id: Id| self.is_closed || others(id).any(|(_, other)| other.serves());
        let replaced = doomed.iter().map(|(id, _)| **id).find(|id| can_go(*id));
        if let Some(member) = replaced.and_then(|id| self.members.get_mut(&id)) {
            self.aged += usize::from(member.is_old());
            member.stage = Stage::Terminating { until: now + TERMINATION_HOOK, limit: now + LONGEST };
        }
    }

    fn launch_needed(&mut self) -> Option<Launched> {
        let now = Instant::now();
        let active: Vec<_> = self.members.values().filter(|member| member.is_active()).collect();
        let is_launching = active.iter().any(|member| matches!(member.stage, Stage::Pending { .. }));
        let is_short = active.iter().all(|member| self.is_doomed(member));
        // One more than wanted at most.
        if self.is_closed || is_launching || !is_short || active.len() > 1 || now < self.next_launch {
            return None;
        }
        let zone = self.random.choice(self.zones).unwrap();
        if !zone {
            self.next_launch = now + ANOTHER_ZONE;
            return None;
        }
        let id = Id::try_from(self.launches.len() + 1).unwrap();
        let version = self.launched_version();
        let gone = CancellationToken::new();
        let stage = Stage::Pending { until: now + LAUNCH_HOOK };
        self.members.insert(id, Member { version, stage, unhealthy: None, gone: gone.clone() });
        let launched = Launched { id, version, at: now, gone };
        self.launches.push(launched.clone());
        Some(launched)
    }

    fn admitted(&mut self, version: Version) {
        self.failures = 0;
        if let Some(Refresh { version: wanted, phase: Phase::Replacing { progress }, .. }) = &mut self.refresh
            && *wanted == version
        {
            *progress = Instant::now();
        }
    }

    fn abandon(&mut self, id: Id) {
        self.remove(id);
        self.failed();
    }

    fn failed(&mut self) {
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.next_launch = Instant::now() + pause;
    }

    fn remove(&mut self, id: Id) {
        if let Some(member) = self.members.remove(&id) {
            member.gone.cancel();
        }
    }
}

impl Member {
    /// Whether it counts among those that are wanted: what ends does not.
    fn is_active(&self) -> bool {
        !matches!(self.stage, Stage::Terminating { .. })
    }

    fn is_old(&self) -> bool {
        matches!(self.stage, Stage::InService { since } if since.elapsed() >= LIFETIME)
    }

    fn is_unhealthy(&self) -> bool {
        self.unhealthy.is_some_and(|at| at <= Instant::now())
    }

    /// Whether the group takes it for one that works, and has waited for it to warm up.
    fn serves(&self) -> bool {
        matches!(self.stage, Stage::InService { since } if since.elapsed() >= WARM_UP) && !self.is_unhealthy()
    }
}
