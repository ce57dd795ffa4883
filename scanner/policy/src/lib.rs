//! Every AWS action the scanner may call, as data, and the IAM policies made from it.
//!
//! One table serves three readers. The scanner's AWS layer takes a [`Call`] for every request, and the only calls that
//! exist are the constants in [`actions`]: what is not in the table cannot be called. The Terraform provider renders
//! the role's policy from it ([`PolicyDocument`]). The tests compare both with the requests that were really made.
//!
//! The crate knows nothing of the AWS SDK, of Terraform or of scanning.

#![forbid(unsafe_code)]

mod action;
pub mod actions;
mod arns;
mod document;
mod explain;
mod grant;
mod ids;
mod packing;
mod partition;
mod pipeline;
mod reading;
mod scope;
pub mod tags;
mod trust;

pub use action::{Action, Call, Feature, RateClass, Trigger};
pub use arns::{BucketName, ExternalId, ParameterPrefix, ReportPrefix, RoleArn, ScalingGroupName, SecretArn};
pub use document::{PolicyDocument, Statement};
pub use explain::Explanation;
pub use ids::{AccountId, InvalidId, KmsKeyArn, Region};
pub use packing::{INLINE_POLICY_LIMIT, MANAGED_POLICIES_OF_ROLE, MANAGED_POLICY_LIMIT, Packed, merged};
pub use partition::Partition;
pub use pipeline::{ARCHITECTURES, POINTERS, PipelineScope};
pub use reading::{Permissions, Trust};
pub use scope::{Argument, DelegateScope, PolicyError, ReportStore, Scope, ServiceAccess};
