//! Roles, their policies and instance profiles.

use std::collections::BTreeMap;

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws, FakeRole, World, missing, retag};
use crate::aws::{AwsError, Iam, InstanceProfile, NewInstanceProfile, NewRole, Role, Tags};

impl Iam for FakeAws {
    async fn create_role(&self, region: &Region, role: &NewRole) -> Result<String, AwsError> {
        const OPERATION: &str = "iam:CreateRole";
        let mut world = self.call(OPERATION)?;
        if world.roles.contains_key(&role.name) {
            return Err(AwsError::answered(OPERATION, "EntityAlreadyExists", "there is one"));
        }
        world.check_principals(OPERATION, &role.trust_policy)?;
        let arn = format!("arn:{}:iam::{ACCOUNT}:role{}{}", region.partition().id(), role.path, role.name);
        let made = Role {
            arn: arn.clone(),
            name: role.name.clone(),
            path: role.path.clone(),
            description: role.description.clone(),
            trust_policy: role.trust_policy.clone(),
            permissions_boundary: role.permissions_boundary.clone(),
            max_session_duration: role.max_session_duration,
            tags: role.tags.clone(),
        };
        world.roles.insert(role.name.clone(), FakeRole { role: made, ..FakeRole::default() });
        world.lost_answer(OPERATION, "EntityAlreadyExists")?;
        Ok(arn)
    }

    async fn role(&self, _region: &Region, name: &str) -> Result<Option<Role>, AwsError> {
        Ok(self.call("iam:GetRole")?.roles.get(name).map(|fake| fake.role.clone()))
    }

    async fn put_trust_policy(&self, _region: &Region, role: &str, document: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:UpdateAssumeRolePolicy";
        self.world().check_principals(OPERATION, document)?;
        self.change_role(OPERATION, role, |fake| {
            fake.role.trust_policy = document.to_owned();
        })
    }

    async fn put_max_session_duration(&self, _: &Region, role: &str, seconds: i32) -> Result<(), AwsError> {
        self.change_role("iam:UpdateRole", role, |fake| fake.role.max_session_duration = seconds)
    }

    async fn put_permissions_boundary(
        &self,
        _region: &Region,
        role: &str,
        policy_arn: Option<&str>,
    ) -> Result<(), AwsError> {
        self.change_role("iam:PutRolePermissionsBoundary", role, |fake| {
            fake.role.permissions_boundary = policy_arn.map(str::to_owned);
        })
    }

    async fn tag_role(&self, _: &Region, role: &str, set: &Tags, remove: &[String]) -> Result<(), AwsError> {
        self.change_role("iam:TagRole", role, |fake| retag(&mut fake.role.tags, set, remove))
    }

    async fn delete_role(&self, _region: &Region, name: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:DeleteRole";
        let mut world = self.call(OPERATION)?;
        let has_policies =
            world.roles.get(name).is_some_and(|fake| !fake.inline.is_empty() || !fake.attached.is_empty());
        let in_profile = world.profiles.values().any(|profile| profile.roles.iter().any(|role| role == name));
        if has_policies || in_profile {
            return Err(AwsError::answered(OPERATION, "DeleteConflict", "still has something"));
        }
        world.roles.remove(name);
        Ok(())
    }

    async fn inline_policies(&self, _: &Region, role: &str) -> Result<BTreeMap<String, String>, AwsError> {
        const OPERATION: &str = "iam:ListRolePolicies";
        let world = self.call(OPERATION)?;
        Ok(world.roles.get(role).ok_or_else(|| missing(OPERATION))?.inline.clone())
    }

    async fn put_inline_policy(
        &self,
        _region: &Region,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), AwsError> {
        self.change_role("iam:PutRolePolicy", role, |fake| {
            fake.inline.insert(policy.to_owned(), document.to_owned());
        })
    }

    async fn delete_inline_policy(&self, _: &Region, role: &str, policy: &str) -> Result<(), AwsError> {
        self.change_role("iam:DeleteRolePolicy", role, |fake| _ = fake.inline.remove(policy))
    }

    async fn attached_policies(&self, _region: &Region, role: &str) -> Result<Vec<String>, AwsError> {
        const OPERATION: &str = "iam:ListAttachedRolePolicies";
        let world = self.call(OPERATION)?;
        Ok(world.roles.get(role).ok_or_else(|| missing(OPERATION))?.attached.clone())
    }

