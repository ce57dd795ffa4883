//! Reading a network.

use std::collections::BTreeMap;

use aws_sdk_ec2::operation::describe_internet_gateways::builders::DescribeInternetGatewaysFluentBuilder;
use aws_sdk_ec2::types::{
    Filter, LogDestinationType, NatGatewayState, Route as SdkRoute, RouteOrigin, SecurityGroupRule,
    ServiceType, State, VpcAttributeName, VpcCidrBlockStateCode, VpcEndpoint, VpcEndpointType,
};
use scanner_policy::Region;

use super::{
    Dns, Endpoint, EndpointService, FlowLog, Interface, Ipv6Block, Part, PartKind, PartKinds, Route, Status,
    Vpc, What,
};
use crate::aws::error::failed;
use crate::aws::security_groups::{rule_from_sdk, tags_from_sdk};
use crate::aws::{Aws, AwsError, Rule};

/// Everything of one description, page after page.
macro_rules! all {
    ($request:expr, $operation:literal) => {{
        let mut pages = $request.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            found.push(item.map_err(failed($operation))?);
        }
        found
    }};
}

fn filter(name: impl Into<String>, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// The answer of `ask`, which is asked only then.
async fn when(
    is_asked: bool,
    ask: impl Future<Output = Result<Vec<Part>, AwsError>>,
) -> Result<Vec<Part>, AwsError> {
    if is_asked { ask.await } else { Ok(Vec::new()) }
}

fn part(id: Option<String>, tags: Option<Vec<aws_sdk_ec2::types::Tag>>, status: Status, what: What) -> Part {
    Part { id: id.unwrap_or_default(), tags: tags_from_sdk(tags), status, what }
}

impl Aws {
    pub(super) async fn describe_zones(&self, region: &Region) -> Result<Vec<String>, AwsError> {
        let request = self.clients(region).ec2.describe_availability_zones();
        let answer = request.send().await.map_err(failed("ec2:DescribeAvailabilityZones"))?;
        let zones = answer.availability_zones.unwrap_or_default().into_iter();
        // Local and wavelength zones are of another type, and lack services.
        let mut names: Vec<String> = zones
            .filter(|zone| zone.zone_type.as_deref().is_none_or(|kind| kind == "availability-zone"))
            .filter_map(|zone| zone.zone_name)
            .collect();
        names.sort();
        Ok(names)
    }

    pub(super) async fn describe_services(&self, region: &Region) -> Result<Vec<EndpointService>, AwsError> {
        let ec2 = self.clients(region).ec2;
        let (mut services, mut token) = (Vec::new(), None);
        loop {
            let request = ec2.describe_vpc_endpoint_services().set_next_token(token);
            let answer = request.send().await.map_err(failed("ec2:DescribeVpcEndpointServices"))?;
            for detail in answer.service_details.unwrap_or_default() {
                if detail.owner.as_deref() != Some("amazon") {
                    continue;
                }
                let mut kinds = detail.service_type.unwrap_or_default().into_iter();
                services.push(EndpointService {
                    is_gateway: kinds.any(|kind| kind.service_type == Some(ServiceType::Gateway)),
                    name: detail.service_name.unwrap_or_default(),
                    zones: detail.availability_zones.unwrap_or_default(),
                    has_policy: detail.vpc_endpoint_policy_supported.unwrap_or_default(),
                    has_private_dns: detail.private_dns_name.is_some_and(|name| !name.is_empty()),
                });
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(services);
            }
        }
    }

    pub(super) async fn describe_vpcs(
        &self,
        region: &Region,
        by_id: Option<&str>,
        by_tag: Option<(&str, &str)>,
    ) -> Result<Vec<Vpc>, AwsError> {
        let request = self.clients(region).ec2.describe_vpcs();
        let request = request
            .set_vpc_ids(by_id.map(|id| vec![id.to_owned()]))
            .set_filters(by_tag.map(|(key, value)| vec![filter(format!("tag:{key}"), value)]));
        let answer = match request.send().await.map_err(failed("ec2:DescribeVpcs")) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            answer => answer?,
        };
        let vpcs = answer.vpcs.unwrap_or_default().into_iter();
        Ok(vpcs
            .map(|vpc| Vpc {
                id: vpc.vpc_id.unwrap_or_default(),
                owner: vpc.owner_id.unwrap_or_default(),
                cidr: vpc.cidr_block.unwrap_or_default(),
                ipv6: vpc.ipv6_cidr_block_association_set.unwrap_or_default().into_iter().find_map(|it| {
                    use VpcCidrBlockStateCode::{Associated, Associating};
                    let state = it.ipv6_cidr_block_state.and_then(|state| state.state);
                    matches!(state, Some(Associated | Associating)).then(|| Ipv6Block {
                        cidr: it.ipv6_cidr_block.unwrap_or_default(),
                        is_ready: state == Some(Associated),
                    })
                }),
                tags: tags_from_sdk(vpc.tags),
            })
            .collect())
    }

    pub(super) async fn describe_dns(&self, region: &Region, vpc: &str) -> Result<Dns, AwsError> {
        let ask = |attribute| {
            let request = self.clients(region).ec2.describe_vpc_attribute().vpc_id(vpc).attribute(attribute);
            async move { request.send().await.map_err(failed("ec2:DescribeVpcAttribute")) }
        };
        let (support, hostnames) = tokio::try_join!(
            ask(VpcAttributeName::EnableDnsSupport),
            ask(VpcAttributeName::EnableDnsHostnames)
        )?;
        Ok(Dns {
            support: support.enable_dns_support.and_then(|it| it.value).unwrap_or_default(),
            hostnames: hostnames.enable_dns_hostnames.and_then(|it| it.value).unwrap_or_default(),
        })
    }

    pub(super) async fn describe_parts(
        &self,
        region: &Region,
        vpc: &str,
        tag: (&str, &str),
        kinds: &PartKinds,
    ) -> Result<Vec<Part>, AwsError> {
        use PartKind::{
            Address, EgressGateway, Endpoint, FlowLog, Group, InternetGateway, NatGateway, RouteTable, Subnet,
        };
        let (subnets, tables, gateways, egress, nats, addresses, endpoints, groups, logs) = tokio::try_join!(
            when(kinds.contains(&Subnet), self.subnets(region, vpc)),
            when(kinds.contains(&RouteTable), self.route_tables(region, vpc)),
            when(kinds.contains(&InternetGateway), self.internet_gateways(region, vpc, tag)),
            when(kinds.contains(&EgressGateway), self.egress_gateways(region, tag)),
            when(kinds.contains(&NatGateway), self.nat_gateways(region, vpc)),
            when(kinds.contains(&Address), self.addresses(region, tag)),
            when(kinds.contains(&Endpoint), self.endpoints(region, vpc)),
            when(kinds.contains(&Group), self.groups(region, vpc)),
            when(kinds.contains(&FlowLog), self.flow_logs(region, vpc)),
        )?;
        Ok([subnets, tables, gateways, egress, nats, addresses, endpoints, groups, logs].concat())
    }

    pub(super) async fn describe_interfaces(
        &self,
        region: &Region,
        vpc: &str,
    ) -> Result<Vec<Interface>, AwsError> {
        let request = self.clients(region).ec2.describe_network_interfaces().filters(filter("vpc-id", vpc));
        let found = all!(request, "ec2:DescribeNetworkInterfaces").into_iter();
        Ok(found
            .map(|interface| Interface {
                id: interface.network_interface_id.unwrap_or_default(),
                subnet: interface.subnet_id.unwrap_or_default(),
                description: interface.description.unwrap_or_default(),
                instance: interface.attachment.and_then(|attachment| attachment.instance_id),
            })
            .collect())
    }

    async fn subnets(&self, region: &Region, vpc: &str) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_subnets().filters(filter("vpc-id", vpc));
        let found = all!(request, "ec2:DescribeSubnets").into_iter();
        Ok(found
            .map(|subnet| {
                let blocks = subnet.ipv6_cidr_block_association_set.unwrap_or_default();
                let what = What::Subnet {
                    zone: subnet.availability_zone.unwrap_or_default(),
                    cidr: subnet.cidr_block.unwrap_or_default(),
                    ipv6: blocks.into_iter().find_map(|block| block.ipv6_cidr_block),
                    maps_public: subnet.map_public_ip_on_launch.unwrap_or_default(),
                    assigns_ipv6: subnet.assign_ipv6_address_on_creation.unwrap_or_default(),
                };
                part(subnet.subnet_id, subnet.tags, Status::Ready, what)
            })
            .collect())
    }

    async fn route_tables(&self, region: &Region, vpc: &str) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_route_tables().filters(filter("vpc-id", vpc));
        let found = all!(request, "ec2:DescribeRouteTables").into_iter();
        Ok(found
            .map(|table| {
                let associations = table.associations.unwrap_or_default();
                let routes = table.routes.unwrap_or_default().into_iter().filter_map(route_from_sdk);
                let (endpoint_routes, routes) = routes.partition(|it| it.target.starts_with("vpce-"));
                let what = What::RouteTable {
                    is_main: associations.iter().any(|it| it.main == Some(true)),
                    routes,
                    endpoint_routes,
                    subnets: associations
                        .into_iter()
                        .filter_map(|it| Some((it.route_table_association_id?, it.subnet_id?)))
                        .collect(),
                };
                part(table.route_table_id, table.tags, Status::Ready, what)
            })
            .collect())
    }

    /// Internet gateways: those that are attached, and those that have the tag.
    async fn internet_gateways(
        &self,
        region: &Region,
        vpc: &str,
        (key, value): (&str, &str),
    ) -> Result<Vec<Part>, AwsError> {
        let ec2 = self.clients(region).ec2;
        let attached = ec2.describe_internet_gateways().filters(filter("attachment.vpc-id", vpc));
        let tagged = ec2.describe_internet_gateways().filters(filter(format!("tag:{key}"), value));
        let list = async |request: DescribeInternetGatewaysFluentBuilder| {
            Ok::<_, AwsError>(all!(request, "ec2:DescribeInternetGateways"))
        };
        let (attached, tagged) = tokio::try_join!(list(attached), list(tagged))?;
        let mut found: BTreeMap<String, Part> = BTreeMap::new();
        for gateway in attached.into_iter().chain(tagged) {
            let is_attached =
                gateway.attachments.unwrap_or_default().iter().any(|it| it.vpc_id.as_deref() == Some(vpc));
            let what = What::InternetGateway { is_attached };
            let gateway = part(gateway.internet_gateway_id, gateway.tags, Status::Ready, what);
            found.insert(gateway.id.clone(), gateway);
        }
        Ok(found.into_values().collect())
    }

    async fn egress_gateways(
        &self,
        region: &Region,
        (key, value): (&str, &str),
    ) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_egress_only_internet_gateways();
        let request = request.filters(filter(format!("tag:{key}"), value));
        let found = all!(request, "ec2:DescribeEgressOnlyInternetGateways").into_iter();
        Ok(found
            .map(|it| part(it.egress_only_internet_gateway_id, it.tags, Status::Ready, What::EgressGateway))
            .filter(|it| it.tags.get(key).is_some_and(|tag| tag == value))
            .collect())
    }

    async fn nat_gateways(&self, region: &Region, vpc: &str) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_nat_gateways().filter(filter("vpc-id", vpc));
        let found = all!(request, "ec2:DescribeNatGateways").into_iter();
        Ok(found
            .filter_map(|gateway| {
                let status = match gateway.state? {
                    NatGatewayState::Available => Status::Ready,
                    NatGatewayState::Pending => Status::Pending,
                    NatGatewayState::Deleting => Status::Leaving,
                    NatGatewayState::Failed => Status::Failed(gateway.failure_message.unwrap_or_default()),
                    // Deleted ones are listed for an hour.
                    _ => return None,
                };
                let addresses = gateway.nat_gateway_addresses.unwrap_or_default();
                let what = What::NatGateway {
                    subnet: gateway.subnet_id.unwrap_or_default(),
                    allocations: addresses.into_iter().filter_map(|it| it.allocation_id).collect(),
                };
                Some(part(gateway.nat_gateway_id, gateway.tags, status, what))
            })
            .collect())
    }

    async fn addresses(&self, region: &Region, (key, value): (&str, &str)) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_addresses();
        let request = request.filters(filter(format!("tag:{key}"), value));
        let answer = request.send().await.map_err(failed("ec2:DescribeAddresses"))?;
        let found = answer.addresses.unwrap_or_default().into_iter();
        Ok(found
            .map(|it| {
                let what = What::Address { ip: it.public_ip.unwrap_or_default() };
                part(it.allocation_id, it.tags, Status::Ready, what)
            })
            .collect())
    }

    async fn endpoints(&self, region: &Region, vpc: &str) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_vpc_endpoints().filters(filter("vpc-id", vpc));
        let found = all!(request, "ec2:DescribeVpcEndpoints").into_iter();
        Ok(found.filter_map(endpoint_from_sdk).collect())
    }

    async fn groups(&self, region: &Region, vpc: &str) -> Result<Vec<Part>, AwsError> {
        let ec2 = self.clients(region).ec2;
        let groups = ec2.describe_security_groups().filters(filter("vpc-id", vpc));
        let groups = all!(groups, "ec2:DescribeSecurityGroups");
        let rules = groups.iter().filter_map(|group| group.group_id.clone()).collect();
        let of_groups = Filter::builder().name("group-id").set_values(Some(rules)).build();
        let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        if !groups.is_empty() {
            let request = ec2.describe_security_group_rules().filters(of_groups);
            for rule in all!(request, "ec2:DescribeSecurityGroupRules") {
                let rule: SecurityGroupRule = rule;
                let group = rule.group_id.clone().unwrap_or_default();
                rules.entry(group).or_default().push(rule_from_sdk(rule));
            }
        }
        Ok(groups
            .into_iter()
            .map(|group| {
                let id = group.group_id.unwrap_or_default();
                let rules = rules.remove(&id).unwrap_or_default();
                let what = What::Group { name: group.group_name.unwrap_or_default(), rules };
                part(Some(id), group.tags, Status::Ready, what)
            })
            .collect())
    }

    async fn flow_logs(&self, region: &Region, vpc: &str) -> Result<Vec<Part>, AwsError> {
        let request = self.clients(region).ec2.describe_flow_logs().filter(filter("resource-id", vpc));
        let found = all!(request, "ec2:DescribeFlowLogs").into_iter();
        Ok(found
            .map(|log| {
                let log_group = log.log_group_name;
                let what = What::FlowLog(FlowLog {
                    is_log_group: log_group.is_some()
                        || log.log_destination_type == Some(LogDestinationType::CloudWatchLogs),
                    // For a log group EC2 tells its name, and its ARN only where it was made with one.
                    destination: log.log_destination.or(log_group).unwrap_or_default(),
                    role: log.deliver_logs_permission_arn,
                    traffic: log.traffic_type.map(|it| it.as_str().to_owned()).unwrap_or_default(),
                });
                part(log.flow_log_id, log.tags, Status::Ready, what)
            })
            .collect())
    }
}

