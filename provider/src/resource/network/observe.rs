//! A network as the state shows it.

use std::collections::{BTreeMap, BTreeSet};

use scanner_policy::Region;

use super::super::tagging;
use super::addressing::Space;
use super::endpoint_policy::accounts_of;
use super::schema::{FlowLogs, Model};
use super::steps::{Situation, key_of, next};
use super::wanted::{NAME_TAG, Wanted, remembered, tags_of_users};
use crate::aws::{Endpoint, FlowLog, Part, What};
use crate::config::Settings;
use crate::sdk::{Diagnostic, Value};

/// What the network's own tags and addresses say.
pub(super) fn observed(settings: &Settings, state: Model, situation: &Situation) -> Model {
    let vpc = &situation.vpc;
    let mut defaults = settings.clone();
    defaults.default_tags = defaults.default_tags.map(tags_of_users);
    let (tags, tags_all) = tagging::read(&defaults, &state.tags, tags_of_users(vpc.tags.clone()));
    Model {
        name: vpc.tags.get(NAME_TAG).cloned().into(),
        cidr_block: vpc.cidr.as_str().into(),
        tags,
        tags_all,
        ..state
    }
}

/// `model` with everything that follows from what is there. Without a situation, there is nothing yet.
pub(super) fn outputs(model: Model, wanted: &Wanted, situation: Option<&Situation>) -> Model {
    let Some(situation) = situation else {
        let mut model = Model { deviations: Value::Known(BTreeSet::new()), ..model };
        plan_outputs(&mut model, None);
        return without_unknown(model);
    };
    let find = |key: String| situation.find(&wanted.token, &key);
    let ids = |prefix: &str, zones: &[String]| -> Vec<String> {
        zones.iter().filter_map(|zone| Some(find(format!("{prefix}/{zone}"))?.id.clone())).collect()
    };
    let id = |key: &str| find(key.to_owned()).map(|part| part.id.clone());
    let nat_zones = wanted.nat_zones();
    let address = |zone: &String| match &find(format!("address/{zone}"))?.what {
        What::Address { ip } => Some(ip.clone()),
        _ => None,
    };
    let endpoints: BTreeMap<String, String> = wanted
        .services
        .keys()
        .filter_map(|short| Some((short.clone(), id(&format!("endpoint/{short}"))?)))
        .collect();
    let routes = situation.parts.iter().flat_map(|part| match &part.what {
        What::RouteTable { endpoint_routes, .. } => endpoint_routes.as_slice(),
        _ => &[],
    });
    let lists: BTreeMap<String, String> = routes
        .filter_map(|route| {
            let (short, _) = endpoints.iter().find(|(_, id)| **id == route.target)?;
            Some((short.clone(), route.destination.clone()))
        })
        .collect();
    let steps = next(&wanted.token, Some(wanted), situation, &BTreeMap::new());
    // What EC2 is still about may be followed by more.
    let waiting = steps.waiting.iter().map(|what| format!("not ready: {what}"));
    let deviations =
        steps.build.iter().chain(&steps.remove).map(ToString::to_string).chain(waiting).collect();
    Model {
        ipv6_cidr_block: situation.vpc.ipv6.as_ref().map(|block| block.cidr.clone()).into(),
        private_subnet_ids: ids("private", &wanted.zones).into(),
        public_subnet_ids: ids("public", nat_zones).into(),
        private_route_table_ids: ids("routes", &wanted.zones).into(),
        public_route_table_id: id("routes/public").filter(|_| !nat_zones.is_empty()).into(),
        nat_addresses: nat_zones.iter().filter_map(address).collect::<Vec<_>>().into(),
        endpoint_ids: endpoints.into(),
        prefix_list_ids: lists.into(),
        endpoint_security_group_id: id("endpoint-group").filter(|_| wanted.has_interfaces()).into(),
        deviations: Value::Known(deviations),
        ..model
    }
}

