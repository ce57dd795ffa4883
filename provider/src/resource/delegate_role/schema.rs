//! What users may write in a `datadog_agentless_scanner_delegate_role` block, and its model.

use std::collections::BTreeSet;
use std::time::Duration;

use scanner_policy::Feature;

use super::super::iam::{
    DelegateArguments, RoleSettings, delegate_attributes, features_attribute, kms_keys_attribute,
    policy_attributes, role_attributes,
};
use super::super::place::region_attribute;
use super::super::tagging;
use crate::aws::Tags;
use crate::model;
use crate::sdk::{Attribute, Schema, TimeoutDefaults, Timeouts, Value};

model! {
    /// State of one delegate role.
    pub struct Model {
        /// The role's name.
        pub id: Value<String>,
        /// The role's ARN.
        pub arn: Value<String>,
        /// The role's name.
        pub name: Value<String>,
        /// The region whose partition the role is in.
        pub region: Value<String>,
        /// The regions that it may be used in.
        pub regions: Value<BTreeSet<String>>,
        /// The role's path.
        pub path: Value<String>,
        /// The policy that bounds its permissions.
        pub permissions_boundary: Value<String>,
        /// In seconds.
        pub max_session_duration: Value<i32>,
        /// Who may take it on.
        pub scanner_role_arns: Value<BTreeSet<String>>,
        /// What they must name.
        pub external_id: Value<String>,
        /// What is to be scanned.
        pub features: Value<BTreeSet<String>>,
        /// The keys of encrypted volumes.
        pub kms_key_arns: Value<BTreeSet<String>>,
        /// What it permits, as JSON.
        pub policy: Value<String>,
        /// Who may take the role on, as JSON.
        pub assume_role_policy: Value<String>,
        /// The managed policies that hold what it permits.
        pub managed_policy_arns: Value<BTreeSet<String>>,
        /// Policies that should not be there.
        pub foreign_policies: Value<BTreeSet<String>>,
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
    pub(super) fn arguments(&self) -> DelegateArguments<'_> {
        DelegateArguments { features: &self.features, kms_key_arns: &self.kms_key_arns }
    }
}

pub(super) fn schema() -> Schema {
    let [scanners, external_id, regions] = delegate_attributes();
    Schema::new(
        "The IAM role of a scanned account that scanners of another account become to scan it. Exactly the given scanner \
         roles may take it on. It grants what scans need in this account and nothing else: snapshots of volumes whose \
         owners have not opted out, and reading and deleting snapshots that a scanner made.\n\n\
         A policy or a trust that somebody changes, adds or attaches shows in the plan, and apply undoes it.",
    )
    .attribute(Attribute::string("id", "The role's name.").computed().keeps_state())
    .attribute(Attribute::string("arn", "The role's ARN.").computed().keeps_state())
    .attributes(role_attributes(
        "the role",
        " A scanner that runs on an instance gets one hour at most, whatever this says (role chaining).",
    ))
    .attribute(region_attribute(" that scans look into, unless `regions` names others. The role itself is global"))
    .attribute(regions)
    .attribute(scanners.required())
    .attribute(external_id)
    .attribute(features_attribute(1, "").default([Feature::Hosts.name()]))
    .attribute(kms_keys_attribute())
    .attributes(policy_attributes("the scanner roles, and nobody else"))
    .attributes(tagging::attributes())
    .timeouts(TimeoutDefaults::all(Duration::from_mins(5)))
}
