//! What users may write in a `datadog_agentless_scanner_role` block, and its model.

use std::collections::BTreeSet;
use std::time::Duration;

use scanner_policy::Feature;

use super::super::iam::{
    Reports, RoleSettings, ScannerArguments, features_attribute, kms_keys_attribute, policy_attributes,
    role_attributes, service_attributes,
};
use super::super::place::region_attribute;
use super::super::tagging;
use crate::aws::Tags;
use crate::model;
use crate::sdk::{Attribute, Schema, TimeoutDefaults, Timeouts, Value};

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
        /// The roles of other accounts that it may become.
        pub delegate_role_arns: Value<BTreeSet<String>>,
        /// The secrets that it may read.
        pub secret_arns: Value<BTreeSet<String>>,
        /// Their keys.
        pub secret_kms_key_arns: Value<BTreeSet<String>>,
        /// The groups of its instances.
        pub scaling_group_names: Value<BTreeSet<String>>,
        /// Where it may store package lists.
        pub reports: Value<Reports>,
        /// What it permits, as JSON.
        pub policy: Value<String>,
        /// Who may take the role on, as JSON.
        pub assume_role_policy: Value<String>,
        /// The managed policies that hold what it permits.
        pub managed_policy_arns: Value<BTreeSet<String>>,
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

impl Model {
    /// What is neither name nor document.
    pub(super) fn settings(&self) -> RoleSettings<'_> {
        RoleSettings {
            permissions_boundary: &self.permissions_boundary,
            max_session_duration: &self.max_session_duration,
        }
    }

    /// What its policy is made from.
    pub(super) fn arguments(&self) -> ScannerArguments<'_> {
        ScannerArguments {
            features: &self.features,
            kms_key_arns: &self.kms_key_arns,
            delegate_role_arns: &self.delegate_role_arns,
            secret_arns: &self.secret_arns,
            secret_kms_key_arns: &self.secret_kms_key_arns,
            scaling_group_names: &self.scaling_group_names,
            reports: &self.reports,
        }
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "The IAM role of scanner instances, with its instance profile and a policy that grants exactly what is asked \
         for. By `features`: what a scan of this account in one region needs, which is snapshots of volumes whose owners \
         have not opted out, and reading and deleting snapshots that a scanner made. By the other arguments: only what they \
         name, such as becoming the delegate roles of other accounts. The policy is made from the same table of AWS actions \
         that the scanner itself is compiled from.\n\n\
         A policy that somebody changes, adds or attaches shows in the plan, and apply undoes it.",
    )
    .version(1)
    .attribute(Attribute::string("id", "The role's name.").computed().keeps_state())
    .attribute(Attribute::string("arn", "The role's ARN.").computed().keeps_state())
    .attributes(role_attributes("the role and of its instance profile", ""))
    .attribute(region_attribute(" whose volumes the role may snapshot"))
    .attribute(
        features_attribute(0, " May be empty where `delegate_role_arns` are given: the scanner then scans only other accounts.")
            .default([Feature::Hosts.name()]),
    )
    .attribute(kms_keys_attribute())
    .attributes(service_attributes())
    .attributes(policy_attributes("EC2, and nobody else"))
    .attribute(Attribute::string("instance_profile_arn", "The ARN of the instance profile.").computed().keeps_state())
    .attribute(
        Attribute::string("instance_profile_name", "The name of the instance profile.").computed().keeps_state(),
    )
    .attributes(tagging::attributes())
    .timeouts(TimeoutDefaults::all(Duration::from_mins(5)))
}
