//! What a report says in JSON, for the sinks that take it.

use bytes::Bytes;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::answer::header_safe;
use super::names;
use crate::report::{List, Outcome, Report, Subject};

/// What package lists are.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json; version=1.6";
/// What notes of failed scans are.
pub const JSON: &str = "application/json";

/// A package list, or the note that a scan failed.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its path: `<account>/<region>/<kind>/<target>/<name>`.
    pub path: String,
    /// [`CYCLONEDX`] or [`JSON`].
    pub content_type: &'static str,
    /// What it is of, as names and values that a header may have: `target`, `scan` and `scanner`; of a list `subject`, `hash`
    /// and `complete` too.
    pub labels: Vec<(&'static str, String)>,
    /// The contents.
    pub body: Bytes,
}

/// The documents of a report, in their order.
pub fn documents(report: &Report) -> Vec<Document> {
    match &report.outcome {
        Outcome::Listed(lists) => {
            let paths = names::list_paths(&report.target, lists);
            paths.into_iter().zip(lists).map(|(path, list)| of_list(report, path, list)).collect()
        }
        Outcome::Failed(reason) => vec![Document {
            path: names::failure_path(&report.target),
            content_type: JSON,
            labels: labels(report),
            body: failure(report, reason),
        }],
    }
}

fn of_list(report: &Report, path: String, list: &List) -> Document {
    let subject = match &list.subject {
        Subject::Target => "target".to_owned(),
        Subject::Container { image } => header_safe(image),
    };
    let mut labels = labels(report);
    labels.extend([
        ("subject", subject),
        ("hash", header_safe(&list.hash)),
        ("complete", list.is_complete.to_string()),
    ]);
    Document { path, content_type: CYCLONEDX, labels, body: list.json.clone() }
}

fn labels(report: &Report) -> Vec<(&'static str, String)> {
    vec![
        ("target", header_safe(&report.target.arn)),
        ("scan", report.scan.to_string()),
        ("scanner", header_safe(&report.scanner)),
    ]
}

fn failure(report: &Report, reason: &str) -> Bytes {
    let finished = report.started + report.duration;
    let failure = json!({
        "target": report.target,
        "scan": report.scan.to_string(),
        "scanner": report.scanner,
        "reason": reason,
        "time": finished.format(&Rfc3339).unwrap_or_default(),
    });
    Bytes::from(format!("{failure:#}\n"))
}
