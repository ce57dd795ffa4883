//! The states of snapshots in progress: one watcher asks for those of all scans of a place together.
//!
//! A snapshot is asked for at once, and then with pauses that grow with its age, from a second to fifteen. EC2 answers for all
//! snapshots of a request or for none: if it does not know one of them, halves are asked for until it is found, and from
//! then on that one is asked for alone. So what became of one never keeps the others' states from those who wait for them.
//!
//! The watcher holds the permits of new snapshots, so that these are free as soon as AWS has the snapshot complete,
//! whatever the scan does meanwhile: scans that wait for permits of each other would wait for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::permits::Permit;
use crate::aws::{AwsError, Ec2, Snapshot, SnapshotState};

/// What is known of a snapshot.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    /// It is in progress, or not known yet.
    Pending {
        /// How much is copied, in EC2's words; may be empty.
        progress: String,
    },
    /// It can be read.
    Completed,
    /// It failed.
    Unusable {
        /// EC2's word for the state, and its message.
        reason: String,
    },
    /// Somebody deleted it.
    Gone,
    /// EC2 does not tell.
    Unseen(Arc<AwsError>),
}

/// Watches the snapshots of one place.
#[derive(Debug)]
pub(super) struct Watcher<C> {
    inner: Arc<Inner<C>>,
}

/// The states of one snapshot, as they are seen.
#[derive(Clone, Debug)]
pub(super) struct Watch(watch::Receiver<Sight>);

#[derive(Debug)]
struct Inner<C> {
    ec2: Arc<C>,
    state: Mutex<State>,
    /// There is something new to look at.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    watched: BTreeMap<String, Watched>,
    is_running: bool,
}

#[derive(Debug)]
struct Watched {
    sender: watch::Sender<Sight>,
    since: Instant,
    /// When it is asked for again.
    next: Instant,
    /// EC2 did not know it the last time.
    is_unknown: bool,
    /// How often in a row there was no answer.
    blind: u32,
    permit: Option<Permit>,
}

/// How many snapshots are asked for in one request.
const BATCH: usize = 200;
/// Pauses between looks at a snapshot's state.
const POLL: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(15);
/// For so long a new snapshot may be unknown to EC2.
const SETTLE: Duration = Duration::from_mins(1);
/// How often in a row the state of a snapshot cannot be looked up, for a passing reason, before that is said.
const BLIND_LOOKS: u32 = 5;

impl<C: Ec2> Watcher<C> {
    /// Of nothing yet.
    pub(super) fn new(ec2: Arc<C>) -> Self {
        Self { inner: Arc::new(Inner { ec2, state: Mutex::default(), wake: Notify::new() }) }
    }

    /// Looks at a snapshot at once and then now and again, as long as somebody has the answer and there can be a new one.
    pub(super) fn watch(&self, id: &str) -> Watch {
        self.add(id, Duration::ZERO, None)
    }

    /// As [`watch`](Self::watch), for a snapshot that was asked for a moment ago. Its permit is free when it is in progress
    /// no longer.
    pub(super) fn watch_new(&self, id: &str, permit: Option<Permit>) -> Watch {
        self.add(id, POLL, permit)
    }

    /// Nobody needs to look at it any more: it is deleted.
    pub(super) fn forget(&self, id: &str) {
        if let Some(watched) = self.inner.state().watched.remove(id) {
            watched.sender.send_replace(Sight::Gone);
        }
    }

    fn add(&self, id: &str, delay: Duration, permit: Option<Permit>) -> Watch {
        let now = Instant::now();
        let mut state = self.inner.state();
        let watched = state.watched.entry(id.to_owned()).or_insert_with(|| Watched {
            sender: watch::Sender::new(Sight::Pending { progress: String::new() }),
            since: now,
            next: now + delay,
            is_unknown: false,
            blind: 0,
            permit: None,
        });
        watched.next = watched.next.min(now + delay);
        if permit.is_some() {
            watched.permit = permit;
        }
        let watch = Watch(watched.sender.subscribe());
        if !state.is_running {
            state.is_running = true;
            tokio::spawn(Arc::clone(&self.inner).run());
        }
        self.inner.wake.notify_one();
        watch
    }
}

