//! `datadog_agentless_scanner_security_group`: nothing in, TCP 443 out, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use scanner_policy::Region;
use uuid::Uuid;

use super::identity::{self, Parts};
use super::ids::{id, is_id};
use super::place::{parse_import_id, plan_region, region_attribute, region_of};
use super::tagging::{self, Change};
use crate::aws::{
    AwsError, Group, Identity, Kind, NewGroup, Pace, Peer, Rule, RuleSpec, SecurityGroups, Tags, retry,
};
use crate::config::Settings;
use crate::model;
use crate::sdk::{
    Attribute, Context, Diagnostic, Identity as ResourceIdentity, MoveSource, Raw, Resource, Saved, Schema,
    TimeoutDefaults, Timeouts, Type, Value, validator,
};

/// The only port that traffic may go out to: HTTPS.
const PORT: i32 = 443;

/// The tag by which a new group is recognised. Users do not see it.
const CREATION_TAG: &str = "DatadogAgentlessScannerCreation";

/// How often a group is looked for whose creation had no answer that told: over some 4 s.
const LOOKS: u32 = 4;

/// Manages the security group of scanners.
#[derive(Debug)]
pub struct SecurityGroup<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

model! {
    /// State of one security group.
    pub struct Model {
        /// The group's id.
        pub id: Value<String>,
        /// The group's ARN.
        pub arn: Value<String>,
        /// Unique in the VPC.
        pub name: Value<String>,
        /// What the group is for.
        pub description: Value<String>,
        /// The VPC.
        pub vpc_id: Value<String>,
        /// The region.
        pub region: Value<String>,
        /// IPv4 addresses that may be reached.
        pub egress_cidr_blocks: Value<BTreeSet<String>>,
        /// IPv6 addresses that may be reached.
        pub egress_ipv6_cidr_blocks: Value<BTreeSet<String>>,
        /// Prefix lists that may be reached.
        pub egress_prefix_list_ids: Value<BTreeSet<String>>,
        /// Rules that should not be there.
        pub foreign_rules: Value<BTreeSet<String>>,
        /// Own tags.
        pub tags: Value<Tags>,
        /// All tags.
        pub tags_all: Value<Tags>,
        /// How long operations may take.
        pub timeouts: Value<Timeouts>,
    }
}

impl<A> SecurityGroup<A> {
    /// The resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl<A: Identity + SecurityGroups> Resource for SecurityGroup<A> {
    const NAME: &'static str = "agentless_scanner_security_group";
    type Model = Model;

