//! What was called: every request that reached the local AWS, in order.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::credentials::Principal;
use super::reply::Reply;
use super::request::Request;
use super::xml;

/// One call as the local AWS saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts from 1; calls that ran at the same time are in order of arrival.
    pub sequence: u64,
    /// When it arrived.
    pub time: SystemTime,
    /// The service's prefix in IAM policies, for example `ec2`.
    pub service: String,
    /// The action's name in IAM policies, for example `CreateSnapshot`.
    pub action: String,
    /// The region of the signature.
    pub region: String,
    /// Every parameter, flattened as in the Query protocol: `TagSpecification.1.Tag.1.Key`. For REST calls also those of
    /// the path: `snapshotId`.
    pub parameters: BTreeMap<String, String>,
    /// The key that signed.
    pub access_key_id: String,
    /// Whom the key stands for; `None` for a key that the local AWS did not give out.
    pub principal: Option<Principal>,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// `None` while the call is under way, and when the connection was reset.
    pub status: Option<u16>,
    /// The error code of a reply that was not a success.
    pub error_code: Option<String>,
    /// The snapshot that a `CreateSnapshot` made.
    pub snapshot_id: Option<String>,
    /// The reply's body in bytes.
    pub reply_bytes: u64,
    /// Whether an injected fault met the call.
    pub faulted: bool,
}

impl Call {
    /// The action as IAM policies write it: `ec2:CreateSnapshot`.
    pub fn permission(&self) -> String {
        format!("{}:{}", self.service, self.action)
    }
}

/// The calls of one local AWS.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    last_sequence: u64,
}

impl Calls {
    /// Note that a call arrived. Returns its sequence number.
    pub(crate) fn arrived(&self, request: &Request, principal: Option<Principal>, time: SystemTime) -> u64 {
        let mut state = self.locked();
        state.last_sequence += 1;
        let sequence = state.last_sequence;
        state.calls.push(Call {
            sequence,
            time,
            service: request.service.clone(),
            action: request.action.clone(),
            region: request.region().to_owned(),
            parameters: request.parameters.clone(),
            access_key_id: request
                .scope
                .as_ref()
                .map(|scope| scope.access_key_id.clone())
                .unwrap_or_default(),
            principal,
            user_agent: request.header("user-agent").unwrap_or_default().to_owned(),
            status: None,
            error_code: None,
            snapshot_id: None,
            reply_bytes: 0,
            faulted: false,
        });
        sequence
    }

    /// Note that an injected fault met the call.
    pub(crate) fn faulted(&self, sequence: u64) {
        self.change(sequence, |call| call.faulted = true);
    }

    /// Note how the call was answered.
    pub(crate) fn answered(&self, sequence: u64, reply: &Reply) {
        self.change(sequence, |call| {
            call.status = Some(reply.status.as_u16());
            call.error_code = reply.error_code();
            call.snapshot_id = matches!(call.action.as_str(), "CreateSnapshot" | "CopySnapshot")
                .then(|| xml::text(&String::from_utf8_lossy(&reply.body), "snapshotId").map(str::to_owned))
                .flatten();
            call.reply_bytes = u64::try_from(reply.body.len()).unwrap_or(u64::MAX);
        });
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.locked().calls.clone()
    }

    pub(crate) fn clear(&self) {
        self.locked().calls.clear();
    }

    fn change(&self, sequence: u64, change: impl FnOnce(&mut Call)) {
        // From the end: it is one of the last.
        if let Some(call) = self.locked().calls.iter_mut().rev().find(|call| call.sequence == sequence) {
            change(call);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
