//! `datadog_agentless_scanner_network`: a VPC for scanners that nothing outside can reach.
//!
//! Its parts are known by a tag whose value only this network has, so that nothing foreign is adopted and nothing of its
//! own is lost, whatever call fails. What is wanted (`wanted`) and what is there give what is to be done (`steps`),
//! which is done until nothing is left (`settle`). What is left when one only looks are the deviations.

mod addressing;
mod check;
mod endpoint_policy;
mod look;
mod observe;
mod schema;
mod settle;
mod steps;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scanner_policy::Region;
use uuid::Uuid;

pub use schema::{FlowLogs, Model};

use self::addressing::Space;
use self::check::{flow_log_problem, space_problem, tag_problem, zone_problem};
use self::endpoint_policy::endpoint_policy;
use self::observe::{imported, observed, outputs};
use self::settle::Site;
use self::wanted::{Egress, TOKEN_TAG, Wanted, default_services, find_service};
use super::identity::{self, Parts};
use super::ids::is_id;
use super::place::{parse_import_id, plan_region, region_of};
use super::tagging;
use crate::aws::{AwsError, EndpointService, FlowLog, Identity, Networks, Pace, PartKind};
use crate::config::Settings;
use crate::sdk::{Context, Diagnostic, Identity as ResourceIdentity, Resource, Saved, Schema, Value};

/// How many zones a network has unless the user says otherwise.
const ZONES: i64 = 2;

/// Manages one network.
#[derive(Debug)]
pub struct Network<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> Network<A> {
    /// The resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl<A: Identity + Networks> Resource for Network<A> {
    const NAME: &'static str = "agentless_scanner_network";
    type Model = Model;

    fn schema() -> Schema {
        schema::schema()
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        [zone_problem(config), flow_log_problem(config), space_problem(config), tag_problem(config)]
            .into_iter()
            .flatten()
            .collect()
    }

    async fn plan(
        &self,
        ctx: &Context,
        prior: Option<&Model>,
        config: &Model,
        planned: &mut Model,
    ) -> Result<(), Diagnostic> {
        let prior_region = prior.map(|prior| &prior.region);
        let region = plan_region(ctx, &self.settings, prior_region, &config.region, &mut planned.region)?;
        planned.tags_all = tagging::plan(&self.settings, &planned.tags).map(wanted::tags_of_users);
        planned.deviations = Value::Known(BTreeSet::new());
        self.plan_zones(region.as_ref(), prior, config, planned).await?;
        if config.endpoint_services.is_null() {
            let egress = planned.egress.as_str().and_then(Egress::from_name);
            planned.endpoint_services = match (egress, planned.features.get()) {
                (Some(egress), Some(features)) => default_services(egress, features).into(),
                _ => Value::Unknown,
            };
        }
        if let Some(problem) = space_problem(planned) {
            return Err(problem);
        }
        let Some(prior) = prior else { return Ok(()) };
        if prior.ipv6 == Value::Known(true) && planned.ipv6 == Value::Known(false) {
            ctx.require_replacement("ipv6");
        }
        let is_same = prior.deviations.get().is_some_and(BTreeSet::is_empty)
            && prior.availability_zones == planned.availability_zones
            && prior.egress == planned.egress
            && prior.endpoint_services == planned.endpoint_services
            && prior.ipv6 == planned.ipv6;
        observe::plan_outputs(planned, is_same.then_some(prior));
        Ok(())
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let plan = self
            .complete(&region, Model { token: Uuid::new_v4().simple().to_string().into(), ..plan })
            .await?;
        let account = self.account(&region).await?;
        let wanted = wanted(&region, &plan, &account, &self.services(&region).await?)?;
        let vpc = self.create_vpc(ctx, &region, &wanted, &plan, state).await?;
        let made = Model {
            id: vpc.as_str().into(),
            vpc_id: vpc.as_str().into(),
            arn: arn(&region, &account, &vpc).into(),
            ..outputs(plan, &wanted, None)
        };
        state.save(made.clone());
        self.delete_repeated(&region, &wanted.token, &vpc).await?;
        let site = self.site(&region, &vpc, &wanted.token);
        site.settle(ctx, Some(&wanted), |situation| {
            state.save(outputs(made.clone(), &wanted, Some(situation)));
        })
        .await?;
        Ok(())
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let failed = |error: AwsError| {
            let id = state.vpc_id.as_str().unwrap_or_default();
            error.diagnostic(format!("Could not read network {id} in {region}"))
        };
        let Some(id) = self.find_vpc(&region, &state).await.map_err(failed)? else { return Ok(None) };
        let token = state.token.as_str().unwrap_or_default().to_owned();
        let is_import = token.is_empty();
        let token = if is_import {
            let vpc = self.aws.vpc(&region, &id).await.map_err(failed)?;
            let Some(vpc) = vpc else { return Ok(None) };
            vpc.tags.get(TOKEN_TAG).cloned().ok_or_else(|| not_ours(&id))?
        } else {
            token
        };
        let site = self.site(&region, &id, &token);
        let (situation, account, services) = (site.look(), self.account(&region), self.services(&region));
        let (situation, account, services) = tokio::join!(situation, account, services);
        let Some(situation) = situation.map_err(failed)? else { return Ok(None) };
        let (account, services) = (account?, services?);
        let state = Model {
            id: id.as_str().into(),
            vpc_id: id.as_str().into(),
            arn: arn(&region, &account, &id).into(),
            token: token.into(),
            region: region.to_string().into(),
            ..state
        };
        let state = if is_import { imported(&region, state, &account, &situation)? } else { state };
        let state = observed(&self.settings, state, &situation);
        let wanted = wanted(&region, &state, &account, &services)?;
        Ok(Some(outputs(state, &wanted, Some(&situation))))
    }