    async fn detach_policy(&self, _region: &Region, role: &str, policy_arn: &str) -> Result<(), AwsError> {
        self.change_role("iam:DetachRolePolicy", role, |fake| fake.attached.retain(|arn| arn != policy_arn))
    }

    async fn create_instance_profile(
        &self,
        region: &Region,
        profile: &NewInstanceProfile,
    ) -> Result<InstanceProfile, AwsError> {
        const OPERATION: &str = "iam:CreateInstanceProfile";
        let mut world = self.call(OPERATION)?;
        if world.profiles.contains_key(&profile.name) {
            return Err(AwsError::answered(OPERATION, "EntityAlreadyExists", "there is one"));
        }
        let partition = region.partition().id();
        let made = InstanceProfile {
            arn: format!("arn:{partition}:iam::{ACCOUNT}:instance-profile{}{}", profile.path, profile.name),
            name: profile.name.clone(),
            roles: Vec::new(),
            tags: profile.tags.clone(),
        };
        world.profiles.insert(profile.name.clone(), made.clone());
        Ok(made)
    }

    async fn instance_profile(&self, _: &Region, name: &str) -> Result<Option<InstanceProfile>, AwsError> {
        Ok(self.call("iam:GetInstanceProfile")?.profiles.get(name).cloned())
    }

    async fn profiles_of_role(&self, _region: &Region, role: &str) -> Result<Vec<String>, AwsError> {
        const OPERATION: &str = "iam:ListInstanceProfilesForRole";
        let world = self.call(OPERATION)?;
        if !world.roles.contains_key(role) {
            return Err(missing(OPERATION));
        }
        let holding = world.profiles.values().filter(|profile| profile.roles.iter().any(|name| name == role));
        Ok(holding.map(|profile| profile.name.clone()).collect())
    }

    async fn add_role_to_profile(&self, _: &Region, profile: &str, role: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:AddRoleToInstanceProfile";
        let mut world = self.call(OPERATION)?;
        let profile = world.profiles.get_mut(profile).ok_or_else(|| missing(OPERATION))?;
        if !profile.roles.is_empty() {
            return Err(AwsError::answered(OPERATION, "LimitExceeded", "holds one already"));
        }
        profile.roles.push(role.to_owned());
        world.lost_answer(OPERATION, "LimitExceeded")
    }

    async fn remove_role_from_profile(&self, _: &Region, profile: &str, role: &str) -> Result<(), AwsError> {
        let mut world = self.call("iam:RemoveRoleFromInstanceProfile")?;
        if let Some(profile) = world.profiles.get_mut(profile) {
            profile.roles.retain(|name| name != role);
        }
        Ok(())
    }

    async fn tag_profile(
        &self,
        _: &Region,
        profile: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:TagInstanceProfile";
        let mut world = self.call(OPERATION)?;
        let profile = world.profiles.get_mut(profile).ok_or_else(|| missing(OPERATION))?;
        retag(&mut profile.tags, set, remove);
        Ok(())
    }

    async fn delete_instance_profile(&self, _region: &Region, name: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "iam:DeleteInstanceProfile";
        let mut world = self.call(OPERATION)?;
        if world.profiles.get(name).is_some_and(|profile| !profile.roles.is_empty()) {
            return Err(AwsError::answered(OPERATION, "DeleteConflict", "still holds a role"));
        }
        world.profiles.remove(name);
        Ok(())
    }
}

impl World {
    /// IAM refuses a trust policy that names a role which is not there.
    fn check_principals(&self, operation: &'static str, trust: &str) -> Result<(), AwsError> {
        let document: serde_json::Value = serde_json::from_str(trust).unwrap();
        let named = &document["Statement"][0]["Principal"]["AWS"];
        let named = named.as_array().cloned().unwrap_or_else(|| vec![named.clone()]);
        for arn in named.iter().filter_map(serde_json::Value::as_str).filter(|arn| arn.contains(":role/")) {
            if !self.foreign_roles.contains(arn) && !self.roles.values().any(|fake| fake.role.arn == arn) {
                let message = format!("Invalid principal in policy: \"AWS\":\"{arn}\"");
                return Err(AwsError::answered(operation, "MalformedPolicyDocument", &message));
            }
        }
        Ok(())
    }
}

impl FakeAws {
    fn change_role(
        &self,
        operation: &'static str,
        role: &str,
        change: impl FnOnce(&mut FakeRole),
    ) -> Result<(), AwsError> {
        let mut world = self.call(operation)?;
        change(world.roles.get_mut(role).ok_or_else(|| missing(operation))?);
        Ok(())
    }
}
