//! Managed policies and their versions.

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws, missing, retag};
use crate::aws::{AwsError, ManagedPolicies, ManagedPolicy, NewManagedPolicy, PolicyVersion, Tags};

/// How many versions a policy may have ("IAM and AWS STS quotas").
const VERSIONS: usize = 5;

/// A policy with its versions.
#[derive(Debug, Default)]
pub(crate) struct FakePolicy {
    pub(crate) policy: ManagedPolicy,
    pub(crate) versions: Vec<PolicyVersion>,
    pub(crate) made: usize,
}

impl FakePolicy {
    /// A new default version.
    pub(crate) fn change(&mut self, document: &str) {
        self.made += 1;
        for version in &mut self.versions {
            version.is_default = false;
        }
        self.versions.push(PolicyVersion { id: format!("v{}", self.made), is_default: true });
        self.policy.document = document.to_owned();
    }
}

impl ManagedPolicies for FakeAws {
    async fn create_policy(&self, region: &Region, policy: &NewManagedPolicy) -> Result<String, AwsError> {
        const OPERATION: &str = "iam:CreatePolicy";
        let mut world = self.call(OPERATION)?;
        let arn =
            format!("arn:{}:iam::{ACCOUNT}:policy{}{}", region.partition().id(), policy.path, policy.name);
        if world.policies.contains_key(&arn) {
            return Err(AwsError::answered(OPERATION, "EntityAlreadyExists", "there is one"));
        }
        let made = ManagedPolicy {
            arn: arn.clone(),
            description: policy.description.clone(),
            document: String::new(),
            tags: policy.tags.clone(),
        };
        let mut fake = FakePolicy { policy: made, ..FakePolicy::default() };
        fake.change(&policy.document);
        world.policies.insert(arn.clone(), fake);
        world.lost_answer(OPERATION, "EntityAlreadyExists")?;
        Ok(arn)
    }

    async fn managed_policy(&self, _: &Region, arn: &str) -> Result<Option<ManagedPolicy>, AwsError> {
        Ok(self.call("iam:GetPolicy")?.policies.get(arn).map(|fake| fake.policy.clone()))
    }

    async fn policy_versions(&self, _: &Region, arn: &str) -> Result<Vec<PolicyVersion>, AwsError> {
        const OPERATION: &str = "iam:ListPolicyVersions";
        let world = self.call(OPERATION)?;
        Ok(world.policies.get(arn).ok_or_else(|| missing(OPERATION))?.versions.clone())
    }

    async fn create_policy_version(&self, _: &Region, arn: &str, document: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:CreatePolicyVersion";
        let mut world = self.call(OPERATION)?;
        let fake = world.policies.get_mut(arn).ok_or_else(|| missing(OPERATION))?;
        if fake.versions.len() >= VERSIONS {
            return Err(AwsError::answered(OPERATION, "LimitExceeded", "five versions"));
        }
        fake.change(document);
        world.lost_answer(OPERATION, "LimitExceeded")
    }

    async fn delete_policy_version(&self, _: &Region, arn: &str, version: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:DeletePolicyVersion";
        let mut world = self.call(OPERATION)?;
        let Some(fake) = world.policies.get_mut(arn) else { return Ok(()) };
        if fake.versions.iter().any(|one| one.is_default && one.id == version) {
            return Err(AwsError::answered(OPERATION, "DeleteConflict", "the default"));
        }
        fake.versions.retain(|one| one.id != version);
        Ok(())
    }

    async fn tag_policy(&self, _: &Region, arn: &str, set: &Tags, remove: &[String]) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:TagPolicy";
        let mut world = self.call(OPERATION)?;
        let fake = world.policies.get_mut(arn).ok_or_else(|| missing(OPERATION))?;
        retag(&mut fake.policy.tags, set, remove);
        Ok(())
    }

    async fn attach_policy(&self, _: &Region, role: &str, arn: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:AttachRolePolicy";
        let mut world = self.call(OPERATION)?;
        if !world.policies.contains_key(arn) {
            return Err(missing(OPERATION));
        }
        let attached = &mut world.roles.get_mut(role).ok_or_else(|| missing(OPERATION))?.attached;
        if !attached.iter().any(|other| other == arn) {
            attached.push(arn.to_owned());
        }
        Ok(())
    }

    async fn delete_policy(&self, _: &Region, arn: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:DeletePolicy";
        let mut world = self.call(OPERATION)?;
        let attached = world.roles.values().any(|fake| fake.attached.iter().any(|other| other == arn));
        let versions = world.policies.get(arn).map_or(0, |fake| fake.versions.len());
        if attached || versions > 1 {
            return Err(AwsError::answered(OPERATION, "DeleteConflict", "attached, or has versions"));
        }
        world.policies.remove(arn);
        Ok(())
    }
}
