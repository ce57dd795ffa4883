//! What the service scans, and where it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One region of one account: AWS counts requests, and limits what is made, for each on its own.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// The account, 12 digits.
    pub account: String,
    /// The region, such as `eu-central-1`.
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// What a target is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// An EC2 instance: its EBS volumes together.
    Instance,
    /// One EBS volume. Only a task asks for one.
    Volume,
    /// A snapshot that exists. Only a task asks for one.
    Snapshot,
    /// An Amazon Machine Image.
    Image,
    /// A version of a Lambda function.
    Function,
}

impl Kind {
    /// The name in messages, paths and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Volume => "volume",
            Self::Snapshot => "snapshot",
            Self::Image => "image",
            Self::Function => "function",
        }
    }
}

/// One thing that is scanned.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Target {
    /// Its ARN: the identity by which it has its slot in the schedule. That of a function ends in the version.
    pub arn: String,
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// How AWS's requests name it: `i-…`, `vol-…`, `snap-…`, `ami-…`, and for a function its ARN with the version.
    pub id: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}
