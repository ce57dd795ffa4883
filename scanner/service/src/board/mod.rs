//! What the service knows of itself: cheap to update for everybody who works, and to read for everybody who asks.
//!
//! All of it is bounded: lists have a length, and texts, which may come from elsewhere, too. Nothing in it is secret.

pub mod text;
pub mod view;

mod filter;
mod health;
mod recent;
mod stamp;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use self::recent::Recent;
use crate::target::Place;

pub use self::filter::Filter;
pub use self::view::{
    Calls, Discovery, Due, Durations, Health, Identity, Last, LeftOut, Name, Outcome, Phase, Problem, Queue,
    Running, Severity, Sink, Snapshots, Source, Sweep, Totals, Trouble, View,
};

/// The board.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    /// By themselves, as they change with every request to AWS.
    calls: Mutex<Requests>,
}

#[derive(Debug)]
struct State {
    identity: Identity,
    phase: Phase,
    /// When the main loop last said that it moves.
    beat: Instant,
    places: BTreeMap<Place, Discovery>,
    queue: Queue,
    scans: BTreeMap<String, Running>,
    due: Vec<Due>,
    results: Recent,
    totals: Totals,
    sinks: BTreeMap<String, Sink>,
    sources: BTreeMap<String, Source>,
    sweeps: BTreeMap<Place, Sweep>,
    snapshots: BTreeMap<Place, Snapshots>,
    problems: BTreeMap<String, Problem>,
    problems_omitted: u64,
}

#[derive(Debug, Default)]
struct Requests {
    by_action: Vec<Calls>,
    throttles: BTreeMap<String, u64>,
}

impl Board {
    /// How many results are remembered.
    pub const RESULTS: usize = 20_000;
    /// How many of what is due next are shown.
    pub const DUE: usize = 100;
    /// How many scans, places, sinks and sources are shown.
    pub const ROWS: usize = 1_000;
    /// How many problems are shown.
    pub const PROBLEMS: usize = 100;
    /// How many of what is left out of a place are shown.
    pub const LEFT_OUT: usize = 100;
    /// How many actions and classes of requests are told apart.
    pub const ACTIONS: usize = 200;
    /// How many bytes a text has at most.
    pub const TEXT: usize = 1_024;
    /// For how long the main loop may be silent before the service is no longer healthy.
    pub const SILENCE: Duration = Duration::from_mins(2);