    fn schema() -> Schema {
        Schema::new(
            "A security group for scanners: no inbound traffic, outbound TCP 443 to the given destinations, and nothing \
             else. Rules that somebody adds or removes show in the plan, and apply undoes them.\n\n\
             ~> EC2 does not delete a group while instances use it. A change that makes a new group therefore needs a \
             new scanner too: give the `datadog_agentless_scanner` a `replace_triggered_by` with the group's `id`, as in \
             its example.",
        )
        .attribute(Attribute::string("id", "The group's id, such as `sg-0123456789abcdef0`.").computed().keeps_state())
        .attribute(Attribute::string("arn", "The group's ARN.").computed().keeps_state())
        .attribute(
            Attribute::string("name", "The group's name, unique in the VPC. A change makes a new group.")
                .required()
                .replaces()
                .validate(validator::length(1..=255))
                .validate(validator::pattern("a name that does not begin with `sg-`", |name| {
                    !name.starts_with("sg-")
                }))
                .validate(validator::characters("letters, digits, spaces and `._-:/()#,@[]+=&;{}!$*`", in_name)),
        )
        .attribute(
            Attribute::string("description", "What the group is for. EC2 cannot change it: a change makes a new group.")
                .default("Agentless scanner: no inbound, HTTPS outbound")
                .replaces()
                .validate(validator::length(1..=255))
                .validate(validator::characters("letters, digits, spaces and `._-:/()#,@[]+=&;{}!$*`", in_name)),
        )
        .attribute(
            Attribute::string("vpc_id", "The VPC of the scanners' subnets. A change makes a new group.")
                .required()
                .replaces()
                .validate(id("vpc-")),
        )
        .attribute(region_attribute(" of the VPC"))
        .attribute(
            Attribute::set(
                "egress_cidr_blocks",
                Type::String,
                "The IPv4 addresses that may be reached on TCP 443. The scanner needs the EC2 and EBS APIs of its \
                 region. `[]` for none.",
            )
            .default(["0.0.0.0/0"])
            .validate(validator::each(validator::pattern(
                "an IPv4 network without host bits, such as 10.0.0.0/8",
                is_ipv4_network,
            ))),
        )
        .attribute(
            Attribute::set("egress_ipv6_cidr_blocks", Type::String, "The same in IPv6. `[]` for none.")
                .default(["::/0"])
                .validate(validator::each(validator::pattern(
                    "an IPv6 network in its shortest form without host bits, such as 2001:db8::/32",
                    is_ipv6_network,
                ))),
        )
        .attribute(
            Attribute::set(
                "egress_prefix_list_ids",
                Type::String,
                "Prefix lists whose addresses may be reached on TCP 443, for example that of the region's S3 gateway \
                 endpoint.",
            )
            .default(Raw::List(Vec::new()))
            .validate(validator::each(id("pl-"))),
        )
        .attribute(
            Attribute::set(
                "foreign_rules",
                Type::String,
                "Rules of the group that this resource did not make: anything inbound, and outbound traffic that is \
                 not TCP 443. Always planned as empty, so that apply revokes them.",
            )
            .computed()
            .keeps_state(),
        )
        .attributes(tagging::attributes())
        .timeouts(TimeoutDefaults {
            create: Duration::from_mins(5),
            update: Duration::from_mins(5),
            // Instances of the scanner may take their time to shut down.
            delete: Duration::from_mins(15),
        })
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        let is_empty = |set: &Value<BTreeSet<String>>| set.get().is_some_and(BTreeSet::is_empty);
        let has_lists = !config.egress_prefix_list_ids.is_null() && !is_empty(&config.egress_prefix_list_ids);
        if is_empty(&config.egress_cidr_blocks) && is_empty(&config.egress_ipv6_cidr_blocks) && !has_lists {
            return vec![
                Diagnostic::error(
                    "No destination",
                    "A scanner that can reach nothing can do nothing. Allow the addresses or prefix lists of the AWS \
                     APIs, or leave the arguments out to allow all addresses.",
                )
                .at("egress_cidr_blocks"),
            ];
        }
        Vec::new()
    }

    async fn plan(
        &self,
        ctx: &Context,
        prior: Option<&Model>,
        config: &Model,
        planned: &mut Model,
    ) -> Result<(), Diagnostic> {
        let prior_region = prior.map(|prior| &prior.region);
        plan_region(ctx, &self.settings, prior_region, &config.region, &mut planned.region)?;
        planned.tags_all = tagging::plan(&self.settings, &planned.tags);
        planned.foreign_rules = Value::Known(BTreeSet::new());
        Ok(())
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let name = plan.name.as_str().unwrap_or_default();
        let summary = || format!("Could not create security group {name:?} in {region}");
        let account = self.aws.account(&region).await.map_err(|error| error.diagnostic(summary()))?;
        let mut tags = plan.tags_all.clone().unwrap_or_default();
        tags.insert(CREATION_TAG.to_owned(), Uuid::new_v4().simple().to_string());
        let group = NewGroup {
            name: name.to_owned(),
            description: plan.description.as_str().unwrap_or_default().to_owned(),
            vpc_id: plan.vpc_id.as_str().unwrap_or_default().to_owned(),
            tags,
        };
        let id = self.create_group(ctx, &region, &group).await?.map_err(|error| {
            let diagnostic = error.diagnostic(summary());
            match error.kind() {
                Kind::AlreadyExists => diagnostic.at("name"),
                Kind::NotFound => diagnostic.at("vpc_id"),
                _ => diagnostic,
            }
        })?;
        let made = Model {
            id: id.as_str().into(),
            arn: arn(&region, account.as_str(), &id).into(),
            region: region.to_string().into(),
            ..plan
        };
        state.save(made.clone());
        self.settle_rules(ctx, &region, &id, &wanted(&made)).await
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let id = state.id.as_str().unwrap_or_default();
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not read security group {id} in {region}"));
        let Some(group) = self.aws.group(&region, id).await.map_err(failed)? else { return Ok(None) };
        let rules = self.aws.rules(&region, id).await.map_err(failed)?;
        Ok(Some(observed(&self.settings, &region, state, group, &rules)))
    }

