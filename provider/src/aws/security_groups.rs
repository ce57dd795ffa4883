//! [`SecurityGroups`]: security groups and their rules.

use std::fmt::{self, Display};

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroup, SecurityGroupRule,
    Tag, TagSpecification,
};
use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError, Tags, without_reserved};

/// A security group, as EC2 has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Such as `sg-0123456789abcdef0`.
    pub id: String,
    /// The account it belongs to.
    pub owner: String,
    /// Its name, unique in the VPC.
    pub name: String,
    /// What it is for. EC2 cannot change it.
    pub description: String,
    /// The VPC it belongs to.
    pub vpc_id: String,
    /// Its tags.
    pub tags: Tags,
}

/// A security group to be made.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The VPC it is to belong to.
    pub vpc_id: String,
    /// Its tags.
    pub tags: Tags,
}

/// One rule of a security group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Such as `sgr-0123456789abcdef0`.
    pub id: String,
    /// Whether it is about outbound traffic.
    pub is_egress: bool,
    /// What it allows.
    pub spec: RuleSpec,
}

/// What a rule allows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RuleSpec {
    /// The protocol's name or number; `-1` is all of them.
    pub protocol: String,
    /// The first port; -1 where the protocol has none.
    pub from_port: i32,
    /// The last port.
    pub to_port: i32,
    /// The other side.
    pub peer: Peer,
}

/// The other side of a rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Peer {
    /// IPv4 addresses, such as `10.0.0.0/8`.
    Ipv4(String),
    /// IPv6 addresses, such as `::/0`.
    Ipv6(String),
    /// A prefix list, such as `pl-0123456789abcdef0`.
    PrefixList(String),
    /// The members of a security group.
    Group(String),
    /// Something this version does not know.
    Other,
}

/// Security groups and their rules.
pub trait SecurityGroups: Send + Sync + 'static {
    /// Makes a security group and returns its id. EC2 gives it a rule that allows all outbound traffic.
    fn create_group(&self, region: &Region, group: &NewGroup) -> impl Answer<String>;
    /// Looks a group up.
    fn group(&self, region: &Region, id: &str) -> impl Answer<Option<Group>>;
    /// The group of that name in a VPC: names are unique there.
    fn group_named(&self, region: &Region, vpc: &str, name: &str) -> impl Answer<Option<Group>>;
    /// The rules of a group, in both directions.
    fn rules(&self, region: &Region, group: &str) -> impl Answer<Vec<Rule>>;
    /// Allows outbound traffic.
    fn authorize_egress(&self, region: &Region, group: &str, rules: &[RuleSpec]) -> impl Answer<()>;
    /// Removes rules of one direction by their ids.
    fn revoke(&self, region: &Region, group: &str, is_egress: bool, rules: &[String]) -> impl Answer<()>;
    /// Sets tags of a group and removes others by key.
    fn tag_group(&self, region: &Region, group: &str, set: &Tags, remove: &[String]) -> impl Answer<()>;
    /// Removes a group, which nothing may use. That it is gone already is a success.
    fn delete_group(&self, region: &Region, id: &str) -> impl Answer<()>;
}

