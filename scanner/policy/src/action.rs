//! What the table says of one action.

use std::fmt;

use crate::actions;
use crate::grant::Grant;

/// One IAM action that the scanner's role may hold, and why.
#[derive(Debug)]
pub struct Action {
    /// The IAM name, such as `ec2:CreateSnapshot`.
    pub name: &'static str,
    /// What the scanner needs it for, as a sentence for reviewers of the policy.
    pub reason: &'static str,
    /// What makes AWS check for this action.
    pub trigger: Trigger,
    /// The resources and conditions it is granted for, each with the parts of the product that need it so. Where these are
    /// off, the policy does not contain it. More than one where AWS checks the same request against several resources:
    /// creating a snapshot is checked against the volume and against the snapshot to be. An action of the service names
    /// no part: it is granted where a resource for it is given. None where AWS asks for no permission.
    pub(crate) grants: &'static [(&'static Grant, &'static [Feature])],
}

impl Action {
    /// Whether a policy for these features has it in this grant.
    pub(crate) fn is_granted(&self, grant: &Grant, features: &[Feature]) -> bool {
        let needs =
            |needed: &[Feature]| needed.is_empty() || needed.iter().any(|feature| features.contains(feature));
        self.grants.iter().any(|(used, needed)| used.sid == grant.sid && needs(needed))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A part of the product that can be switched on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Feature {
    /// Scanning the volumes of EC2 instances in the scanner's own account and region.
    Hosts,
    /// Scanning Amazon Machine Images there: their snapshots are copied, and the copies are read.
    Images,
    /// Scanning Lambda functions there: their code, their layers, and the images of those that come as one.
    Functions,
    /// Reading only what has changed since the scan before. Nothing to scan, but a way of scanning hosts, so it is not among
    /// [`ALL`](Self::ALL), but among what roles may have ([`OF_ROLES`](Self::OF_ROLES)).
    Incremental,
}

impl Feature {
    /// Everything that can be scanned, in the order of the documentation.
    pub const ALL: &'static [Self] = &[Self::Hosts, Self::Images, Self::Functions];

    /// Everything that a role may be given permissions for, in the order of the documentation.
    pub const OF_ROLES: &'static [Self] = &[Self::Hosts, Self::Images, Self::Functions, Self::Incremental];

    /// The name in configuration files and Terraform arguments.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Images => "images",
            Self::Functions => "functions",
            Self::Incremental => "incremental",
        }
    }

    /// The features that a policy with these actions has: those whose every action is among them.
    pub(crate) fn granted_by(actions: &[&str]) -> Vec<Self> {
        let needs = |action: &Action, feature: Self| {
            action.grants.iter().any(|(_, features)| features.contains(&feature))
        };
        let complete = |feature: Self| {
            let mut needed = actions::ALL.iter().filter(|action| needs(action, feature));
            needed.all(|action| actions.contains(&action.name))
        };
        Self::OF_ROLES.iter().copied().filter(|feature| complete(*feature)).collect()
    }

    /// What a role may be given permissions for under this name.
    pub fn of_roles(name: &str) -> Option<Self> {
        Self::OF_ROLES.iter().copied().find(|feature| feature.name() == name)
    }

    /// What can be scanned under this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.name() == name)
    }
}

/// What makes AWS check for an action.
#[derive(Clone, Copy, Debug)]
pub enum Trigger {
    /// The scanner sends the request of this name; it counts against this rate.
    Request(RateClass),
    /// The scanner never sends it: AWS checks for it while it serves the named actions.
    ImpliedBy(&'static [&'static Action]),
    /// Packer sends it, when it builds an image.
    Packer,
}

/// The buckets in which AWS counts a caller's requests, each throttled on its own.
///
/// EC2 keeps one for requests that only read and one for those that change something; the EBS direct APIs keep one per
/// operation ("Request throttling for the Amazon EC2 API", "Quotas for EBS direct APIs"). Lambda keeps one for `GetFunction` and one
/// for the rest of what manages functions ("Lambda quotas"), ECR one per operation ("Amazon ECR service quotas").
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RateClass {
    /// EC2 requests that change nothing (`Describe…`).
    Read,
    /// EC2 requests that create, change or delete.
    Mutating,
    /// `GetSnapshotBlock`.
    BlockGet,
    /// `ListSnapshotBlocks`.
    BlockList,
    /// `GetFunction`.
    FunctionGet,
    /// What else is asked of Lambda.
    Lambda,
    /// What is asked of ECR.
    Registry,
    /// What the service around the scans asks for: a few requests an hour, far below every rate of AWS's. They leave at
    /// once.
    Unmetered,
}

/// One request that the scanner may send.
///
/// The only values are the constants in [`actions`](crate::actions), so an AWS layer that takes a `Call` for every
/// request cannot send what the role's policy does not grant.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    action: &'static Action,
    rate_class: RateClass,
}

impl Call {
    /// # Panics
    /// At compile time, for an action that the scanner does not send itself.
    pub(crate) const fn new(action: &'static Action) -> Self {
        match action.trigger {
            Trigger::Request(rate_class) => Self { action, rate_class },
            Trigger::ImpliedBy(_) => panic!("AWS checks for this action, the scanner never sends it"),
            Trigger::Packer => panic!("Packer sends this action, the scanner never does"),
        }
    }

    /// The IAM action that the request needs.
    pub const fn action(self) -> &'static Action {
        self.action
    }

    /// The IAM action's name, such as `ec2:CreateSnapshot`.
    pub const fn name(self) -> &'static str {
        self.action.name
    }

    /// The bucket in which AWS counts the request.
    pub const fn rate_class(self) -> RateClass {
        self.rate_class
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Call {}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