    async fn update(
        &self,
        ctx: &Context,
        prior: Model,
        plan: Model,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let id = plan.id.as_str().unwrap_or_default().to_owned();
        self.settle_rules(ctx, &region, &id, &wanted(&plan)).await?;
        let tags = Change::between(&prior.tags_all, &plan.tags_all);
        state.save(Model { tags: prior.tags, tags_all: prior.tags_all, ..plan.clone() });
        if !tags.is_empty() {
            self.aws.tag_group(&region, &id, &tags.set, &tags.remove).await.map_err(|error| {
                error.diagnostic(format!("Could not tag security group {id} in {region}"))
            })?;
        }
        state.save(plan);
        Ok(())
    }

    async fn delete(&self, ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let id = state.id.as_str().unwrap_or_default();
        let what = format!("waiting until nothing uses security group {id} in {region} any more");
        retry(ctx, ctx.remaining(), &what, AwsError::is_in_use, || self.aws.delete_group(&region, id))
            .await?
            .map_err(|error| error.diagnostic(format!("Could not delete security group {id} in {region}")))
    }

    fn identity() -> Option<ResourceIdentity<Model>> {
        Some(identity::by_id(
            |model: &Model| Parts { arn: &model.arn, region: &model.region, name: &model.id },
            |id, region| Model { id, region, ..Model::default() },
            "The id of the group, such as `sg-0123456789abcdef0`.",
        ))
    }

    fn move_from(source: &MoveSource) -> Result<Option<Model>, Diagnostic> {
        if !source.is("hashicorp/aws", "aws_security_group") {
            return Ok(None);
        }
        let arn = source.text("arn");
        let region = arn.as_deref().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
        Ok(Some(Model {
            id: source.text("id").into(),
            name: source.text("name").into(),
            description: source.text("description").into(),
            vpc_id: source.text("vpc_id").into(),
            region: region.into(),
            arn: arn.into(),
            tags: tagging::moved(source),
            ..Model::default()
        }))
    }

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        let (id, region) = parse_import_id(id)?;
        if !is_id(&id, "sg-") {
            return Err(Diagnostic::error(
                "Invalid import id",
                format!("A security group is imported as sg-… or sg-…@REGION, but the id is {id:?}."),
            ));
        }
        Ok(Model { id: id.into(), region, ..Model::default() })
    }
}

impl<A: SecurityGroups> SecurityGroup<A> {
    /// Makes the group. `CreateSecurityGroup` takes no client token: a group that the answer to an earlier attempt did
    /// not tell of is known by its tag.
    async fn create_group(
        &self,
        ctx: &Context,
        region: &Region,
        group: &NewGroup,
    ) -> Result<Result<String, AwsError>, Diagnostic> {
        let error = match self.aws.create_group(region, group).await {
            Err(error) => error,
            made => return Ok(made),
        };
        if !matches!(error.kind(), Kind::AlreadyExists | Kind::Unavailable | Kind::Unreachable) {
            return Ok(Err(error));
        }
        let mut pace = Pace::brisk();
        for _ in 0..LOOKS {
            match self.aws.group_named(region, &group.vpc_id, &group.name).await {
                Ok(Some(found)) if found.tags.get(CREATION_TAG) == group.tags.get(CREATION_TAG) => {
                    return Ok(Ok(found.id));
                }
                // EC2 knows the name, but does not list the group yet; or the request may still be under way.
                Ok(None) => {
                    pace.pause(ctx, "waiting for the answer to the creation of a security group").await?;
                }
                _ => break,
            }
        }
        Ok(Err(error))
    }

    /// Brings the group's rules to exactly `wanted`, and sees that they are: until EC2 lists nothing else.
    async fn settle_rules(
        &self,
        ctx: &Context,
        region: &Region,
        id: &str,
        wanted: &BTreeSet<RuleSpec>,
    ) -> Result<(), Diagnostic> {
        let mut pace = Pace::brisk();
        loop {
            let missing_yet = |error: &AwsError| error.is_not_found();
            let what = format!("waiting for EC2 to list the rules of security group {id} in {region}");
            let rules = retry(ctx, Duration::from_mins(1), &what, missing_yet, || self.aws.rules(region, id))
                .await?
                .map_err(|error| {
                    error.diagnostic(format!("Could not list the rules of security group {id}"))
                })?;
            let (surplus, present): (Vec<&Rule>, Vec<&Rule>) =
                rules.iter().partition(|rule| !rule.is_egress || !wanted.contains(&rule.spec));
            let missing: Vec<RuleSpec> = wanted
                .iter()
                .filter(|spec| !present.iter().any(|rule| rule.spec == **spec))
                .cloned()
                .collect();
            if surplus.is_empty() && missing.is_empty() {
                return Ok(());
            }
            match self.aws.authorize_egress(region, id, &missing).await {
                // Made already, only not listed yet.
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                answer => answer.map_err(|error| {
                    error.diagnostic(format!(
                        "Could not allow outbound HTTPS for security group {id} in {region}"
                    ))
                })?,
            }
            for is_egress in [false, true] {
                let ids: Vec<String> = surplus
                    .iter()
                    .filter(|rule| rule.is_egress == is_egress)
                    .map(|rule| rule.id.clone())
                    .collect();
                match self.aws.revoke(region, id, is_egress, &ids).await {
                    // Revoked already, only still listed.
                    Err(error) if error.is_not_found() => {}
                    answer => answer.map_err(|error| {
                        error.diagnostic(format!("Could not revoke rules of security group {id} in {region}"))
                    })?,
                }
            }
            pace.pause(ctx, &what).await?;
        }
    }
}