    /// A board of a service that starts.
    pub fn new(identity: Identity) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                identity,
                phase: Phase::Starting,
                beat: Instant::now(),
                places: BTreeMap::new(),
                queue: Queue::default(),
                scans: BTreeMap::new(),
                due: Vec::new(),
                results: Recent::new(Self::RESULTS),
                totals: Totals::default(),
                sinks: BTreeMap::new(),
                sources: BTreeMap::new(),
                sweeps: BTreeMap::new(),
                snapshots: BTreeMap::new(),
                problems: BTreeMap::new(),
                problems_omitted: 0,
            }),
            calls: Mutex::new(Requests::default()),
        })
    }

    /// What the service is about from now on.
    pub fn phase(&self, phase: Phase) {
        self.state().phase = phase;
    }

    /// The instance, once it is known.
    pub fn instance(&self, instance: &str) {
        self.state().identity.instance = Some(bounded(instance.to_owned()));
    }

    /// The main loop moves.
    pub fn beat(&self) {
        self.state().beat = Instant::now();
    }

    /// Whether the main loop moved within this time.
    pub fn is_moving(&self, within: Duration) -> bool {
        self.state().beat.elapsed() <= within
    }

    /// A place was looked at with success.
    pub fn discovered(&self, mut found: Discovery) {
        found.left_out.truncate(Self::LEFT_OUT);
        for left_out in &mut found.left_out {
            bound(&mut left_out.target);
            bound(&mut left_out.reason);
        }
        while found.skipped.len() > Self::LEFT_OUT {
            found.skipped.pop_last();
        }
        found.failing = found.failing.map(Trouble::bounded);
        put(&mut self.state().places, found.place.clone(), found);
    }

    /// A place could not be looked at. What was known of it stays.
    pub fn discovery_failed(&self, place: &Place, error: &str, now: OffsetDateTime) {
        let mut state = self.state();
        let mut known = state.places.remove(place).unwrap_or_else(|| Discovery::new(place.clone()));
        known.failing = Some(Trouble::again(known.failing, error, now));
        put(&mut state.places, place.clone(), known);
    }

    /// Only these places are looked at from now on.
    pub fn retain_places(&self, keep: impl Fn(&Place) -> bool) {
        let mut state = self.state();
        state.places.retain(|place, _| keep(place));
        state.sweeps.retain(|place, _| keep(place));
        state.snapshots.retain(|place, _| keep(place));
    }

    /// What waits.
    pub fn queue(&self, queue: Queue) {
        self.state().queue = queue;
    }

    /// A scan began.
    pub fn scan_started(&self, mut running: Running) {
        bound(&mut running.step);
        put(&mut self.state().scans, running.scan.clone(), running);
    }

    /// What a scan does now.
    pub fn scan_step(&self, scan: &str, step: &str) {
        if let Some(running) = self.state().scans.get_mut(scan) {
            running.step = bounded(step.to_owned());
        }
    }

    /// A scan ended, or was not begun at all.
    pub fn scan_ended(&self, mut last: Last) {
        last.reason = last.reason.map(bounded);
        let mut state = self.state();
        state.scans.remove(&last.scan);
        let totals = &mut state.totals;
        let outcomes = totals.outcomes.entry(last.outcome).or_default();
        *outcomes = outcomes.saturating_add(1);
        totals.packages = totals.packages.saturating_add(last.packages);
        // What was not scanned took no time.
        if last.outcome != Outcome::Skipped {
            totals.durations.add(last.duration);
        }
        state.results.put(last);
    }

    /// What is due next, the first first.
    pub fn due(&self, due: impl IntoIterator<Item = Due>) {
        // Whatever the iterator does, it does it before the board is locked.
        let due = due.into_iter().take(Self::DUE).collect();
        self.state().due = due;
    }

    /// The state of a sink.
    pub fn sink(&self, mut sink: Sink) {
        sink.failing = sink.failing.map(Trouble::bounded);
        put(&mut self.state().sinks, sink.name.clone(), sink);
    }

    /// The state of a source of tasks.
    pub fn source(&self, mut source: Source) {
        source.failing = source.failing.map(Trouble::bounded);
        put(&mut self.state().sources, source.name.clone(), source);
    }

    /// What a sweep did.
    pub fn swept(&self, mut sweep: Sweep) {
        sweep.failing = sweep.failing.map(Trouble::bounded);
        put(&mut self.state().sweeps, sweep.place.clone(), sweep);
    }

    /// The snapshots of a place.
    pub fn snapshots(&self, snapshots: Snapshots) {
        put(&mut self.state().snapshots, snapshots.place.clone(), snapshots);
    }

    /// What was asked of AWS since the start, by action, and how often AWS found that too fast, by class of requests.
    pub fn requests(&self, calls: BTreeMap<String, u64>, throttles: BTreeMap<String, u64>) {
        let by_action = calls.into_iter().take(Self::ACTIONS);
        let requests = Requests {
            by_action: by_action.map(|(action, calls)| Calls { action, calls }).collect(),
            throttles: throttles.into_iter().take(Self::ACTIONS).collect(),
        };
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) = requests;
    }

    /// Something is wrong, and stays so until [`solved`](Self::solved) is called with this key.
    ///
    /// What sinks, sources, discoveries and sweeps say of themselves need not be said again here.
    pub fn problem(&self, key: &str, severity: Severity, text: &str, now: OffsetDateTime) {
        let mut state = self.state();
        let since = state.problems.get(key).map_or(now, |known| known.since);
        if !state.problems.contains_key(key) && state.problems.len() >= Self::PROBLEMS {
            // The mildest goes, and of these the one that was not seen for the longest.
            let least = state.problems.values().min_by_key(|problem| (problem.severity, problem.last));
            if let Some(key) = least.map(|problem| problem.key.clone()) {
                state.problems.remove(&key);
                state.problems_omitted = state.problems_omitted.saturating_add(1);
            }
        }
        let key = bounded(key.to_owned());
        let problem =
            Problem { key: key.clone(), severity, text: bounded(text.to_owned()), since, last: now };
        state.problems.insert(key, problem);
    }

    /// This is no longer wrong.
    pub fn solved(&self, key: &str) {
        let mut state = self.state();
        state.problems.remove(key);
        if state.problems.is_empty() {
            state.problems_omitted = 0;
        }
    }

    /// Everything, with as many of the newest results.
    pub fn view(&self, now: OffsetDateTime, results: usize) -> View {
        let (calls, throttles) = {
            let requests = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            (requests.by_action.clone(), requests.throttles.clone())
        };
        let state = self.state();
        let mut scans: Vec<_> = state.scans.values().cloned().collect();
        scans.sort_by_key(|scan| scan.since);
        let problems = health::problems(&state, now);
        View {
            now,
            identity: state.identity.clone(),
            phase: state.phase,
            health: health::of(state.phase, &problems),
            problems,
            problems_omitted: state.problems_omitted,
            places: state.places.values().cloned().collect(),
            queue: state.queue.clone(),
            scans,
            due: state.due.clone(),
            results: state.results.iter().take(results).cloned().collect(),
            totals: Totals { targets: count(state.results.len()), ..state.totals.clone() },
            sinks: state.sinks.values().cloned().collect(),
            sources: state.sources.values().cloned().collect(),
            sweeps: state.sweeps.values().cloned().collect(),
            snapshots: state.snapshots.values().cloned().collect(),
            calls,
            throttles,
        }
    }

    /// The last result of a target.
    pub fn result(&self, arn: &str) -> Option<Last> {
        self.state().results.of(arn).cloned()
    }

    /// Results, the newest first: how many fit, and these from the one and as many as the filter says.
    pub fn results(&self, filter: &Filter) -> (u64, Vec<Last>) {
        let state = self.state();
        let mut fitting = 0_usize;
        let mut shown = Vec::new();
        for last in state.results.iter().filter(|last| filter.fits(last)) {
            if fitting >= filter.skip && shown.len() < filter.limit() {
                shown.push(last.clone());
            }
            fitting = fitting.saturating_add(1);
        }
        (count(fitting), shown)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves it whole, also one that ended in a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    /// A failure, after another one or the first.
    pub fn again(former: Option<Self>, text: &str, now: OffsetDateTime) -> Self {
        let since = former.map_or(now, |former| former.since);
        Self { text: bounded(text.to_owned()), since, last: now }
    }

    fn bounded(mut self) -> Self {
        bound(&mut self.text);
        self
    }
}

/// Sets a row of a table that does not grow without end.
fn put<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, value: V) {
    if table.len() < Board::ROWS || table.contains_key(&key) {
        table.insert(key, value);
    }
}

fn bounded(mut text: String) -> String {
    bound(&mut text);
    text
}

/// Cuts a text that is too long.
fn bound(text: &mut String) {
    if text.len() > Board::TEXT {
        let end = text.floor_char_boundary(Board::TEXT.saturating_sub('…'.len_utf8()));
        text.truncate(end);
        text.push('…');
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
