//! A sink that keeps a record of what it gets, and fails by chance.

use std::sync::Arc;
use std::time::Duration;

use agentless_service::report::Report;
use agentless_service::sink::{Payload, SendError, Sink};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::time::sleep;
use uuid::Uuid;

use super::aws::Account;

/// A sink of one scanner, whose spool is on one disk.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) account: Arc<Account>,
    pub(super) line: &'static str,
    pub(super) disk: u64,
}

impl Sink for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn render(&self, report: &Report, _: OffsetDateTime) -> Vec<Payload> {
        self.account.ledger.kept(self.line, self.disk, report);
        vec![Payload {
            key: report.scan.to_string(),
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            note: String::new(),
            body: report.target.arn.clone().into_bytes().into(),
        }]
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let scan = Uuid::parse_str(&payload.key).unwrap();
            sleep(Duration::from_millis(200)).await;
            match self.account.goes_wrong() {
                Some(0..40) => return Err(SendError::passing("by chance")),
                Some(40..60) => std::future::pending().await,
                Some(60..70) => return Err(SendError::misconfigured("by chance")),
                Some(70..75) => {
                    self.account.ledger.settled(scan);
                    return Err(SendError::refused("by chance"));
                }
                Some(_) => {
                    self.account.ledger.settled(scan);
                    return Err(SendError::passing("the answer was lost"));
                }
                None => self.account.ledger.settled(scan),
            }
            Ok(())
        }
        .boxed()
    }
}
