//! What every log line of a scan carries.

use tracing::Span;
use uuid::Uuid;

/// The span of a scan: log lines within it say which scan they are of.
///
/// It is there at every level: a warning without it would be one of many scans.
pub fn scan(scan: Uuid, target: &str) -> Span {
    tracing::error_span!("scan", %scan, target)
}
