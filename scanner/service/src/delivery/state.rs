//! How a sink fares, for the status.

use time::OffsetDateTime;

/// How one sink fares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SinkState {
    /// The sink.
    pub name: &'static str,
    /// Payloads in the spool.
    pub waiting: usize,
    /// Bytes of them on the disk.
    pub bytes: u64,
    /// Since when the oldest waits.
    pub oldest: Option<OffsetDateTime>,
    /// When the sink last accepted a payload.
    pub last_success: Option<OffsetDateTime>,
    /// When the sink last failed, and how.
    pub last_error: Option<(OffsetDateTime, String)>,
    /// The sink's address or credentials are not right, for this reason: somebody has to do something.
    pub misconfigured: Option<String>,
    /// The spool cannot be used, for this reason: reports are not taken until it can.
    pub spool_error: Option<String>,
    /// Payloads that the sink accepted, since the start.
    pub sent: u64,
    /// Payloads that were dropped because the spool was full, since the start.
    pub dropped: u64,
    /// Payloads that the sink did not want, since the start. The last of them are in the spool's directory `refused`.
    pub refused: u64,
    /// Files in the spool that were damaged, since the start. The last of them are in the spool's directory `damaged`.
    pub damaged: u64,
}

impl SinkState {
    /// Whether everything is as it should be.
    pub fn is_well(&self) -> bool {
        let has_failed_since = match (&self.last_error, self.last_success) {
            (Some((failed, _)), Some(succeeded)) => *failed > succeeded,
            (failed, _) => failed.is_some(),
        };
        self.misconfigured.is_none() && self.spool_error.is_none() && !(has_failed_since && self.waiting > 0)
    }
}