    async fn update(
        &self,
        ctx: &Context,
        _prior: Model,
        plan: Model,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let plan = self.complete(&region, plan).await?;
        let account = self.account(&region).await?;
        let wanted = wanted(&region, &plan, &account, &self.services(&region).await?)?;
        let site = self.site(&region, plan.vpc_id.as_str().unwrap_or_default(), &wanted.token);
        let situation = site.settle(ctx, Some(&wanted), |_| {}).await?;
        state.save(outputs(plan, &wanted, Some(&situation)));
        Ok(())
    }

    async fn delete(&self, ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let token = state.token.as_str().unwrap_or_default();
        let failed = |error: AwsError| error.diagnostic(format!("Could not find the network in {region}"));
        let tagged = self.aws.vpcs_tagged(&region, TOKEN_TAG, token).await.map_err(failed)?;
        let mut ids: BTreeSet<String> = tagged.into_iter().map(|vpc| vpc.id).collect();
        ids.extend(state.vpc_id.known());
        for id in ids {
            let site = self.site(&region, &id, token);
            site.settle(ctx, None, |_| {}).await?;
            site.delete_vpc(ctx).await?;
        }
        Ok(())
    }

    fn identity() -> Option<ResourceIdentity<Model>> {
        Some(identity::by_id(
            |model: &Model| Parts { arn: &model.arn, region: &model.region, name: &model.vpc_id },
            |id, region| Model { id: id.clone(), vpc_id: id, region, ..Model::default() },
            "The id of the VPC, such as `vpc-0123456789abcdef0`.",
        ))
    }

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        let (id, region) = parse_import_id(id)?;
        if !is_id(&id, "vpc-") {
            return Err(Diagnostic::error(
                "Invalid import id",
                format!("A network is imported as vpc-… or vpc-…@REGION, but the id is {id:?}."),
            ));
        }
        Ok(Model { id: id.as_str().into(), vpc_id: id.into(), region, ..Model::default() })
    }
}

impl<A: Identity + Networks> Network<A> {
    fn site(&self, region: &Region, vpc: &str, token: &str) -> Site<A> {
        Site {
            aws: Arc::clone(&self.aws),
            region: region.clone(),
            vpc: vpc.to_owned(),
            token: token.to_owned(),
        }
    }

    async fn account(&self, region: &Region) -> Result<String, Diagnostic> {
        let account = self.aws.account(region).await.map_err(|error| {
            error.diagnostic("Could not learn the account that the endpoints' policies are for")
        })?;
        Ok(account.as_str().to_owned())
    }