/// A route that somebody made: not those within the VPC, which cannot be changed.
fn route_from_sdk(route: SdkRoute) -> Option<Route> {
    if route.origin == Some(RouteOrigin::CreateRouteTable) || route.gateway_id.as_deref() == Some("local") {
        return None;
    }
    let destination = route
        .destination_cidr_block
        .or(route.destination_ipv6_cidr_block)
        .or(route.destination_prefix_list_id)?;
    let target = route
        .nat_gateway_id
        .or(route.gateway_id)
        .or(route.egress_only_internet_gateway_id)
        .or(route.vpc_peering_connection_id)
        .or(route.transit_gateway_id)
        .or(route.instance_id)
        .or(route.network_interface_id)
        .or(route.local_gateway_id)
        .or(route.carrier_gateway_id)
        .or(route.core_network_arn)
        .unwrap_or_default();
    Some(Route { destination, target })
}

fn endpoint_from_sdk(endpoint: VpcEndpoint) -> Option<Part> {
    // The reference of EC2 writes the states in capitals in one place and small in another.
    let state = endpoint.state.as_ref().map(State::as_str).unwrap_or_default().to_ascii_lowercase();
    let status = match state.as_str() {
        "available" => Status::Ready,
        "deleting" => Status::Leaving,
        "deleted" => return None,
        "failed" | "rejected" | "expired" => {
            let reason = endpoint.last_error.and_then(|error| error.message).or(endpoint.failure_reason);
            Status::Failed(reason.unwrap_or(state))
        }
        _ => Status::Pending,
    };
    let what = What::Endpoint(Endpoint {
        service: endpoint.service_name.unwrap_or_default(),
        is_gateway: endpoint.vpc_endpoint_type == Some(VpcEndpointType::Gateway),
        policy: endpoint.policy_document.unwrap_or_default(),
        tables: endpoint.route_table_ids.unwrap_or_default(),
        subnets: endpoint.subnet_ids.unwrap_or_default(),
        groups: endpoint.groups.unwrap_or_default().into_iter().filter_map(|group| group.group_id).collect(),
        private_dns: endpoint.private_dns_enabled.unwrap_or_default(),
    });
    Some(part(endpoint.vpc_endpoint_id, endpoint.tags, status, what))
}
