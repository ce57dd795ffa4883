//! The slices of AWS that the resources call.
//!
//! One narrow trait per concept, in our own types: [`Identity`], [`Iam`], [`ManagedPolicies`], [`SecurityGroups`], [`LaunchTemplates`],
//! [`ScalingGroups`]. [`Aws`] implements them over the SDK, the tests of the resources over a map. Every method takes
//! the region: one provider block serves all of them. Nothing here knows Terraform but [`retry`] and
//! [`AwsError::diagnostic`], which say things to its users.

mod clients;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod iam;
mod launch_templates;
mod managed_policies;
mod retry;
mod scaling_groups;
mod security_groups;

use std::collections::BTreeMap;

pub use clients::{Aws, Endpoints, Identity};
pub use error::{AwsError, Kind};
pub use iam::{Iam, InstanceProfile, NewInstanceProfile, NewRole, Role};
pub use launch_templates::{
    Image, LaunchTemplate, LaunchTemplates, MetadataOptions, RootVolume, TemplateContent, TemplateRef,
};
pub use managed_policies::{ManagedPolicies, ManagedPolicy, NewManagedPolicy, PolicyVersion};
pub use retry::{IAM_PROPAGATION, Pace, retry};
pub use scaling_groups::{GroupSettings, ScalingGroup, ScalingGroups};
pub use security_groups::{Group, NewGroup, Peer, Rule, RuleSpec, SecurityGroups};

/// Tags of one resource, by key.
pub type Tags = BTreeMap<String, String>;

/// What a method of a slice returns. `None` inside means that the thing is not there.
pub trait Answer<T>: Future<Output = Result<T, AwsError>> + Send {}

impl<T, F: Future<Output = Result<T, AwsError>> + Send> Answer<T> for F {}

/// The tags of `have` that users may see and set: those of AWS itself (`aws:…`) are neither.
fn without_reserved(tags: impl IntoIterator<Item = (String, String)>) -> Tags {
    tags.into_iter().filter(|(key, _)| !key.starts_with("aws:")).collect()
}
