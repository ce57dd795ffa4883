//! [`Iam`]: roles and instance profiles.

use std::collections::BTreeMap;

use aws_sdk_iam::error::BuildError;
use aws_sdk_iam::types::Tag;
use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError, Tags, without_reserved};

/// A role, as IAM has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Its name, unique in the account whatever the path.
    pub name: String,
    /// Its path, such as `/` or `/security/`.
    pub path: String,
    /// What it is for, in words.
    pub description: String,
    /// Who may take it on, as JSON.
    pub trust_policy: String,
    /// The ARN of the policy that bounds its permissions.
    pub permissions_boundary: Option<String>,
    /// In seconds.
    pub max_session_duration: i32,
    /// Its tags.
    pub tags: Tags,
}

/// A role to be made.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// What it is for, in words.
    pub description: String,
    /// Who may take it on, as JSON.
    pub trust_policy: String,
    /// The ARN of the policy that bounds its permissions.
    pub permissions_boundary: Option<String>,
    /// In seconds.
    pub max_session_duration: i32,
    /// Its tags.
    pub tags: Tags,
}

/// An instance profile, as IAM has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstanceProfile {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The names of its roles: none or one.
    pub roles: Vec<String>,
    /// Its tags.
    pub tags: Tags,
}

/// An instance profile to be made.
#[derive(Clone, Debug)]
pub struct NewInstanceProfile {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its tags.
    pub tags: Tags,
}

/// Roles and instance profiles. IAM is global; the region tells the partition and the endpoint.
pub trait Iam: Send + Sync + 'static {
    /// Makes a role and returns its ARN.
    fn create_role(&self, region: &Region, role: &NewRole) -> impl Answer<String>;
    /// Looks a role up.
    fn role(&self, region: &Region, name: &str) -> impl Answer<Option<Role>>;
    /// Replaces who may take a role on.
    fn put_trust_policy(&self, region: &Region, role: &str, document: &str) -> impl Answer<()>;
    /// Sets how long a session may last, in seconds.
    fn put_max_session_duration(&self, region: &Region, role: &str, seconds: i32) -> impl Answer<()>;
    /// Sets the permissions boundary, or takes it away.
    fn put_permissions_boundary(
        &self,
        region: &Region,
        role: &str,
        policy_arn: Option<&str>,
    ) -> impl Answer<()>;
    /// Sets tags of a role and removes others by key.
    fn tag_role(&self, region: &Region, role: &str, set: &Tags, remove: &[String]) -> impl Answer<()>;
    /// Removes a role, which must have no policies and be in no instance profile.
    fn delete_role(&self, region: &Region, name: &str) -> impl Answer<()>;

    /// The inline policies of a role as JSON, by name.
    fn inline_policies(&self, region: &Region, role: &str) -> impl Answer<BTreeMap<String, String>>;
    /// Sets an inline policy of a role.
    fn put_inline_policy(&self, region: &Region, role: &str, policy: &str, document: &str)
    -> impl Answer<()>;
    /// Removes an inline policy of a role. That it is gone already is a success.
    fn delete_inline_policy(&self, region: &Region, role: &str, policy: &str) -> impl Answer<()>;
    /// The ARNs of the managed policies attached to a role.
    fn attached_policies(&self, region: &Region, role: &str) -> impl Answer<Vec<String>>;
    /// Detaches a managed policy from a role. That it is detached already is a success.
    fn detach_policy(&self, region: &Region, role: &str, policy_arn: &str) -> impl Answer<()>;

    /// Makes an instance profile without a role.
    fn create_instance_profile(
        &self,
        region: &Region,
        profile: &NewInstanceProfile,
    ) -> impl Answer<InstanceProfile>;
    /// Looks an instance profile up.
    fn instance_profile(&self, region: &Region, name: &str) -> impl Answer<Option<InstanceProfile>>;
    /// The names of the instance profiles that hold a role.
    fn profiles_of_role(&self, region: &Region, role: &str) -> impl Answer<Vec<String>>;
    /// Puts a role into an instance profile.
    fn add_role_to_profile(&self, region: &Region, profile: &str, role: &str) -> impl Answer<()>;
    /// Takes a role out of an instance profile. That it is out already is a success.
    fn remove_role_from_profile(&self, region: &Region, profile: &str, role: &str) -> impl Answer<()>;
    /// Sets tags of an instance profile and removes others by key.
    fn tag_profile(&self, region: &Region, profile: &str, set: &Tags, remove: &[String]) -> impl Answer<()>;
    /// Removes an instance profile, which must hold no role. That it is gone already is a success.
    fn delete_instance_profile(&self, region: &Region, name: &str) -> impl Answer<()>;
}

impl Iam for Aws {
    async fn create_role(&self, region: &Region, role: &NewRole) -> Result<String, AwsError> {
        const OPERATION: &str = "iam:CreateRole";
        let answer = self
            .clients(region)
            .iam
            .create_role()
            .role_name(&role.name)
            .path(&role.path)
            .description(&role.description)
            .assume_role_policy_document(&role.trust_policy)
            .set_permissions_boundary(role.permissions_boundary.clone())
            .max_session_duration(role.max_session_duration)
            .set_tags(Some(to_sdk(OPERATION, &role.tags)?))
            .send()
            .await
            .map_err(failed(OPERATION))?;
        let role = answer.role.ok_or_else(|| AwsError::malformed(OPERATION, "role"))?;
        Ok(role.arn)
    }

