//! A board with something on it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;

use super::{Board, Discovery, Due, Identity, Last, Name, Outcome, Phase, Running, Sink, Trouble};
use crate::target::{Kind, Place};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-05-04 12:00:00 UTC);

pub(crate) fn place() -> Place {
    Place { account: "123456789012".to_owned(), region: "eu-central-1".to_owned() }
}

pub(crate) fn name(number: u32) -> Name {
    let id = format!("i-{number:017x}");
    let place = place();
    Name {
        arn: format!("arn:aws:ec2:{}:{}:instance/{id}", place.region, place.account),
        id,
        kind: Kind::Instance,
        place,
    }
}

pub(crate) fn last(number: u32, outcome: Outcome) -> Last {
    Last {
        scan: format!("scan-{number}"),
        target: name(number),
        outcome,
        at: NOW - Duration::from_mins(5),
        duration: Duration::from_millis(42_500),
        packages: 312,
        unknowns: u64::from(outcome == Outcome::Incomplete),
        reason: (outcome == Outcome::Failed).then(|| "the snapshot was deleted by somebody else".to_owned()),
    }
}

pub(crate) fn board() -> Arc<Board> {
    Board::new(Identity {
        scanner: "production".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: None,
        started: NOW - Duration::from_hours(3),
    })
}

/// A board of a service in the middle of its work.
pub(crate) fn busy() -> Arc<Board> {
    let board = board();
    board.phase(Phase::Ready);
    board.instance("i-0aaaaaaaaaaaaaaaa");
    let mut found = Discovery::new(place());
    found.last_ok = Some(NOW - Duration::from_mins(4));
    found.targets.insert(Kind::Instance, 12);
    found.targets.insert(Kind::Function, 1);
    found.opted_out = 2;
    board.discovered(found);
    board.scan_started(Running {
        scan: "scan-1".to_owned(),
        target: name(1),
        since: NOW - Duration::from_secs(75),
        deadline: None,
        step: "reading vol-0123456789abcdef0".to_owned(),
    });
    board.scan_ended(last(2, Outcome::Complete));
    board.scan_ended(last(3, Outcome::Failed));
    board.due([Due { target: name(4), at: NOW + Duration::from_mins(9) }]);
    board.sink(Sink { name: "files".to_owned(), delivered: 7, ..Sink::default() });
    board.sink(Sink {
        name: "https".to_owned(),
        queued: 3,
        queued_bytes: 40_000,
        capacity_bytes: 1 << 29,
        failing: Some(Trouble::again(None, "connection refused", NOW - Duration::from_mins(12))),
        ..Sink::default()
    });
    board
}
