//! Faults that the local AWS injects: a list of what to match and what then happens.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::request::Request;

/// One fault: which calls it meets and what it does to them.
///
/// Faults are tried in the order they were added; the first that matches a call and is due takes effect, alone.
#[derive(Clone, Debug)]
pub struct Fault {
    service: &'static str,
    action: &'static str,
    parameter: Option<(String, String)>,
    skip: u64,
    times: u64,
    chance: Option<f64>,
    effect: Effect,
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Refused as the service refuses too many requests. Nothing was done.
    Throttle,
    /// Refused as the service reports a missing permission. Nothing was done.
    AccessDenied,
    /// Refused with this status, code and message, in the service's protocol. Nothing was done.
    Error(u16, &'static str, &'static str),
    /// HTTP 500 in the service's protocol. Nothing was done.
    InternalError,
    /// HTTP 503 in the service's protocol. Nothing was done.
    Unavailable,
    /// The connection is reset before anything was done.
    ResetRequest,
    /// The call is carried out, and the connection reset instead of a reply.
    ResetReply,
    /// The call waits before anything was done, until released.
    HoldRequest(Hold),
    /// The call is carried out, and its reply waits until released.
    HoldReply(Hold),
    /// The reply's body breaks off after so many bytes; its length was announced in full.
    TruncateBody(usize),
    /// One bit of the body is flipped; the checksum remains that of the right body (EBS direct).
    CorruptBody,
    /// The checksum is another one; the body is right (EBS direct).
    WrongChecksum,
    /// Pages hold at most so many results, whatever was asked for.
    SmallPages(u16),
}

impl Fault {
    /// `effect` on every call of an action, named as in IAM policies: `Fault::on("ec2", "CreateSnapshot", …)`. `*` as the
    /// action means every one of the service.
    pub fn on(service: &'static str, action: &'static str, effect: Effect) -> Self {
        Self { service, action, parameter: None, skip: 0, times: u64::MAX, chance: None, effect }
    }

    /// Only calls with this parameter, in the Query protocol's flat form (`SnapshotId.1`, `LaunchTemplateName`).
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.parameter = Some((name.to_owned(), value.to_owned()));
        self
    }

    /// Let the first `count` matching calls pass.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Affect `count` calls, then no more.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Affect a matching call with this probability (0 to 1), decided by the seed of `Options`.
    #[must_use]
    pub fn chance(mut self, probability: f64) -> Self {
        self.chance = Some(probability);
        self
    }

    fn matches(&self, request: &Request) -> bool {
        request.service == self.service
            && (self.action == "*" || request.action == self.action)
            && self.parameter.as_ref().is_none_or(|(name, value)| request.parameters.get(name) == Some(value))
    }
}

/// A place where a call stops until the test lets it go on. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Hold {
    reached: Arc<watch::Sender<bool>>,
    released: Arc<watch::Sender<bool>>,
}

impl Hold {
    /// A place that nothing has reached yet.
    pub fn new() -> Self {
        Self { reached: Arc::new(watch::Sender::new(false)), released: Arc::new(watch::Sender::new(false)) }
    }

    /// Wait until a call is held here.
    pub async fn reached(&self) {
        wait_for(&self.reached).await;
    }

    /// Let every call go on, those held now and those to come.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Stop here until released.
    pub(crate) async fn wait(&self) {
        self.reached.send_replace(true);
        wait_for(&self.released).await;
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}

async fn wait_for(flag: &watch::Sender<bool>) {
    // The sender lives as long as the borrow, so the channel cannot close.
    let _ = flag.subscribe().wait_for(|set| *set).await;
}

/// The faults of one local AWS, and how often each has matched.
#[derive(Debug)]
pub(crate) struct Plan {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    faults: Vec<Counted>,
    random: u64,
}

#[derive(Debug)]
struct Counted {
    fault: Fault,
    matched: u64,
    used: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Mutex::new(State { faults: Vec::new(), random: seed }) }
    }

    pub(crate) fn add(&self, fault: Fault) {
        self.locked().faults.push(Counted { fault, matched: 0, used: 0 });
    }

    pub(crate) fn clear(&self) {
        self.locked().faults.clear();
    }

    /// What is to happen to `request`.
    pub(crate) fn effect_on(&self, request: &Request) -> Option<Effect> {
        let state = &mut *self.locked();
        for counted in state.faults.iter_mut().filter(|counted| counted.fault.matches(request)) {
            counted.matched += 1;
            let due = counted.matched > counted.fault.skip && counted.used < counted.fault.times;
            if due && counted.fault.chance.is_none_or(|chance| next_fraction(&mut state.random) < chance) {
                counted.used += 1;
                return Some(counted.fault.effect.clone());
            }
        }
        None
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next number of the `SplitMix64` sequence, as a fraction of 1.
fn next_fraction(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The upper 32 bits: every such number has an exact `f64`.
    let upper = u32::try_from(mixed >> 32).unwrap_or_default();
    f64::from(upper) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn call(action: &str) -> Request {
        let parts = http::Request::builder()
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=K/20260101/r/ec2/aws4_request, SignedHeaders=host, Signature=0",
            )
            .body(())
            .unwrap()
            .into_parts()
            .0;
        Request::new(parts, Bytes::from(format!("Action={action}&SnapshotId.1=snap-1")))
    }

    fn affected(plan: &Plan, action: &str) -> bool {
        plan.effect_on(&call(action)).is_some()
    }

    #[test]
    fn counts_occurrences() {
        let plan = Plan::new(0);
        plan.add(Fault::on("ec2", "DescribeSnapshots", Effect::Throttle).skip(1).times(2));
        let hits: Vec<bool> = (0..5).map(|_| affected(&plan, "DescribeSnapshots")).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(!affected(&plan, "CreateSnapshot"));
    }

    #[test]
    fn matches_parameters_and_wildcards() {
        let plan = Plan::new(0);
        plan.add(Fault::on("ec2", "*", Effect::Throttle).with_parameter("SnapshotId.1", "snap-2"));
        assert!(!affected(&plan, "DescribeSnapshots"));
        plan.add(Fault::on("ec2", "*", Effect::Throttle).with_parameter("SnapshotId.1", "snap-1"));
        assert!(affected(&plan, "DescribeSnapshots"));
        plan.clear();
        assert!(!affected(&plan, "DescribeSnapshots"));
    }

    #[test]
    fn chance_follows_the_seed() {
        let run = |seed| {
            let plan = Plan::new(seed);
            plan.add(Fault::on("ec2", "X", Effect::Throttle).chance(0.3));
            (0..1000).map(|_| affected(&plan, "X")).collect::<Vec<bool>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let hits = run(1).iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&hits), "{hits} of 1000");
    }
}