impl Watch {
    /// What is known now. `None` if nobody looks any more, which is an error of this program.
    pub(super) fn sight(&mut self) -> Option<Sight> {
        let is_over = self.0.has_changed().is_err();
        let sight = self.0.borrow_and_update().clone();
        let is_pending = matches!(sight, Sight::Pending { .. });
        (!is_over || !is_pending).then_some(sight)
    }

    /// Waits for something that [`sight`](Self::sight) has not told yet.
    pub(super) async fn changed(&mut self) {
        // An error says that nothing will change any more, which is new, too.
        let _ = self.0.changed().await;
    }
}

/// What to do next.
enum Step {
    Ask(Vec<Vec<String>>),
    Wait(Instant),
    End,
}

impl<C: Ec2> Inner<C> {
    async fn run(self: Arc<Self>) {
        let _running = Running(&self.state);
        loop {
            match self.step() {
                Step::Ask(batches) => self.look(batches).await,
                Step::Wait(until) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = self.wake.notified() => {}
                },
                Step::End => return,
            }
        }
    }

    fn step(&self) -> Step {
        let now = Instant::now();
        let mut state = self.state();
        state.watched.retain(|_, watched| watched.is_wanted());
        let Some(next) = state.watched.values().map(|watched| watched.next).min() else {
            // Under the lock: whoever adds one from here on starts anew.
            state.is_running = false;
            return Step::End;
        };
        if next > now {
            return Step::Wait(next);
        }
        // What would be asked for soon is asked for along with what is due.
        let due = state.watched.iter().filter(|(_, watched)| watched.next <= now + watched.pause(now) / 2);
        let (unknown, known): (Vec<_>, Vec<_>) = due.partition(|(_, watched)| watched.is_unknown);
        let known: Vec<_> = known.into_iter().map(|(id, _)| id.clone()).collect();
        let alone = unknown.into_iter().map(|(id, _)| vec![id.clone()]);
        Step::Ask(known.chunks(BATCH).map(<[_]>::to_vec).chain(alone).collect())
    }

    async fn look(&self, mut batches: Vec<Vec<String>>) {
        while let Some(mut batch) = batches.pop() {
            match self.ec2.snapshots(&batch).await {
                Ok(found) => self.saw(&batch, found),
                Err(AwsError::NotFound { .. }) if batch.len() > 1 => {
                    batches.push(batch.split_off(batch.len() / 2));
                    batches.push(batch);
                }
                Err(AwsError::NotFound { .. }) => self.saw(&batch, Vec::new()),
                Err(error) => self.saw_nothing(&batch, error),
            }
        }
    }

    fn saw(&self, batch: &[String], found: Vec<Snapshot>) {
        let now = Instant::now();
        let found: BTreeMap<_, _> = found.into_iter().map(|snapshot| (snapshot.id, snapshot.state)).collect();
        let mut state = self.state();
        for id in batch {
            let Some(watched) = state.watched.get_mut(id) else { continue };
            watched.blind = 0;
            watched.next = now + watched.pause(now);
            watched.is_unknown = !found.contains_key(id);
            let sight = match found.get(id) {
                Some(SnapshotState::Pending { progress }) => Sight::Pending { progress: progress.clone() },
                Some(SnapshotState::Completed) => Sight::Completed,
                Some(SnapshotState::Unusable { reason }) => Sight::Unusable { reason: reason.clone() },
                None if now.duration_since(watched.since) < SETTLE => continue,
                None => Sight::Gone,
            };
            state.tell(id, sight);
        }
    }

    fn saw_nothing(&self, batch: &[String], error: AwsError) {
        let now = Instant::now();
        let error = Arc::new(error);
        tracing::warn!(
            snapshots = batch.len(),
            error = crate::chain(&*error),
            "the snapshots could not be looked up"
        );
        let mut state = self.state();
        for id in batch {
            let Some(watched) = state.watched.get_mut(id) else { continue };
            watched.blind = watched.blind.saturating_add(1);
            let patience = POLL.saturating_mul(1 << watched.blind.min(4)).min(POLL_MAX);
            watched.next = now + watched.pause(now).max(patience);
            // Hours of waiting are not lost over a minute without answers.
            if !error.is_passing() || watched.blind > BLIND_LOOKS {
                state.tell(id, Sight::Unseen(Arc::clone(&error)));
            }
        }
    }
}

