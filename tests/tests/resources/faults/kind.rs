//! What goes wrong, and at which call.

use std::collections::BTreeMap;

use agentless_tests::local_aws::{Call, Effect, Fault, Hold};

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// Refused twice: too many requests.
    Throttled,
    /// HTTP 500, twice.
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
    /// The calls of an operation, in order of arrival. Repeated questions whether something is done yet count once.
    pub(crate) fn of(calls: &[Call]) -> Vec<Self> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut points = Vec::new();
        let mut before: Option<&Call> = None;
        for call in calls {
            let count = counts.entry(&call.action).or_default();
            let is_poll =
                before.is_some_and(|it| it.action == call.action && it.parameters == call.parameters);
            if !is_poll {
                points.push(Self {
                    service: call.service.clone().leak(),
                    action: call.action.clone().leak(),
                    nth: *count,
                    not_found: not_found(call),
                });
            }
            *count += 1;
            before = Some(call);
        }
        points
    }

    /// `kind` at this call; `None` where that cannot be. Calls that are held wait at `hold`.
    pub(crate) fn fault(&self, kind: Kind, hold: &Hold) -> Option<Fault> {
        let (effect, times) = match kind {
            Kind::Throttled => (Effect::Throttle, 2),
            Kind::ServerError => (Effect::InternalError, 2),
            Kind::Reset => (Effect::ResetRequest, 1),
            Kind::AnswerLost => (Effect::ResetReply, 1),
            Kind::Timeout | Kind::Interrupted => (Effect::HoldReply(hold.clone()), 1),
            Kind::Denied => (Effect::AccessDenied, u64::MAX),
            Kind::NotFound => (Effect::Error(400, self.not_found?, "It does not exist (yet)."), 3),
        };
        Some(Fault::on(self.service, self.action, effect).skip(self.nth).times(times))
    }

    /// Whether the call is about something that may seem not to exist.
    pub(crate) fn is_named(&self) -> bool {
        self.not_found.is_some()
    }

    pub(crate) fn told(&self) -> String {
        format!("{}:{} no. {}", self.service, self.action, self.nth)
    }
}

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