    async fn services(&self, region: &Region) -> Result<Vec<EndpointService>, Diagnostic> {
        self.aws.endpoint_services(region).await.map_err(|error| {
            error.diagnostic(format!("Could not list the services that have endpoints in {region}"))
        })
    }

    async fn zones(&self, region: &Region) -> Result<Vec<String>, Diagnostic> {
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not list the availability zones of {region}"));
        self.aws.zones(region).await.map_err(failed)
    }

    /// Plans zones and their number, each from the other. Zones that are in use stay.
    async fn plan_zones(
        &self,
        region: Option<&Region>,
        prior: Option<&Model>,
        config: &Model,
        planned: &mut Model,
    ) -> Result<(), Diagnostic> {
        if !config.availability_zones.is_null() {
            planned.availability_zone_count = config.availability_zones.as_ref().map(|zones| number(zones));
            return Ok(());
        }
        if config.availability_zone_count.is_null() {
            planned.availability_zone_count = ZONES.into();
        }
        let (Some(count), Some(region)) = (planned.availability_zone_count.get(), region) else {
            planned.availability_zones = Value::Unknown;
            return Ok(());
        };
        let is_here = |prior: &&Model| prior.region.as_str() == Some(region.as_str());
        let in_use = prior.filter(is_here).and_then(|prior| prior.availability_zones.get());
        let mut zones = in_use.cloned().unwrap_or_default();
        if number(&zones) < *count {
            let others = self.zones(region).await?;
            let others = others.into_iter().filter(|zone| !zones.contains(zone)).collect::<Vec<_>>();
            zones.extend(others);
            if number(&zones) < *count {
                let detail =
                    format!("{region} has {} availability zones, but {count} are asked for.", zones.len());
                return Err(
                    Diagnostic::error("Not enough availability zones", detail).at("availability_zone_count")
                );
            }
        }
        zones.truncate(usize::try_from(*count).unwrap_or_default());
        planned.availability_zones = zones.into();
        Ok(())
    }

    /// The plan with what could not be planned.
    async fn complete(&self, region: &Region, plan: Model) -> Result<Model, Diagnostic> {
        let mut plan = Model { region: region.to_string().into(), ..plan };
        if plan.availability_zones.is_unknown() {
            let config = Model { availability_zone_count: plan.availability_zone_count, ..Model::default() };
            self.plan_zones(Some(region), None, &config, &mut plan).await?;
        }
        plan.availability_zone_count = plan.availability_zones.as_ref().map(|zones| number(zones));
        if plan.endpoint_services.is_unknown() {
            let egress = plan.egress.as_str().and_then(Egress::from_name).unwrap_or(Egress::Nat);
            plan.endpoint_services =
                default_services(egress, &plan.features.clone().unwrap_or_default()).into();
        }
        match space_problem(&plan) {
            Some(problem) => Err(problem),
            None => Ok(plan),
        }
    }

