//! The slices of AWS that the resources call.
//!
//! One narrow trait per concept, in our own types: [`Identity`], [`Iam`], [`ManagedPolicies`], [`SecurityGroups`],
//! [`LaunchTemplates`], [`ScalingGroups`], [`InstanceRefreshes`], [`LifecycleHooks`], [`Images`], [`Networks`],
//! [`Secrets`], [`Sessions`]. [`Aws`] implements them over the SDK, the tests of the resources over a map. Every method
//! takes the region: one provider block serves all of them. Nothing here knows Terraform but [`retry`] and
//! [`AwsError::diagnostic`], which say things to its users.

mod clients;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod iam;
mod images;
mod instance_refreshes;
mod launch_templates;
mod lifecycle_hooks;
mod managed_policies;
mod network;
mod retry;
mod scaling_groups;
mod secrets;
mod security_groups;
mod sessions;

use std::collections::BTreeMap;

pub use clients::{Aws, Endpoints, Identity};
pub use error::{AwsError, Kind};
pub use iam::{Iam, InstanceProfile, NewInstanceProfile, NewRole, Role};
pub use images::{ImageQuery, Images, MachineImage};
pub use instance_refreshes::{InstanceRefreshes, NewRefresh, Refresh, RefreshStatus};
pub use launch_templates::{
    DEFAULT_ROOT_DEVICE, Image, LaunchTemplate, LaunchTemplates, MetadataOptions, RootVolume,
    TemplateContent, TemplateRef,
};
pub use lifecycle_hooks::{Hook, LifecycleHooks};
pub use managed_policies::{ManagedPolicies, ManagedPolicy, NewManagedPolicy, PolicyVersion};
pub use network::{
    Change, Dns, Endpoint, EndpointService, FlowLog, Interface, Ipv6Block, Networks, NewPart, Part, PartKind,
    PartKinds, Route, Status, Vpc, What,
};
pub use retry::{IAM_PROPAGATION, Pace, retry};
pub use scaling_groups::{GroupSettings, ScalingGroup, ScalingGroups};
pub use secrets::{CURRENT, NewSecret, Secrets, StoredSecret};
pub use security_groups::{Group, NewGroup, Peer, Rule, RuleSpec, SecurityGroups};
pub use sessions::{Session, SessionRequest, Sessions};

/// Tags of one resource, by key.
pub type Tags = BTreeMap<String, String>;

/// What a method of a slice returns. `None` inside means that the thing is not there.
pub trait Answer<T>: Future<Output = Result<T, AwsError>> + Send {}

impl<T, F: Future<Output = Result<T, AwsError>> + Send> Answer<T> for F {}

/// The tags of `have` that users may see and set: those of AWS itself (`aws:…`) are neither.
fn without_reserved(tags: impl IntoIterator<Item = (String, String)>) -> Tags {
    tags.into_iter().filter(|(key, _)| !key.starts_with("aws:")).collect()
}