/// Calls `each` with what only AWS can tell of a network.
macro_rules! outputs_in {
    ($each:ident) => {
        $each!(
            ipv6_cidr_block,
            private_subnet_ids,
            public_subnet_ids,
            private_route_table_ids,
            public_route_table_id,
            nat_addresses,
            endpoint_ids,
            prefix_list_ids,
            endpoint_security_group_id
        )
    };
}

/// What a plan says of the outputs: those of `prior` when nothing changes them.
pub(super) fn plan_outputs(planned: &mut Model, prior: Option<&Model>) {
    macro_rules! keep {
        ($($name:ident),*) => {$(
            planned.$name = prior.map_or(Value::Unknown, |prior| prior.$name.clone());
        )*};
    }
    outputs_in!(keep);
}

fn without_unknown(mut model: Model) -> Model {
    macro_rules! empty {
        ($($name:ident),*) => {$(
            if model.$name.is_unknown() {
                model.$name = Value::Null;
            }
        )*};
    }
    outputs_in!(empty);
    model
}

/// What only the configuration knows, read from the parts of a network that is being imported.
pub(super) fn imported(
    region: &Region,
    state: Model,
    account: &str,
    situation: &Situation,
) -> Result<Model, Diagnostic> {
    let token = state.token.as_str().unwrap_or_default();
    let Some((egress, features)) = remembered(&situation.vpc.tags) else {
        return Err(super::not_ours(&situation.vpc.id));
    };
    let space = Space::parse(&situation.vpc.cidr);
    let parts: Vec<(&str, &Part)> =
        situation.parts.iter().filter_map(|part| Some((key_of(part, token)?, part))).collect();
    // Zones get their slots in the order in which they are named.
    let mut zones: Vec<(Option<u32>, String)> = parts
        .iter()
        .filter_map(|(key, part)| match &part.what {
            What::Subnet { cidr, .. } => {
                let zone = key.strip_prefix("private/")?;
                Some((space.and_then(|space| space.private_slot_of(cidr)), zone.to_owned()))
            }
            _ => None,
        })
        .collect();
    zones.sort();
    let zones: Vec<String> = zones.into_iter().map(|(_, zone)| zone).collect();
    let endpoints: BTreeMap<String, &Endpoint> = parts
        .iter()
        .filter_map(|(key, part)| match &part.what {
            What::Endpoint(endpoint) => Some((key.strip_prefix("endpoint/")?.to_owned(), endpoint)),
            _ => None,
        })
        .collect();
    let policy = endpoints.iter().find(|(_, endpoint)| !endpoint.policy.is_empty());
    let accounts = policy.map(|(short, endpoint)| accounts_of(region, &endpoint.policy, short));
    let logs = parts.iter().find_map(|(_, part)| match &part.what {
        What::FlowLog(log) => Some(flow_logs(region, account, log)),
        _ => None,
    });
    Ok(Model {
        availability_zone_count: super::number(&zones).into(),
        availability_zones: zones.into(),
        egress: egress.name().into(),
        features: features.into(),
        endpoint_services: endpoints.keys().cloned().collect::<BTreeSet<_>>().into(),
        endpoint_account_ids: accounts
            .clone()
            .flatten()
            .unwrap_or_default()
            .into_iter()
            .filter(|it| it != account)
            .collect::<BTreeSet<_>>()
            .into(),
        endpoint_policy: match (policy, accounts) {
            (Some((_, endpoint)), Some(None)) => endpoint.policy.as_str().into(),
            _ => Value::Null,
        },
        ipv6: situation.vpc.ipv6.is_some().into(),
        flow_logs: logs.into(),
        ..state
    })
}

fn flow_logs(region: &Region, account: &str, log: &FlowLog) -> FlowLogs {
    let arn = if log.destination.starts_with("arn:") {
        log.destination.clone()
    } else {
        let partition = region.partition().id();
        format!("arn:{partition}:logs:{region}:{account}:log-group:{}", log.destination)
    };
    let (s3_arn, log_group_arn) =
        if log.is_log_group { (Value::Null, arn.into()) } else { (arn.into(), Value::Null) };
    FlowLogs {
        s3_arn,
        log_group_arn,
        role_arn: log.role.clone().into(),
        traffic: log.traffic.as_str().into(),
    }
}