/// The rules that a group should have.
fn wanted(model: &Model) -> BTreeSet<RuleSpec> {
    let set = |set: &Value<BTreeSet<String>>| set.clone().unwrap_or_default().into_iter();
    set(&model.egress_cidr_blocks)
        .map(Peer::Ipv4)
        .chain(set(&model.egress_ipv6_cidr_blocks).map(Peer::Ipv6))
        .chain(set(&model.egress_prefix_list_ids).map(Peer::PrefixList))
        .map(https)
        .collect()
}

fn https(peer: Peer) -> RuleSpec {
    RuleSpec { protocol: "tcp".to_owned(), from_port: PORT, to_port: PORT, peer }
}

/// `state` as EC2 shows it now.
fn observed(settings: &Settings, region: &Region, state: Model, group: Group, rules: &[Rule]) -> Model {
    let (mut ipv4, mut ipv6, mut lists) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut foreign = BTreeSet::new();
    for rule in rules {
        let is_https = rule.is_egress && rule.spec == https(rule.spec.peer.clone());
        match &rule.spec.peer {
            Peer::Ipv4(cidr) if is_https => _ = ipv4.insert(cidr.clone()),
            Peer::Ipv6(cidr) if is_https => _ = ipv6.insert(cidr.clone()),
            Peer::PrefixList(id) if is_https => _ = lists.insert(id.clone()),
            _ => {
                let direction = if rule.is_egress { "outbound" } else { "inbound" };
                foreign.insert(format!("{direction} {} ({})", rule.spec, rule.id));
            }
        }
    }
    let mut tags = group.tags;
    tags.remove(CREATION_TAG);
    let (tags, tags_all) = tagging::read(settings, &state.tags, tags);
    Model {
        arn: arn(region, &group.owner, &group.id).into(),
        id: group.id.into(),
        name: group.name.into(),
        description: group.description.into(),
        vpc_id: group.vpc_id.into(),
        region: region.to_string().into(),
        egress_cidr_blocks: ipv4.into(),
        egress_ipv6_cidr_blocks: ipv6.into(),
        egress_prefix_list_ids: lists.into(),
        foreign_rules: foreign.into(),
        tags,
        tags_all,
        timeouts: state.timeouts,
    }
}

fn arn(region: &Region, account: &str, id: &str) -> String {
    format!("arn:{}:ec2:{region}:{account}:security-group/{id}", region.partition().id())
}

/// What EC2 accepts in a group's name and description (`CreateSecurityGroup`).
fn in_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(character)
}

/// Whether `text` is what EC2 would make of it, so that it reads back unchanged.
fn is_ipv4_network(text: &str) -> bool {
    let Some((address, length)) = network::<std::net::Ipv4Addr>(text) else { return false };
    length <= 32 && u32::MAX.checked_shr(length).unwrap_or_default() & address.to_bits() == 0
}

fn is_ipv6_network(text: &str) -> bool {
    let Some((address, length)) = network::<std::net::Ipv6Addr>(text) else { return false };
    length <= 128 && u128::MAX.checked_shr(length).unwrap_or_default() & address.to_bits() == 0
}

/// Address and prefix length, when `text` is written in their usual form.
fn network<T: std::str::FromStr + ToString>(text: &str) -> Option<(T, u32)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (T, u32) = (address.parse().ok()?, length.parse().ok()?);
    (format!("{}/{length}", address.to_string()) == text).then_some((address, length))
}

#[cfg(test)]
mod tests;
