//! An AWS for the tests of the resources: maps instead of services, a list of the calls, and errors on demand.
//!
//! It knows the rules that the resources rely on (what must be empty before it can be deleted, what names are unique)
//! and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use scanner_policy::{AccountId, Region};

use super::{
    AwsError, Group, GroupSettings, Iam, Identity, Image, InstanceProfile, LaunchTemplate, LaunchTemplates,
    NewGroup, NewInstanceProfile, NewRole, Peer, Role, Rule, RuleSpec, ScalingGroup, ScalingGroups,
    SecurityGroups, Tags, TemplateContent, TemplateRef,
};

/// The account of everything.
pub(crate) const ACCOUNT: &str = "111122223333";

/// The fake.
#[derive(Debug, Default)]
pub(crate) struct FakeAws {
    world: Mutex<World>,
}

/// What there is.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) roles: BTreeMap<String, FakeRole>,
    pub(crate) profiles: BTreeMap<String, InstanceProfile>,
    pub(crate) groups: BTreeMap<String, (Group, Vec<Rule>)>,
    pub(crate) templates: BTreeMap<String, (LaunchTemplate, Vec<TemplateContent>)>,
    pub(crate) scaling_groups: BTreeMap<String, ScalingGroup>,
    /// For how many more looks a deleted Auto Scaling group is still listed.
    pub(crate) lingering: u32,
    /// The next creation of an Auto Scaling group is carried out, its answer lost, and asked for again.
    pub(crate) loses_group_answer: bool,
    /// Every operation, in order.
    pub(crate) calls: Vec<&'static str>,
    /// The next answers of an operation, instead of what it would do. `None` lets one through.
    failures: BTreeMap<&'static str, VecDeque<Option<AwsError>>>,
    next_id: u32,
}

/// A role with its policies.
#[derive(Debug, Default)]
pub(crate) struct FakeRole {
    pub(crate) role: Role,
    pub(crate) inline: BTreeMap<String, String>,
    pub(crate) attached: Vec<String>,
}

impl FakeAws {
    /// To look at what there is, or to change it behind a resource's back.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The next call of `operation` fails.
    pub(crate) fn fail(&self, operation: &'static str, code: &str, message: &str) {
        let error = AwsError::answered(operation, code, message);
        self.world().failures.entry(operation).or_default().push_back(Some(error));
    }

    /// The operations since the last look.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.world().calls)
    }

    /// The same without those that change nothing.
    pub(crate) fn take_changes(&self) -> Vec<&'static str> {
        let mut calls = self.take_calls();
        calls.retain(|call| {
            !["Get", "List", "Describe"].iter().any(|verb| call.contains(&format!(":{verb}")))
        });
        calls
    }

    fn call(&self, operation: &'static str) -> Result<MutexGuard<'_, World>, AwsError> {
        let mut world = self.world();
        world.calls.push(operation);
        match world.failures.get_mut(operation).and_then(VecDeque::pop_front).flatten() {
            Some(error) => Err(error),
            None => Ok(world),
        }
    }
}

impl World {
    fn id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}-{:017x}", self.next_id)
    }
}

fn missing(operation: &'static str) -> AwsError {
    AwsError::answered(operation, "NoSuchEntity", "not there")
}

fn retag(tags: &mut Tags, set: &Tags, remove: &[String]) {
    tags.retain(|key, _| !remove.contains(key));
    tags.extend(set.clone());
}

impl Identity for FakeAws {
    async fn account(&self, _region: &Region) -> Result<AccountId, AwsError> {
        drop(self.call("sts:GetCallerIdentity")?);
        Ok(ACCOUNT.parse().unwrap())
    }
}

impl Iam for FakeAws {
    async fn create_role(&self, region: &Region, role: &NewRole) -> Result<String, AwsError> {
        const OPERATION: &str = "iam:CreateRole";
        let mut world = self.call(OPERATION)?;
        if world.roles.contains_key(&role.name) {
            return Err(AwsError::answered(OPERATION, "EntityAlreadyExists", "there is one"));
        }
        let arn = format!("arn:{}:iam::{ACCOUNT}:role{}{}", region.partition().id(), role.path, role.name);
        let made = Role {
            arn: arn.clone(),
            name: role.name.clone(),
            path: role.path.clone(),
            trust_policy: role.trust_policy.clone(),
            permissions_boundary: role.permissions_boundary.clone(),
            max_session_duration: role.max_session_duration,
            tags: role.tags.clone(),
        };
        world.roles.insert(role.name.clone(), FakeRole { role: made, ..FakeRole::default() });
        Ok(arn)
    }

    async fn role(&self, _region: &Region, name: &str) -> Result<Option<Role>, AwsError> {
        Ok(self.call("iam:GetRole")?.roles.get(name).map(|fake| fake.role.clone()))
    }

