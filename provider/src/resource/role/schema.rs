//! What users may write in a `datadog_agentless_scanner_role` block, and its model.

use std::collections::BTreeSet;
use std::time::Duration;

use scanner_policy::{Feature, KmsKeyArn};

use super::super::place::region_attribute;
use super::super::tagging;
use crate::aws::Tags;
use crate::model;
use crate::sdk::{Attribute, Schema, TimeoutDefaults, Timeouts, Type, Value, validator};

model! {
    /// State of one role.
    pub struct Model {
        /// The role's name.
        pub id: Value<String>,
        /// The role's ARN.
        pub arn: Value<String>,
        /// The role's name.
        pub name: Value<String>,
        /// The region that the role may scan.
        pub region: Value<String>,
        /// The role's path.
        pub path: Value<String>,
        /// The policy that bounds its permissions.
        pub permissions_boundary: Value<String>,
        /// In seconds.
        pub max_session_duration: Value<i32>,
        /// What the scanner is to do.
        pub features: Value<BTreeSet<String>>,
        /// The keys of encrypted volumes.
        pub kms_key_arns: Value<BTreeSet<String>>,
        /// The inline policy, as JSON.
        pub policy: Value<String>,
        /// Who may take the role on, as JSON.
        pub assume_role_policy: Value<String>,
        /// Policies that should not be there.
        pub foreign_policies: Value<BTreeSet<String>>,
        /// The instance profile.
        pub instance_profile_arn: Value<String>,
        /// The instance profile.
        pub instance_profile_name: Value<String>,
        /// Own tags.
        pub tags: Value<Tags>,
        /// All tags.
        pub tags_all: Value<Tags>,
        /// How long operations may take.
        pub timeouts: Value<Timeouts>,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "The IAM role of scanner instances, with its instance profile and one inline policy that grants exactly what \
         a scan of the account's volumes in one region needs: snapshots of volumes whose owners have not opted out, \
         and reading and deleting snapshots that a scanner made. The policy is made from the same table of AWS \
         actions that the scanner itself is compiled from.\n\n\
         A policy that somebody changes, adds or attaches shows in the plan, and apply undoes it.",
    )
    .attribute(Attribute::string("id", "The role's name.").computed().keeps_state())
    .attribute(Attribute::string("arn", "The role's ARN.").computed().keeps_state())
    .attribute(
        Attribute::string(
            "name",
            "The name of the role and of its instance profile, unique in the account. A change makes a new role.",
        )
        .required()
        .replaces()
        .validate(validator::length(1..=64))
        .validate(validator::characters("letters, digits and `+=,.@-_`", |character| {
            character.is_ascii_alphanumeric() || "+=,.@-_".contains(character)
        })),
    )
    .attribute(region_attribute(" whose volumes the role may snapshot"))
    .attribute(
        Attribute::string("path", "The path of the role and its instance profile. A change makes a new role.")
            .default("/")
            .replaces()
            .validate(validator::length(1..=512))
            .validate(validator::pattern("a path that begins and ends with `/`", |path| {
                path.starts_with('/') && path.ends_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
            })),
    )
    .attribute(
        Attribute::string(
            "permissions_boundary",
            "The ARN of a managed policy that bounds the role's permissions, where the account demands one.",
        )
        .optional()
        .validate(arn_validator()),
    )
    .attribute(
        Attribute::int("max_session_duration", "How long a session of the role may last, in seconds.")
            .default(3_600)
            .validate(validator::range(3_600..=43_200)),
    )
    .attribute(
        Attribute::set(
            "features",
            Type::String,
            "What the scanner is to do; each feature brings the permissions that it needs. `hosts`: scan the \
             volumes of EC2 instances of this account and region. `images`: scan Amazon Machine Images there, by \
             copies of their snapshots. `functions`: scan Lambda functions there, with their layers, and the \
             container images of those that are one.",
        )
        .default([Feature::Hosts.name()])
        .validate(validator::items(1..=Feature::ALL.len()))
        .validate(validator::each(validator::one_of(["hosts", "images", "functions"]))),
    )
    .attribute(
        Attribute::set(
            "kms_key_arns",
            Type::String,
            "The ARNs of the KMS keys of encrypted volumes. Left out, the role may use every key of the account in \
             the region whose own policy allows it, but only through EBS.",
        )
        .optional()
        .validate(validator::items(1..=usize::MAX))
        .validate(validator::each(validator::pattern("an ARN of a KMS key, not of an alias", |arn| {
            arn.parse::<KmsKeyArn>().is_ok()
        }))),
    )
    .attribute(Attribute::string("policy", "The role's inline policy, as JSON.").computed().keeps_state())
    .attribute(
        Attribute::string("assume_role_policy", "Who may take the role on, as JSON: EC2, and nobody else.").computed().keeps_state(),
    )
    .attribute(
        Attribute::set(
            "foreign_policies",
            Type::String,
            "Policies of the role that this resource did not make: ARNs of attached ones and names of inline ones. \
             Always planned as empty, so that apply removes them from the role.",
        )
        .computed().keeps_state(),
    )
    .attribute(Attribute::string("instance_profile_arn", "The ARN of the instance profile.").computed().keeps_state())
    .attribute(
        Attribute::string("instance_profile_name", "The name of the instance profile.").computed().keeps_state(),
    )
    .attributes(tagging::attributes())
    .timeouts(TimeoutDefaults::all(Duration::from_mins(5)))
}

fn arn_validator() -> validator::Validator {
    validator::pattern("the ARN of a policy", |arn| arn.starts_with("arn:") && arn.contains(":policy/"))
}
