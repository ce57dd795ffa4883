//! What other parts say of themselves, as the board shows it.

use std::collections::BTreeMap;

use agentless_core::number::to_u64;
use agentless_service::board::{self, Trouble};
use agentless_service::delivery::SinkState;
use agentless_service::queue::Snapshot;
use agentless_service::target::Place;
use agentless_service::tasks::SourceState;
use time::OffsetDateTime;

use crate::aws::{Accounts, Home};

/// The queue.
pub(super) fn queue(snapshot: &Snapshot) -> board::Queue {
    board::Queue {
        waiting: to_u64(snapshot.waiting_count()),
        length: to_u64(snapshot.length),
        running: to_u64(snapshot.running.len()),
        oldest: snapshot.oldest,
        ..board::Queue::default()
    }
}

/// A sink.
pub(super) fn sink(state: &SinkState, now: OffsetDateTime) -> board::Sink {
    let trouble = |text: &str, since| Trouble { text: text.to_owned(), since, last: now };
    let failing = match (&state.spool_error, &state.misconfigured, &state.last_error) {
        (Some(reason), ..) | (None, Some(reason), _) => Some(trouble(reason, now)),
        (None, None, Some((at, reason))) if !state.is_well() => Some(trouble(reason, *at)),
        _ => None,
    };
    board::Sink {
        name: state.name.to_owned(),
        queued: to_u64(state.waiting),
        queued_bytes: state.bytes,
        delivered: state.sent,
        refused: state.refused.saturating_add(state.damaged),
        dropped: state.dropped,
        last_ok: state.last_success,
        failing,
        ..board::Sink::default()
    }
}

/// A source of tasks.
pub(super) fn source(state: &SourceState) -> board::Source {
    let failed = state.last_error.as_ref().filter(|failed| state.last_ok.is_none_or(|ok| failed.at >= ok));
    board::Source {
        name: format!("{} {}", state.name, state.place),
        accepted: state.accepted,
        rejected: state.rejected,
        last_ok: state.last_ok,
        failing: failed.map(|failed| Trouble {
            text: failed.message.clone(),
            since: failed.at,
            last: failed.at,
        }),
    }
}

/// A sweep: what it found, deleted, and could not delete.
pub(super) fn sweep(
    place: Place,
    (found, deleted, left): (u64, u64, u64),
    failing: Option<&str>,
    at: OffsetDateTime,
) -> board::Sweep {
    let failing = failing.map(|text| Trouble { text: text.to_owned(), since: at, last: at });
    board::Sweep { place, at, found, deleted, left, failing }
}

/// What was asked of AWS, by action, and how often it was too much, by class.
pub(super) fn requests(home: &Home, accounts: &Accounts) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let mut calls = home.calls();
    let mut throttles: BTreeMap<String, u64> = BTreeMap::new();
    for (_, aws) in accounts.connected() {
        for (action, count) in aws.calls() {
            let sum = calls.entry(action).or_default();
            *sum = sum.saturating_add(count);
        }
        for pace in aws.paces() {
            let sum = throttles.entry(pace.class.to_owned()).or_default();
            *sum = sum.saturating_add(pace.throttled);
        }
    }
    (calls, throttles)
}

/// The snapshots in progress in a place.
pub(super) fn snapshots(place: Place, pending: usize, limit: usize) -> board::Snapshots {
    board::Snapshots { place, pending: to_u64(pending), limit: to_u64(limit), kept: 0 }
}
