//! What the resources that make IAM roles have in common: arguments, documents, and the policies on a role.

mod arguments;
mod attributes;
mod change;
mod creation;
mod documents;
mod permissions;

pub use arguments::Reports;
pub(crate) use arguments::{
    DelegateArguments, ScannerArguments, path_of, read_reports, read_set, region_list, role_arn,
    trust_scanners, union,
};
pub(crate) use attributes::{
    delegate_attributes, features_attribute, import_id, kms_keys_attribute, policy_attributes,
    role_attributes, service_attributes,
};
pub(crate) use change::{SESSION, Settings as RoleSettings, delete_role, planned_policies};
pub(crate) use creation::{create_role, described, is_missing_principal, missing_principal};
pub(crate) use documents::{keep_if_equal, parsed};
#[cfg(test)]
pub(crate) use permissions::INLINE;
pub(crate) use permissions::{OwnPolicies, expected_policies};