impl SecurityGroups for Aws {
    async fn create_group(&self, region: &Region, group: &NewGroup) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateSecurityGroup";
        let answer = self
            .clients(region)
            .ec2
            .create_security_group()
            .group_name(&group.name)
            .description(&group.description)
            .vpc_id(&group.vpc_id)
            .set_tag_specifications(specifications(ResourceType::SecurityGroup, &group.tags))
            .send()
            .await
            .map_err(failed(OPERATION))?;
        answer.group_id.ok_or_else(|| AwsError::malformed(OPERATION, "group id"))
    }

    async fn group(&self, region: &Region, id: &str) -> Result<Option<Group>, AwsError> {
        let request = self.clients(region).ec2.describe_security_groups().group_ids(id);
        let answer = match request.send().await.map_err(failed("ec2:DescribeSecurityGroups")) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(answer.security_groups.unwrap_or_default().into_iter().next().map(group_from_sdk))
    }

    async fn group_named(&self, region: &Region, vpc: &str, name: &str) -> Result<Option<Group>, AwsError> {
        let of_vpc = Filter::builder().name("vpc-id").values(vpc).build();
        let of_name = Filter::builder().name("group-name").values(name).build();
        let request = self.clients(region).ec2.describe_security_groups().filters(of_vpc).filters(of_name);
        let answer = request.send().await.map_err(failed("ec2:DescribeSecurityGroups"))?;
        // `*` and `?` in a name are wildcards of the filter.
        let mut groups = answer.security_groups.unwrap_or_default().into_iter().map(group_from_sdk);
        Ok(groups.find(|group| group.name == name))
    }

    async fn rules(&self, region: &Region, group: &str) -> Result<Vec<Rule>, AwsError> {
        let of_group = Filter::builder().name("group-id").values(group).build();
        let request = self.clients(region).ec2.describe_security_group_rules().filters(of_group);
        let mut pages = request.into_paginator().items().send();
        let mut rules = Vec::new();
        while let Some(rule) = pages.next().await {
            rules.push(rule_from_sdk(rule.map_err(failed("ec2:DescribeSecurityGroupRules"))?));
        }
        Ok(rules)
    }

    async fn authorize_egress(
        &self,
        region: &Region,
        group: &str,
        rules: &[RuleSpec],
    ) -> Result<(), AwsError> {
        if rules.is_empty() {
            return Ok(());
        }
        let permissions = rules.iter().map(permission).collect();
        let request = self.clients(region).ec2.authorize_security_group_egress().group_id(group);
        let request = request.set_ip_permissions(Some(permissions));
        request.send().await.map_err(failed("ec2:AuthorizeSecurityGroupEgress"))?;
        Ok(())
    }

    async fn revoke(
        &self,
        region: &Region,
        group: &str,
        is_egress: bool,
        rules: &[String],
    ) -> Result<(), AwsError> {
        if rules.is_empty() {
            return Ok(());
        }
        let (ec2, ids) = (self.clients(region).ec2, Some(rules.to_vec()));
        if is_egress {
            let request = ec2.revoke_security_group_egress().group_id(group).set_security_group_rule_ids(ids);
            request.send().await.map_err(failed("ec2:RevokeSecurityGroupEgress"))?;
        } else {
            let request =
                ec2.revoke_security_group_ingress().group_id(group).set_security_group_rule_ids(ids);
            request.send().await.map_err(failed("ec2:RevokeSecurityGroupIngress"))?;
        }
        Ok(())
    }

    async fn tag_group(
        &self,
        region: &Region,
        group: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        self.tag_ec2(region, group, set, remove).await
    }

    async fn delete_group(&self, region: &Region, id: &str) -> Result<(), AwsError> {
        let request = self.clients(region).ec2.delete_security_group().group_id(id);
        match request.send().await.map_err(failed("ec2:DeleteSecurityGroup")) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

impl Aws {
    /// Sets tags of an EC2 resource and removes others by key.
    pub(super) async fn tag_ec2(
        &self,
        region: &Region,
        id: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        let ec2 = self.clients(region).ec2;
        if !remove.is_empty() {
            let keys = remove.iter().map(|key| Tag::builder().key(key).build()).collect();
            let request = ec2.delete_tags().resources(id).set_tags(Some(keys));
            request.send().await.map_err(failed("ec2:DeleteTags"))?;
        }
        if !set.is_empty() {
            let request = ec2.create_tags().resources(id).set_tags(Some(tags_to_sdk(set)));
            request.send().await.map_err(failed("ec2:CreateTags"))?;
        }
        Ok(())
    }
}

/// The tags of a resource that is being made; EC2 refuses an empty specification.
fn group_from_sdk(group: SecurityGroup) -> Group {
    Group {
        id: group.group_id.unwrap_or_default(),
        owner: group.owner_id.unwrap_or_default(),
        name: group.group_name.unwrap_or_default(),
        description: group.description.unwrap_or_default(),
        vpc_id: group.vpc_id.unwrap_or_default(),
        tags: tags_from_sdk(group.tags),
    }
}

pub(super) fn specifications(kind: ResourceType, tags: &Tags) -> Option<Vec<TagSpecification>> {
    let specification =
        TagSpecification::builder().resource_type(kind).set_tags(Some(tags_to_sdk(tags))).build();
    (!tags.is_empty()).then(|| vec![specification])
}

pub(super) fn tags_to_sdk(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn tags_from_sdk(tags: Option<Vec<Tag>>) -> Tags {
    let pairs = tags.unwrap_or_default().into_iter();
    without_reserved(pairs.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))))
}

pub(super) fn permission(rule: &RuleSpec) -> IpPermission {
    let RuleSpec { protocol, from_port, to_port, peer } = rule;
    let permission = IpPermission::builder().ip_protocol(protocol).from_port(*from_port).to_port(*to_port);
    match peer {
        Peer::Ipv4(cidr) => permission.ip_ranges(IpRange::builder().cidr_ip(cidr).build()),
        Peer::Ipv6(cidr) => permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).build()),
        Peer::PrefixList(id) => {
            permission.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).build())
        }
        // Nothing asks for these; EC2 refuses a permission without a peer.
        Peer::Group(_) | Peer::Other => permission,
    }
    .build()
}

pub(super) fn rule_from_sdk(rule: SecurityGroupRule) -> Rule {
    let peer = if let Some(cidr) = rule.cidr_ipv4 {
        Peer::Ipv4(cidr)
    } else if let Some(cidr) = rule.cidr_ipv6 {
        Peer::Ipv6(cidr)
    } else if let Some(id) = rule.prefix_list_id {
        Peer::PrefixList(id)
    } else if let Some(id) = rule.referenced_group_info.and_then(|group| group.group_id) {
        Peer::Group(id)
    } else {
        Peer::Other
    };
    Rule {
        id: rule.security_group_rule_id.unwrap_or_default(),
        is_egress: rule.is_egress.unwrap_or_default(),
        spec: RuleSpec {
            protocol: rule.ip_protocol.unwrap_or_default(),
            from_port: rule.from_port.unwrap_or(-1),
            to_port: rule.to_port.unwrap_or(-1),
            peer,
        },
    }
}

impl Display for RuleSpec {
    /// For plans and messages: `tcp 22 10.0.0.0/8`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, from_port, to_port, peer } = self;
        match protocol.as_str() {
            "-1" => formatter.write_str("all traffic")?,
            _ if from_port == to_port => write!(formatter, "{protocol} {from_port}")?,
            _ => write!(formatter, "{protocol} {from_port}-{to_port}")?,
        }
        match peer {
            Peer::Ipv4(text) | Peer::Ipv6(text) | Peer::PrefixList(text) | Peer::Group(text) => {
                write!(formatter, " {text}")
            }
            Peer::Other => formatter.write_str(" unknown peer"),
        }
    }
}