    async fn role(&self, region: &Region, name: &str) -> Result<Option<Role>, AwsError> {
        const OPERATION: &str = "iam:GetRole";
        let answer = self.clients(region).iam.get_role().role_name(name).send().await;
        let Some(answer) = found(answer.map_err(failed(OPERATION)))? else { return Ok(None) };
        let role = answer.role.ok_or_else(|| AwsError::malformed(OPERATION, "role"))?;
        Ok(Some(Role {
            arn: role.arn,
            name: role.role_name,
            path: role.path,
            description: role.description.unwrap_or_default(),
            trust_policy: role
                .assume_role_policy_document
                .as_deref()
                .map(percent_decoded)
                .unwrap_or_default(),
            permissions_boundary: role
                .permissions_boundary
                .and_then(|boundary| boundary.permissions_boundary_arn),
            max_session_duration: role.max_session_duration.unwrap_or(DEFAULT_SESSION),
            tags: from_sdk(role.tags),
        }))
    }

    async fn put_trust_policy(&self, region: &Region, role: &str, document: &str) -> Result<(), AwsError> {
        let request =
            self.clients(region).iam.update_assume_role_policy().role_name(role).policy_document(document);
        request.send().await.map_err(failed("iam:UpdateAssumeRolePolicy"))?;
        Ok(())
    }

    async fn put_max_session_duration(
        &self,
        region: &Region,
        role: &str,
        seconds: i32,
    ) -> Result<(), AwsError> {
        let request = self.clients(region).iam.update_role().role_name(role).max_session_duration(seconds);
        request.send().await.map_err(failed("iam:UpdateRole"))?;
        Ok(())
    }

    async fn put_permissions_boundary(
        &self,
        region: &Region,
        role: &str,
        policy_arn: Option<&str>,
    ) -> Result<(), AwsError> {
        let iam = self.clients(region).iam;
        if let Some(arn) = policy_arn {
            let request = iam.put_role_permissions_boundary().role_name(role).permissions_boundary(arn);
            request.send().await.map_err(failed("iam:PutRolePermissionsBoundary"))?;
        } else {
            let request = iam.delete_role_permissions_boundary().role_name(role);
            found(request.send().await.map_err(failed("iam:DeleteRolePermissionsBoundary")))?;
        }
        Ok(())
    }