impl<C> Inner<C> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells those who wait, and looks no more if nothing will change any more.
    fn tell(&mut self, id: &str, sight: Sight) {
        if matches!(sight, Sight::Pending { .. }) {
            if let Some(watched) = self.watched.get(id) {
                watched.sender.send_replace(sight);
            }
        } else if let Some(watched) = self.watched.remove(id) {
            watched.sender.send_replace(sight);
        }
    }
}

impl Watched {
    fn is_wanted(&self) -> bool {
        self.permit.is_some() || self.sender.receiver_count() > 0
    }

    fn pause(&self, now: Instant) -> Duration {
        (now.duration_since(self.since) / 2).clamp(POLL, POLL_MAX)
    }
}

/// Says, also after a panic, that nobody looks any more: those who wait then learn of it instead of waiting.
struct Running<'a>(&'a Mutex<State>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::super::fake::{Cloud, Mishap};
    use super::super::permits::Permits;
    use super::*;
    use crate::aws::Tags;

    async fn made(cloud: &Cloud, count: usize) -> Vec<String> {
        let tags = Tags::from([(scanner_policy::tags::SCANNER.to_owned(), "true".to_owned())]);
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(cloud.create_snapshot("vol-1", &tags).await.unwrap().id);
        }
        ids
    }

    async fn end(mut watch: Watch) -> Sight {
        loop {
            match watch.sight().unwrap() {
                Sight::Pending { .. } => watch.changed().await,
                sight => return sight,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_snapshots_are_asked_for_together() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_mins(10));
        let watcher = Watcher::new(Arc::clone(&cloud));
        let ids = made(&cloud, 300).await;
        let mut all = Vec::new();
        for (number, id) in (0..).zip(&ids) {
            all.push(watcher.watch(id));
            if number % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
        for watch in all {
            assert!(matches!(end(watch).await, Sight::Completed));
        }
        // Alone each would take 45 looks.
        assert!(cloud.looks() < 200, "{}", cloud.looks());
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_deleted_cost_nobody_else() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_mins(5));
        let watcher = Watcher::new(Arc::clone(&cloud));
        let ids = made(&cloud, 150).await;
        let all: Vec<_> = ids.iter().map(|id| watcher.watch(id)).collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let is_deleted = |number: usize| number % 50 == 3;
        for (number, id) in (0..).zip(&ids) {
            if is_deleted(number) {
                cloud.delete_snapshot(id).await.unwrap();
            }
        }
        for (number, watch) in (0..).zip(all) {
            match end(watch).await {
                Sight::Gone => assert!(is_deleted(number)),
                Sight::Completed => assert!(!is_deleted(number)),
                sight => panic!("{sight:?}"),
            }
        }
        assert!(cloud.looks() < 200, "{}", cloud.looks());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_is_free_when_its_snapshot_is_complete_or_deleted() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_mins(1));
        let watcher = Watcher::new(Arc::clone(&cloud));
        let permits = Permits::new(NonZeroUsize::new(2).unwrap());
        let ids = made(&cloud, 2).await;
        for id in &ids {
            watcher.watch_new(id, Some(permits.take().await));
        }
        assert_eq!(permits.taken(), 2);
        watcher.forget(&ids[0]);
        assert_eq!(permits.taken(), 1);
        // Nobody waits for the other one.
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(permits.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stays_away_is_told_and_looking_can_go_on() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::DescribeFails; 6]);
        let watcher = Watcher::new(Arc::clone(&cloud));
        let ids = made(&cloud, 1).await;
        assert!(matches!(end(watcher.watch(&ids[0])).await, Sight::Unseen(_)));
        assert!(matches!(end(watcher.watch(&ids[0])).await, Sight::Completed));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_when_nobody_waits() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_hours(1));
        let watcher = Watcher::new(Arc::clone(&cloud));
        let ids = made(&cloud, 1).await;
        let watch = watcher.watch(&ids[0]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(watch);
        let looks = cloud.looks();
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(cloud.looks() <= looks + 1);
    }
}