    async fn put_trust_policy(&self, _region: &Region, role: &str, document: &str) -> Result<(), AwsError> {
        self.change_role("iam:UpdateAssumeRolePolicy", role, |fake| {
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
        Ok(())
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

impl SecurityGroups for FakeAws {
    async fn create_group(&self, _region: &Region, group: &NewGroup) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateSecurityGroup";
        let mut world = self.call(OPERATION)?;
        if world.groups.values().any(|(other, _)| other.name == group.name && other.vpc_id == group.vpc_id) {
            return Err(AwsError::answered(OPERATION, "InvalidGroup.Duplicate", "there is one"));
        }
        let (id, rule) = (world.id("sg"), world.id("sgr"));
        let made = Group {
            id: id.clone(),
            owner: ACCOUNT.to_owned(),
            name: group.name.clone(),
            description: group.description.clone(),
            vpc_id: group.vpc_id.clone(),
            tags: group.tags.clone(),
        };
        let everywhere = Peer::Ipv4("0.0.0.0/0".to_owned());
        let spec = RuleSpec { protocol: "-1".to_owned(), from_port: -1, to_port: -1, peer: everywhere };
        world.groups.insert(id.clone(), (made, vec![Rule { id: rule, is_egress: true, spec }]));
        Ok(id)
    }

    async fn group(&self, _region: &Region, id: &str) -> Result<Option<Group>, AwsError> {
        Ok(self.call("ec2:DescribeSecurityGroups")?.groups.get(id).map(|(group, _)| group.clone()))
    }

    async fn rules(&self, _region: &Region, group: &str) -> Result<Vec<Rule>, AwsError> {
        const OPERATION: &str = "ec2:DescribeSecurityGroupRules";
        let world = self.call(OPERATION)?;
        Ok(world.groups.get(group).ok_or_else(|| missing(OPERATION))?.1.clone())
    }

    async fn authorize_egress(&self, _: &Region, group: &str, rules: &[RuleSpec]) -> Result<(), AwsError> {
        const OPERATION: &str = "ec2:AuthorizeSecurityGroupEgress";
        if rules.is_empty() {
            return Ok(());
        }
        let mut world = self.call(OPERATION)?;
        for spec in rules {
            let rule = Rule { id: world.id("sgr"), is_egress: true, spec: spec.clone() };
            let (_, rules) = world.groups.get_mut(group).ok_or_else(|| missing(OPERATION))?;
            if rules.iter().any(|other| other.is_egress && other.spec == rule.spec) {
                return Err(AwsError::answered(OPERATION, "InvalidPermission.Duplicate", "there is one"));
            }
            rules.push(rule);
        }
        Ok(())
    }

    async fn revoke(
        &self,
        _region: &Region,
        group: &str,
        is_egress: bool,
        rules: &[String],
    ) -> Result<(), AwsError> {
        if rules.is_empty() {
            return Ok(());
        }
        let operation =
            if is_egress { "ec2:RevokeSecurityGroupEgress" } else { "ec2:RevokeSecurityGroupIngress" };
        let mut world = self.call(operation)?;
        let (_, present) = world.groups.get_mut(group).ok_or_else(|| missing(operation))?;
        present.retain(|rule| rule.is_egress != is_egress || !rules.contains(&rule.id));
        Ok(())
    }

    async fn tag_group(
        &self,
        _: &Region,
        group: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "ec2:CreateTags";
        let mut world = self.call(OPERATION)?;
        let (group, _) = world.groups.get_mut(group).ok_or_else(|| missing(OPERATION))?;
        retag(&mut group.tags, set, remove);
        Ok(())
    }

    async fn delete_group(&self, _region: &Region, id: &str) -> Result<(), AwsError> {
        self.call("ec2:DeleteSecurityGroup")?.groups.remove(id);
        Ok(())
    }
}

impl LaunchTemplates for FakeAws {
    async fn image(&self, _region: &Region, id: &str) -> Result<Option<Image>, AwsError> {
        drop(self.call("ec2:DescribeImages")?);
        let root_volume_size = if id == "ami-large" { Some(100) } else { None };
        Ok((id != "ami-gone").then(|| Image { root_device_name: "/dev/sda1".to_owned(), root_volume_size }))
    }

    async fn create_template(
        &self,
        _region: &Region,
        name: &str,
        content: &TemplateContent,
        tags: &Tags,
    ) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateLaunchTemplate";
        let mut world = self.call(OPERATION)?;
        if world.templates.values().any(|(template, _)| template.name == name) {
            let code = "InvalidLaunchTemplateName.AlreadyExistsException";
            return Err(AwsError::answered(OPERATION, code, "there is one"));
        }
        let id = world.id("lt");
        let template = LaunchTemplate { id: id.clone(), name: name.to_owned(), tags: tags.clone() };
        world.templates.insert(id.clone(), (template, vec![content.clone()]));
        Ok(id)
    }

    async fn create_version(&self, _: &Region, id: &str, content: &TemplateContent) -> Result<i64, AwsError> {
        const OPERATION: &str = "ec2:CreateLaunchTemplateVersion";
        let mut world = self.call(OPERATION)?;
        let (_, versions) = world.templates.get_mut(id).ok_or_else(|| missing(OPERATION))?;
        versions.push(content.clone());
        Ok(i64::try_from(versions.len()).unwrap())
    }

    async fn put_default_version(&self, _region: &Region, _id: &str, _version: i64) -> Result<(), AwsError> {
        drop(self.call("ec2:ModifyLaunchTemplate")?);
        Ok(())
    }

    async fn template_named(&self, _region: &Region, name: &str) -> Result<Option<LaunchTemplate>, AwsError> {
        let world = self.call("ec2:DescribeLaunchTemplates")?;
        Ok(world
            .templates
            .values()
            .find(|(template, _)| template.name == name)
            .map(|(found, _)| found.clone()))
    }

    async fn content(&self, _: &Region, version: &TemplateRef) -> Result<Option<TemplateContent>, AwsError> {
        let world = self.call("ec2:DescribeLaunchTemplateVersions")?;
        let Some((_, versions)) = world.templates.get(&version.id) else { return Ok(None) };
        let number = version.version.parse().unwrap_or(versions.len());
        Ok(versions.get(number - 1).cloned())
    }

    async fn tag_template(
        &self,
        _: &Region,
        id: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "ec2:CreateTags";
        let mut world = self.call(OPERATION)?;
        let (template, _) = world.templates.get_mut(id).ok_or_else(|| missing(OPERATION))?;
        retag(&mut template.tags, set, remove);
        Ok(())
    }

    async fn delete_template(&self, _region: &Region, id: &str) -> Result<(), AwsError> {
        self.call("ec2:DeleteLaunchTemplate")?.templates.remove(id);
        Ok(())
    }
}

impl ScalingGroups for FakeAws {
    async fn create_scaling_group(
        &self,
        region: &Region,
        name: &str,
        settings: &GroupSettings,
        tags: &Tags,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "autoscaling:CreateAutoScalingGroup";
        let mut world = self.call(OPERATION)?;
        if world.scaling_groups.contains_key(name) {
            return Err(AwsError::answered(OPERATION, "AlreadyExists", "there is one"));
        }
        let desired_capacity = settings.desired_capacity.or(Some(settings.min_size));
        let group = ScalingGroup {
            arn: format!(
                "arn:aws:autoscaling:{region}:{ACCOUNT}:autoScalingGroup:0:autoScalingGroupName/{name}"
            ),
            name: name.to_owned(),
            is_leaving: false,
            settings: GroupSettings { desired_capacity, ..settings.clone() },
            tags: tags.clone(),
        };
        world.scaling_groups.insert(name.to_owned(), group);
        if std::mem::take(&mut world.loses_group_answer) {
            return Err(AwsError::answered(OPERATION, "AlreadyExists", "there is one"));
        }
        Ok(())
    }

    async fn scaling_group(&self, _region: &Region, name: &str) -> Result<Option<ScalingGroup>, AwsError> {
        let mut world = self.call("autoscaling:DescribeAutoScalingGroups")?;
        if world.scaling_groups.get(name).is_some_and(|group| group.is_leaving) {
            match world.lingering.checked_sub(1) {
                Some(left) => world.lingering = left,
                None => _ = world.scaling_groups.remove(name),
            }
        }
        Ok(world.scaling_groups.get(name).cloned())
    }

    async fn update_scaling_group(
        &self,
        _region: &Region,
        name: &str,
        settings: &GroupSettings,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "autoscaling:UpdateAutoScalingGroup";
        let mut world = self.call(OPERATION)?;
        let group = world.scaling_groups.get_mut(name).ok_or_else(|| missing(OPERATION))?;
        let desired_capacity = settings.desired_capacity.or(group.settings.desired_capacity);
        group.settings = GroupSettings { desired_capacity, ..settings.clone() };
        Ok(())
    }

    async fn tag_scaling_group(
        &self,
        _region: &Region,
        name: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "autoscaling:CreateOrUpdateTags";
        let mut world = self.call(OPERATION)?;
        let group = world.scaling_groups.get_mut(name).ok_or_else(|| missing(OPERATION))?;
        retag(&mut group.tags, set, remove);
        Ok(())
    }

    async fn delete_scaling_group(&self, _region: &Region, name: &str) -> Result<(), AwsError> {
        let mut world = self.call("autoscaling:DeleteAutoScalingGroup")?;
        if let Some(group) = world.scaling_groups.get_mut(name) {
            group.is_leaving = true;
        }
        Ok(())
    }
}
