//! [`ManagedPolicies`]: the customer-managed policies of an account.

use aws_sdk_iam::types::Tag;
use scanner_policy::Region;

use super::error::failed;
use super::iam::{found, from_sdk, percent_decoded, to_sdk};
use super::{Answer, Aws, AwsError, Tags};

/// A managed policy, as IAM has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManagedPolicy {
    /// Its ARN.
    pub arn: String,
    /// What it is for, in words. IAM lets nobody change it.
    pub description: String,
    /// What it grants, as JSON: its default version.
    pub document: String,
    /// Its tags.
    pub tags: Tags,
}

/// A managed policy to be made.
#[derive(Clone, Debug)]
pub struct NewManagedPolicy {
    /// Its name, unique in the account whatever the path.
    pub name: String,
    /// Its path.
    pub path: String,
    /// What it is for, in words.
    pub description: String,
    /// What it grants, as JSON.
    pub document: String,
    /// Its tags.
    pub tags: Tags,
}

/// One version of a managed policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyVersion {
    /// Its id, such as `v1`. Ids are counted up and never used again.
    pub id: String,
    /// Whether it is the one that counts.
    pub is_default: bool,
}

/// Customer-managed policies. IAM is global; the region tells the partition and the endpoint.
pub trait ManagedPolicies: Send + Sync + 'static {
    /// Makes a policy and returns its ARN.
    fn create_policy(&self, region: &Region, policy: &NewManagedPolicy) -> impl Answer<String>;
    /// Looks a policy up, with the document of its default version.
    fn managed_policy(&self, region: &Region, arn: &str) -> impl Answer<Option<ManagedPolicy>>;
    /// The versions of a policy.
    fn policy_versions(&self, region: &Region, arn: &str) -> impl Answer<Vec<PolicyVersion>>;
    /// Adds a version, which then is the default.
    fn create_policy_version(&self, region: &Region, arn: &str, document: &str) -> impl Answer<()>;
    /// Removes a version that is not the default. That it is gone already is a success.
    fn delete_policy_version(&self, region: &Region, arn: &str, version: &str) -> impl Answer<()>;
    /// Sets tags of a policy and removes others by key.
    fn tag_policy(&self, region: &Region, arn: &str, set: &Tags, remove: &[String]) -> impl Answer<()>;
    /// Attaches a policy to a role.
    fn attach_policy(&self, region: &Region, role: &str, arn: &str) -> impl Answer<()>;
    /// Removes a policy, which must be attached to nothing and have one version. That it is gone already is a success.
    fn delete_policy(&self, region: &Region, arn: &str) -> impl Answer<()>;
}

impl ManagedPolicies for Aws {
    async fn create_policy(&self, region: &Region, policy: &NewManagedPolicy) -> Result<String, AwsError> {
        const OPERATION: &str = "iam:CreatePolicy";
        let answer = self
            .clients(region)
            .iam
            .create_policy()
            .policy_name(&policy.name)
            .path(&policy.path)
            .description(&policy.description)
            .policy_document(&policy.document)
            .set_tags(Some(to_sdk(OPERATION, &policy.tags)?))
            .send()
            .await
            .map_err(failed(OPERATION))?;
        let arn = answer.policy.and_then(|policy| policy.arn);
        arn.ok_or_else(|| AwsError::malformed(OPERATION, "policy"))
    }

    async fn managed_policy(&self, region: &Region, arn: &str) -> Result<Option<ManagedPolicy>, AwsError> {
        let iam = self.clients(region).iam;
        let answer = iam.get_policy().policy_arn(arn).send().await.map_err(failed("iam:GetPolicy"));
        let Some(policy) = found(answer)?.and_then(|answer| answer.policy) else { return Ok(None) };
        let version = policy.default_version_id.unwrap_or_default();
        let request = iam.get_policy_version().policy_arn(arn).version_id(version);
        let answer = found(request.send().await.map_err(failed("iam:GetPolicyVersion")))?;
        let document = answer.and_then(|answer| answer.policy_version?.document);
        Ok(Some(ManagedPolicy {
            arn: arn.to_owned(),
            description: policy.description.unwrap_or_default(),
            document: document.as_deref().map(percent_decoded).unwrap_or_default(),
            tags: from_sdk(policy.tags),
        }))
    }

    async fn policy_versions(&self, region: &Region, arn: &str) -> Result<Vec<PolicyVersion>, AwsError> {
        let request = self.clients(region).iam.list_policy_versions().policy_arn(arn);
        let mut pages = request.into_paginator().items().send();
        let mut versions = Vec::new();
        while let Some(version) = pages.next().await {
            let version = version.map_err(failed("iam:ListPolicyVersions"))?;
            let id = version.version_id.unwrap_or_default();
            versions.push(PolicyVersion { id, is_default: version.is_default_version });
        }
        Ok(versions)
    }

    async fn create_policy_version(
        &self,
        region: &Region,
        arn: &str,
        document: &str,
    ) -> Result<(), AwsError> {
        let request = self.clients(region).iam.create_policy_version().policy_arn(arn);
        let request = request.policy_document(document).set_as_default(true);
        request.send().await.map_err(failed("iam:CreatePolicyVersion"))?;
        Ok(())
    }

    async fn delete_policy_version(&self, region: &Region, arn: &str, version: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.delete_policy_version().policy_arn(arn).version_id(version);
        found(request.send().await.map_err(failed("iam:DeletePolicyVersion")))?;
        Ok(())
    }

    async fn tag_policy(
        &self,
        region: &Region,
        arn: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        let iam = self.clients(region).iam;
        if !remove.is_empty() {
            let request = iam.untag_policy().policy_arn(arn).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("iam:UntagPolicy"))?;
        }
        if !set.is_empty() {
            const OPERATION: &str = "iam:TagPolicy";
            let tags: Vec<Tag> = to_sdk(OPERATION, set)?;
            let request = iam.tag_policy().policy_arn(arn).set_tags(Some(tags));
            request.send().await.map_err(failed(OPERATION))?;
        }
        Ok(())
    }

    async fn attach_policy(&self, region: &Region, role: &str, arn: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.attach_role_policy().role_name(role).policy_arn(arn);
        request.send().await.map_err(failed("iam:AttachRolePolicy"))?;
        Ok(())
    }

    async fn delete_policy(&self, region: &Region, arn: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.delete_policy().policy_arn(arn);
        found(request.send().await.map_err(failed("iam:DeletePolicy")))?;
        Ok(())
    }
}