    async fn tag_role(
        &self,
        region: &Region,
        role: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        let iam = self.clients(region).iam;
        if !remove.is_empty() {
            let request = iam.untag_role().role_name(role).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("iam:UntagRole"))?;
        }
        if !set.is_empty() {
            const OPERATION: &str = "iam:TagRole";
            let request = iam.tag_role().role_name(role).set_tags(Some(to_sdk(OPERATION, set)?));
            request.send().await.map_err(failed(OPERATION))?;
        }
        Ok(())
    }

    async fn delete_role(&self, region: &Region, name: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.delete_role().role_name(name);
        found(request.send().await.map_err(failed("iam:DeleteRole")))?;
        Ok(())
    }

    async fn inline_policies(
        &self,
        region: &Region,
        role: &str,
    ) -> Result<BTreeMap<String, String>, AwsError> {
        let iam = self.clients(region).iam;
        let mut pages = iam.list_role_policies().role_name(role).into_paginator().items().send();
        let mut policies = BTreeMap::new();
        while let Some(name) = pages.next().await {
            let name = name.map_err(failed("iam:ListRolePolicies"))?;
            let answer = iam.get_role_policy().role_name(role).policy_name(&name).send().await;
            // One that was removed between the two requests is simply not there.
            if let Some(policy) = found(answer.map_err(failed("iam:GetRolePolicy")))? {
                policies.insert(name, percent_decoded(&policy.policy_document));
            }
        }
        Ok(policies)
    }

    async fn put_inline_policy(
        &self,
        region: &Region,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), AwsError> {
        let request = self.clients(region).iam.put_role_policy().role_name(role).policy_name(policy);
        request.policy_document(document).send().await.map_err(failed("iam:PutRolePolicy"))?;
        Ok(())
    }

    async fn delete_inline_policy(&self, region: &Region, role: &str, policy: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.delete_role_policy().role_name(role).policy_name(policy);
        found(request.send().await.map_err(failed("iam:DeleteRolePolicy")))?;
        Ok(())
    }

    async fn attached_policies(&self, region: &Region, role: &str) -> Result<Vec<String>, AwsError> {
        let iam = self.clients(region).iam;
        let mut pages = iam.list_attached_role_policies().role_name(role).into_paginator().items().send();
        let mut arns = Vec::new();
        while let Some(policy) = pages.next().await {
            arns.extend(policy.map_err(failed("iam:ListAttachedRolePolicies"))?.policy_arn);
        }
        arns.sort_unstable();
        Ok(arns)
    }

    async fn detach_policy(&self, region: &Region, role: &str, policy_arn: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.detach_role_policy().role_name(role).policy_arn(policy_arn);
        found(request.send().await.map_err(failed("iam:DetachRolePolicy")))?;
        Ok(())
    }

    async fn create_instance_profile(
        &self,
        region: &Region,
        profile: &NewInstanceProfile,
    ) -> Result<InstanceProfile, AwsError> {
        const OPERATION: &str = "iam:CreateInstanceProfile";
        let answer = self
            .clients(region)
            .iam
            .create_instance_profile()
            .instance_profile_name(&profile.name)
            .path(&profile.path)
            .set_tags(Some(to_sdk(OPERATION, &profile.tags)?))
            .send()
            .await
            .map_err(failed(OPERATION))?;
        let made =
            answer.instance_profile.ok_or_else(|| AwsError::malformed(OPERATION, "instance profile"))?;
        Ok(profile_from_sdk(made))
    }

    async fn instance_profile(
        &self,
        region: &Region,
        name: &str,
    ) -> Result<Option<InstanceProfile>, AwsError> {
        let request = self.clients(region).iam.get_instance_profile().instance_profile_name(name);
        let answer = found(request.send().await.map_err(failed("iam:GetInstanceProfile")))?;
        Ok(answer.and_then(|answer| answer.instance_profile).map(profile_from_sdk))
    }

    async fn profiles_of_role(&self, region: &Region, role: &str) -> Result<Vec<String>, AwsError> {
        let iam = self.clients(region).iam;
        let mut pages = iam.list_instance_profiles_for_role().role_name(role).into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(profile) = pages.next().await {
            names.push(profile.map_err(failed("iam:ListInstanceProfilesForRole"))?.instance_profile_name);
        }
        Ok(names)
    }

    async fn add_role_to_profile(&self, region: &Region, profile: &str, role: &str) -> Result<(), AwsError> {
        let request = self
            .clients(region)
            .iam
            .add_role_to_instance_profile()
            .instance_profile_name(profile)
            .role_name(role);
        request.send().await.map_err(failed("iam:AddRoleToInstanceProfile"))?;
        Ok(())
    }

    async fn remove_role_from_profile(
        &self,
        region: &Region,
        profile: &str,
        role: &str,
    ) -> Result<(), AwsError> {
        let iam = self.clients(region).iam;
        let request = iam.remove_role_from_instance_profile().instance_profile_name(profile).role_name(role);
        found(request.send().await.map_err(failed("iam:RemoveRoleFromInstanceProfile")))?;
        Ok(())
    }

    async fn tag_profile(
        &self,
        region: &Region,
        profile: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        let iam = self.clients(region).iam;
        if !remove.is_empty() {
            let request = iam.untag_instance_profile().instance_profile_name(profile);
            let request = request.set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("iam:UntagInstanceProfile"))?;
        }
        if !set.is_empty() {
            const OPERATION: &str = "iam:TagInstanceProfile";
            let request = iam.tag_instance_profile().instance_profile_name(profile);
            let request = request.set_tags(Some(to_sdk(OPERATION, set)?));
            request.send().await.map_err(failed(OPERATION))?;
        }
        Ok(())
    }

    async fn delete_instance_profile(&self, region: &Region, name: &str) -> Result<(), AwsError> {
        let request = self.clients(region).iam.delete_instance_profile().instance_profile_name(name);
        found(request.send().await.map_err(failed("iam:DeleteInstanceProfile")))?;
        Ok(())
    }
}

/// What IAM takes when no maximum is given (`MaxSessionDuration` of `CreateRole`), in seconds.
const DEFAULT_SESSION: i32 = 3_600;

/// `None` when the thing is not there.
pub(super) fn found<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn profile_from_sdk(profile: aws_sdk_iam::types::InstanceProfile) -> InstanceProfile {
    InstanceProfile {
        arn: profile.arn,
        name: profile.instance_profile_name,
        roles: profile.roles.into_iter().map(|role| role.role_name).collect(),
        tags: from_sdk(profile.tags),
    }
}

pub(super) fn to_sdk(operation: &'static str, tags: &Tags) -> Result<Vec<Tag>, AwsError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let tags: Result<_, BuildError> = tags.iter().map(tag).collect();
    tags.map_err(|_| AwsError::malformed(operation, "tag with key and value"))
}

pub(super) fn from_sdk(tags: Option<Vec<Tag>>) -> Tags {
    without_reserved(tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)))
}

/// IAM returns documents percent-encoded (RFC 3986). What is not a valid escape stays as it is.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_decoded() {
        assert_eq!(percent_decoded("%7B%22Version%22%3A%222012-10-17%22%7D"), r#"{"Version":"2012-10-17"}"#);
        assert_eq!(percent_decoded("%C3%A4"), "ä");
        for plain in [r#"{"a": "b"}"#, "", "100%", "%zz", "%4"] {
            assert_eq!(percent_decoded(plain), plain);
        }
    }
}
