//! Reports for the tests of sinks and their delivery.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::report::{List, Outcome, Report, Subject};
use crate::target::{Kind, Place, Target};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

pub(crate) fn target(kind: Kind, id: &str) -> Target {
    let arn = if id.starts_with("arn:") {
        id.to_owned()
    } else {
        format!("arn:aws:ec2:eu-central-1:111111111111:{}/{id}", kind.name())
    };
    Target {
        arn,
        place: Place { account: "111111111111".to_owned(), region: "eu-central-1".to_owned() },
        kind,
        id: id.to_owned(),
        tags: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
    }
}

pub(crate) fn list(name: &str) -> List {
    List {
        subject: Subject::Target,
        name: name.to_owned(),
        is_complete: true,
        hash: "aa".repeat(32),
        json: Bytes::from_static(br#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1}"#),
        // The version of the specification: field 1, "1.4".
        protobuf: Bytes::from_static(b"\x0a\x031.4"),
    }
}

pub(crate) fn report(id: &str, outcome: Outcome) -> Report {
    Report {
        target: target(Kind::Instance, id),
        scan: Uuid::from_u128(7),
        scanner: "scanner".to_owned(),
        started: NOW,
        duration: Duration::from_millis(2500),
        outcome,
    }
}

pub(crate) fn listed(id: &str) -> Report {
    report(id, Outcome::Listed(vec![list("host")]))
}
