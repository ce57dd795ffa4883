//! What goes wrong, and at which call.

use std::collections::BTreeMap;

use agentless_tests::local_aws::{Call, Effect, Fault, Hold};

use super::life::Phase;

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// Refused: too many requests.
    Throttled,
    /// HTTP 500.
    ServerError,
    /// The connection is reset before anything was done.
    Reset,
    /// The call is carried out, and the connection reset.
    AnswerLost,
    /// The call is carried out, and no answer comes.
    Timeout,
    /// Refused, and every call of the same action from then on.
    Denied,
    /// What was made a moment ago is said not to exist, three times.
    NotFound,
    /// The user interrupts Terraform while the call is under way.
    Interrupted,
}

impl Kind {
    /// Every one, as the table has them.
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Throttled, "throttled"),
        (Self::ServerError, "5xx"),
        (Self::Reset, "reset"),
        (Self::AnswerLost, "answer lost"),
        (Self::Timeout, "timeout"),
        (Self::Denied, "denied"),
        (Self::NotFound, "not found"),
        (Self::Interrupted, "Ctrl-C"),
    ];

    /// The points at which this happens in one operation each. What the SDK repairs without the resource's knowledge
    /// happens at many calls of one operation: it must come to its end all the same. What the resource must cope with
    /// happens once. Only so many calls at once: the SDK stops to repeat requests when too many in a row have failed.
    pub(crate) fn cases(self, phase: Phase, points: &[Point]) -> Vec<Vec<&Point>> {
        // What was made long ago exists: only what was made or changed just now may seem not to.
        let is_possible =
            |point: &&Point| self != Self::NotFound || phase != Phase::Delete && point.not_found.is_some();
        let is_repaired = |point: &&Point| match self {
            Self::Throttled | Self::ServerError | Self::Reset | Self::Timeout => true,
            Self::AnswerLost => point.is_read(),
            Self::Denied | Self::NotFound | Self::Interrupted => false,
        };
        let (at_once, one_by_one): (Vec<_>, Vec<_>) =
            points.iter().filter(is_possible).partition(is_repaired);
        let one_by_one = one_by_one.into_iter().map(|point| vec![point]);
        one_by_one.chain(at_once.chunks(AT_ONCE).map(<[_]>::to_vec)).collect()
    }
}

/// One call of an operation that went well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Point {
    service: &'static str,
    action: &'static str,
    /// How many of the same action come before it.
    nth: u64,
    /// The error that says that what the call is about does not exist.
    not_found: Option<&'static str>,
}

impl Point {
    /// The calls of an operation, in order of arrival. Of a question that is asked again and again, the first and, when it
    /// counts twice, the last.
    pub(crate) fn of(calls: &[Call], times: usize) -> Vec<Self> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut points: Vec<(&Call, Self)> = Vec::new();
        for call in calls {
            let count = counts.entry(&call.action).or_default();
            let point = Self {
                service: call.service.clone().leak(),
                action: call.action.clone().leak(),
                nth: *count,
                not_found: not_found(call),
            };
            *count += 1;
            let is_same =
                |(it, _): &&(&Call, Self)| it.action == call.action && it.parameters == call.parameters;
            if point.is_read() && points.iter().filter(is_same).count() == times {
                if times == 1 {
                    continue;
                }
                let last = points.iter().rposition(|it| is_same(&it)).expect("it was asked before");
                points.remove(last);
            }
            points.push((call, point));
        }
        points.into_iter().map(|(_, point)| point).collect()
    }

    /// `kind` at this call. Calls that are held wait at `hold`.
    pub(crate) fn fault(&self, kind: Kind, hold: &Hold) -> Fault {
        let (effect, times) = match kind {
            Kind::Throttled => (Effect::Throttle, 1),
            Kind::ServerError => (Effect::InternalError, 1),
            Kind::Reset => (Effect::ResetRequest, 1),
            Kind::AnswerLost => (Effect::ResetReply, 1),
            Kind::Timeout | Kind::Interrupted => (Effect::HoldReply(hold.clone()), 1),
            Kind::Denied => (Effect::AccessDenied, u64::MAX),
            Kind::NotFound => (
                Effect::Error(
                    400,
                    self.not_found.unwrap_or_default(),
                    "It does not exist, group name not found",
                ),
                3,
            ),
        };
        Fault::on(self.service, self.action, effect).skip(self.nth).times(times)
    }

    /// Whether the call changes nothing.
    fn is_read(&self) -> bool {
        ["Describe", "Get", "List"].iter().any(|verb| self.action.starts_with(verb))
    }

    pub(crate) fn told(&self) -> String {
        format!("{}:{} no. {}", self.service, self.action, self.nth)
    }
}

/// To how many calls of one operation the same happens at most.
const AT_ONCE: usize = 10;

/// The service's error for a call about a thing that does not exist; `None` for calls that name nothing, and for those
/// that make what they name.
fn not_found(call: &Call) -> Option<&'static str> {
    let makes = |name: &str| {
        call.action.strip_prefix("Create").is_some_and(|made| name.strip_suffix("Name") == Some(made))
    };
    let named = |name: &&(&str, &str)| {
        let is_listed = call.parameters.contains_key(&format!("{}.1", name.0));
        (is_listed || call.parameters.contains_key(name.0)) && !makes(name.0)
    };
    NOT_FOUND.iter().find(named).map(|(_, code)| *code)
}

/// By parameter, the more particular first; codes as in "Error codes for the Amazon EC2 API", and those of IAM, Auto
/// Scaling and Secrets Manager.
const NOT_FOUND: [(&str, &str); 17] = [
    ("NatGatewayId", "NatGatewayNotFound"),
    ("AllocationId", "InvalidAllocationID.NotFound"),
    ("VpcEndpointId", "InvalidVpcEndpointId.NotFound"),
    ("EgressOnlyInternetGatewayId", "InvalidGatewayID.NotFound"),
    ("InternetGatewayId", "InvalidInternetGatewayID.NotFound"),
    ("RouteTableId", "InvalidRouteTableID.NotFound"),
    ("SubnetId", "InvalidSubnetID.NotFound"),
    ("GroupId", "InvalidGroup.NotFound"),
    ("VpcId", "InvalidVpcID.NotFound"),
    ("LaunchTemplateId", "InvalidLaunchTemplateId.NotFound"),
    ("LaunchTemplateName", "InvalidLaunchTemplateName.NotFoundException"),
    ("RoleName", "NoSuchEntity"),
    ("InstanceProfileName", "NoSuchEntity"),
    ("PolicyArn", "NoSuchEntity"),
    ("ResourceId", "InvalidVpcID.NotFound"),
    ("SecretId", "ResourceNotFoundException"),
    ("AutoScalingGroupName", "ValidationError"),
];