    /// Makes the VPC. When nobody can tell whether it was made, what could find it is saved.
    async fn create_vpc(
        &self,
        ctx: &Context,
        region: &Region,
        wanted: &Wanted,
        plan: &Model,
        state: &mut Saved<Model>,
    ) -> Result<String, Diagnostic> {
        let Wanted { cidr, ipv6, token, .. } = wanted;
        let error = match self.aws.create_vpc(region, cidr, *ipv6, &wanted.vpc_tags()).await {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let failed = error.diagnostic(format!("Could not create a VPC in {region}"));
        if !error.leaves_doubt() {
            return Err(failed);
        }
        let nothing = Model { token: token.as_str().into(), ..outputs(plan.clone(), wanted, None) };
        state.save(Model { id: Value::Null, vpc_id: Value::Null, arn: Value::Null, ..nothing });
        let mut pace = Pace::brisk();
        for _ in 0..4 {
            match self.aws.vpcs_tagged(region, TOKEN_TAG, token).await {
                Ok(found) => {
                    if let Some(vpc) = found.into_iter().next() {
                        return Ok(vpc.id);
                    }
                }
                Err(_) => return Err(failed),
            }
            pace.pause(ctx, "waiting for the answer to the creation of a VPC").await?;
        }
        state.forget();
        Err(failed)
    }

    /// A request whose answer was lost is made again, and then there are two VPCs. The other ones go.
    async fn delete_repeated(&self, region: &Region, token: &str, vpc: &str) -> Result<(), Diagnostic> {
        let failed = |error: AwsError| error.diagnostic(format!("Could not create a VPC in {region}"));
        for other in self.aws.vpcs_tagged(region, TOKEN_TAG, token).await.map_err(failed)? {
            if other.id != vpc {
                self.aws.delete_part(region, PartKind::Vpc, &other.id).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The VPC of the state, by its id or by its tag.
    async fn find_vpc(&self, region: &Region, state: &Model) -> Result<Option<String>, AwsError> {
        if let Some(id) = state.vpc_id.as_str() {
            return Ok(Some(id.to_owned()));
        }
        let token = state.token.as_str().unwrap_or_default();
        let found = self.aws.vpcs_tagged(region, TOKEN_TAG, token).await?;
        Ok(found.into_iter().next().map(|vpc| vpc.id))
    }
}

/// `model` in terms of EC2.
fn wanted(
    region: &Region,
    model: &Model,
    account: &str,
    offered: &[EndpointService],
) -> Result<Wanted, Diagnostic> {
    let cidr = model.cidr_block.as_str().unwrap_or_default();
    let space = Space::parse(cidr).ok_or_else(|| {
        let detail = format!("The VPC has the addresses {cidr}, but a network has /16 to /24.");
        Diagnostic::error("Invalid network", detail).at("cidr_block")
    })?;
    let mut accounts = model.endpoint_account_ids.clone().unwrap_or_default();
    accounts.insert(account.to_owned());
    let mut services = BTreeMap::new();
    for short in model.endpoint_services.get().into_iter().flatten() {
        let Some(service) = find_service(offered, region.as_str(), short) else {
            let detail = format!("AWS offers no endpoint for {short:?} in {region}.");
            return Err(Diagnostic::error("No such service", detail).at("endpoint_services"));
        };
        let policy = model
            .endpoint_policy
            .as_str()
            .map_or_else(|| endpoint_policy(region, &accounts, short), str::to_owned);
        services.insert(short.clone(), (service, policy));
    }
    Ok(Wanted {
        name: model.name.clone().unwrap_or_default(),
        token: model.token.clone().unwrap_or_default(),
        tags: model.tags_all.clone().unwrap_or_default(),
        space,
        cidr: cidr.to_owned(),
        zones: model.availability_zones.clone().unwrap_or_default(),
        egress: model.egress.as_str().and_then(Egress::from_name).unwrap_or(Egress::Nat),
        services,
        ipv6: model.ipv6.unwrap_or(false),
        flow_log: model.flow_logs.get().map(flow_log),
        features: model.features.clone().unwrap_or_default(),
    })
}

fn number(zones: &[String]) -> i64 {
    i64::try_from(zones.len()).unwrap_or(i64::MAX)
}

fn flow_log(logs: &FlowLogs) -> FlowLog {
    let is_log_group = logs.log_group_arn.is_known();
    let destination = if is_log_group { &logs.log_group_arn } else { &logs.s3_arn };
    FlowLog {
        destination: destination.clone().unwrap_or_default(),
        is_log_group,
        role: logs.role_arn.clone().known(),
        traffic: logs.traffic.as_str().unwrap_or("ALL").to_owned(),
    }
}

fn not_ours(id: &str) -> Diagnostic {
    let detail = format!(
        "{id} has no tag {TOKEN_TAG}: it was not made by datadog_agentless_scanner_network, which can only manage what \
         it has made. Use its subnets as they are."
    );
    Diagnostic::error("Not a network of scanners", detail)
}

fn arn(region: &Region, account: &str, vpc: &str) -> String {
    format!("arn:{}:ec2:{region}:{account}:vpc/{vpc}", region.partition().id())
}

#[cfg(test)]
mod tests;
