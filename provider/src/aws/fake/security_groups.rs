//! Security groups and their rules.

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws, missing, retag};
use crate::aws::{AwsError, Group, NewGroup, Peer, Rule, RuleSpec, SecurityGroups, Tags};

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
        world.lost_answer(OPERATION, "InvalidGroup.Duplicate")?;
        Ok(id)
    }

    async fn group_named(&self, _region: &Region, vpc: &str, name: &str) -> Result<Option<Group>, AwsError> {
        let world = self.call("ec2:DescribeSecurityGroups")?;
        let mut groups = world.groups.values().map(|(group, _)| group);
        Ok(groups.find(|group| group.vpc_id == vpc && group.name == name).cloned())
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
