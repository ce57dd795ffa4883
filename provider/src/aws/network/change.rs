//! Making, changing and removing the parts of a network.

use aws_sdk_ec2::types::{
    AttributeBooleanValue, DomainType, FlowLogsResourceType, LogDestinationType, ResourceType, TrafficType,
    VpcEndpointType,
};
use scanner_policy::Region;

use super::{
    Change, Dns, Endpoint, EndpointService, FlowLog, Interface, Networks, NewPart, Part, PartKind, PartKinds,
    Route, Vpc,
};
use crate::aws::error::failed;
use crate::aws::security_groups::{permission, specifications};
use crate::aws::{Aws, AwsError, SecurityGroups, Tags};

/// Where a route leads: the requests about routes have the same arguments, and no type in common.
macro_rules! to_destination {
    ($request:expr, $route:expr) => {
        match destination($route) {
            Destination::Ipv4(cidr) => $request.destination_cidr_block(cidr),
            Destination::Ipv6(cidr) => $request.destination_ipv6_cidr_block(cidr),
            Destination::List(id) => $request.destination_prefix_list_id(id),
        }
    };
}

/// By what it leads there.
macro_rules! by_target {
    ($request:expr, $route:expr) => {
        match target($route) {
            Target::Nat(id) => $request.nat_gateway_id(id),
            Target::EgressOnly(id) => $request.egress_only_internet_gateway_id(id),
            Target::Gateway(id) => $request.gateway_id(id),
        }
    };
}

impl Networks for Aws {
    async fn zones(&self, region: &Region) -> Result<Vec<String>, AwsError> {
        self.describe_zones(region).await
    }

    async fn endpoint_services(&self, region: &Region) -> Result<Vec<EndpointService>, AwsError> {
        self.describe_services(region).await
    }

    async fn create_vpc(
        &self,
        region: &Region,
        cidr: &str,
        ipv6: bool,
        tags: &Tags,
    ) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateVpc";
        let request = self.clients(region).ec2.create_vpc().cidr_block(cidr);
        let request = request
            .set_amazon_provided_ipv6_cidr_block(ipv6.then_some(true))
            .set_tag_specifications(specifications(ResourceType::Vpc, tags));
        let answer = request.send().await.map_err(failed(OPERATION))?;
        answer.vpc.and_then(|vpc| vpc.vpc_id).ok_or_else(|| AwsError::malformed(OPERATION, "VPC id"))
    }

    async fn vpc(&self, region: &Region, id: &str) -> Result<Option<Vpc>, AwsError> {
        Ok(self.describe_vpcs(region, Some(id), None).await?.into_iter().next())
    }

    async fn vpcs_tagged(&self, region: &Region, key: &str, value: &str) -> Result<Vec<Vpc>, AwsError> {
        self.describe_vpcs(region, None, Some((key, value))).await
    }

    async fn dns(&self, region: &Region, vpc: &str) -> Result<Dns, AwsError> {
        self.describe_dns(region, vpc).await
    }

    async fn parts(
        &self,
        region: &Region,
        vpc: &str,
        tag: (&str, &str),
        kinds: &PartKinds,
    ) -> Result<Vec<Part>, AwsError> {
        self.describe_parts(region, vpc, tag, kinds).await
    }

    async fn interfaces(&self, region: &Region, vpc: &str) -> Result<Vec<Interface>, AwsError> {
        self.describe_interfaces(region, vpc).await
    }

    async fn create_part(&self, region: &Region, part: &NewPart, tags: &Tags) -> Result<String, AwsError> {
        let ec2 = self.clients(region).ec2;
        let tagged = |kind| specifications(kind, tags);
        let (operation, id) = match part {
            NewPart::Subnet { vpc, zone, cidr, ipv6 } => {
                const OPERATION: &str = "ec2:CreateSubnet";
                let request = ec2.create_subnet().vpc_id(vpc).availability_zone(zone).cidr_block(cidr);
                let request = request.set_ipv6_cidr_block(ipv6.clone());
                let request = request.set_tag_specifications(tagged(ResourceType::Subnet));
                let answer = request.send().await.map_err(failed(OPERATION))?;
                (OPERATION, answer.subnet.and_then(|subnet| subnet.subnet_id))
            }
            NewPart::RouteTable(vpc) => {
                const OPERATION: &str = "ec2:CreateRouteTable";
                let request = ec2.create_route_table().vpc_id(vpc);
                let request = request.set_tag_specifications(tagged(ResourceType::RouteTable));
                let answer = request.send().await.map_err(failed(OPERATION))?;
                (OPERATION, answer.route_table.and_then(|table| table.route_table_id))
            }
            NewPart::InternetGateway => {
                const OPERATION: &str = "ec2:CreateInternetGateway";
                let request = ec2.create_internet_gateway();
                let request = request.set_tag_specifications(tagged(ResourceType::InternetGateway));
                let answer = request.send().await.map_err(failed(OPERATION))?;
                (OPERATION, answer.internet_gateway.and_then(|gateway| gateway.internet_gateway_id))
            }
            NewPart::EgressGateway(vpc) => {
                const OPERATION: &str = "ec2:CreateEgressOnlyInternetGateway";
                let request = ec2.create_egress_only_internet_gateway().vpc_id(vpc);
                let request = request.set_tag_specifications(tagged(ResourceType::EgressOnlyInternetGateway));
                let answer = request.send().await.map_err(failed(OPERATION))?;
                let gateway = answer.egress_only_internet_gateway;
                (OPERATION, gateway.and_then(|gateway| gateway.egress_only_internet_gateway_id))
            }
            NewPart::Address => {
                const OPERATION: &str = "ec2:AllocateAddress";
                let request = ec2.allocate_address().domain(DomainType::Vpc);
                let request = request.set_tag_specifications(tagged(ResourceType::ElasticIp));
                (OPERATION, request.send().await.map_err(failed(OPERATION))?.allocation_id)
            }
            NewPart::NatGateway { subnet, allocation } => {
                const OPERATION: &str = "ec2:CreateNatGateway";
                let request = ec2.create_nat_gateway().subnet_id(subnet).allocation_id(allocation);
                let request = request.set_tag_specifications(tagged(ResourceType::Natgateway));
                let answer = request.send().await.map_err(failed(OPERATION))?;
                (OPERATION, answer.nat_gateway.and_then(|gateway| gateway.nat_gateway_id))
            }
            NewPart::Endpoint { vpc, endpoint } => {
                const OPERATION: &str = "ec2:CreateVpcEndpoint";
                let request = ec2.create_vpc_endpoint().vpc_id(vpc).service_name(&endpoint.service);
                let request = request
                    .set_policy_document(Some(endpoint.policy.clone()).filter(|policy| !policy.is_empty()))
                    .set_tag_specifications(tagged(ResourceType::VpcEndpoint));
                let request = if endpoint.is_gateway {
                    let request = request.vpc_endpoint_type(VpcEndpointType::Gateway);
                    request.set_route_table_ids(Some(endpoint.tables.clone()))
                } else {
                    request
                        .vpc_endpoint_type(VpcEndpointType::Interface)
                        .private_dns_enabled(endpoint.private_dns)
                        .set_subnet_ids(Some(endpoint.subnets.clone()))
                        .set_security_group_ids(Some(endpoint.groups.clone()))
                };
                let answer = request.send().await.map_err(failed(OPERATION))?;
                (OPERATION, answer.vpc_endpoint.and_then(|endpoint| endpoint.vpc_endpoint_id))
            }
            NewPart::Group { vpc, name, description } => {
                const OPERATION: &str = "ec2:CreateSecurityGroup";
                let request = ec2.create_security_group().vpc_id(vpc).group_name(name);
                let request = request.description(description);
                let request = request.set_tag_specifications(tagged(ResourceType::SecurityGroup));
                (OPERATION, request.send().await.map_err(failed(OPERATION))?.group_id)
            }
            NewPart::FlowLog { vpc, log } => {
                return self.create_flow_log(region, vpc, log, tags).await;
            }
        };
        id.ok_or_else(|| AwsError::malformed(operation, "id"))
    }

    async fn change_part(&self, region: &Region, vpc: &str, change: &Change) -> Result<(), AwsError> {
        let ec2 = self.clients(region).ec2;
        let on = || AttributeBooleanValue::builder().value(true).build();
        match change {
            Change::Dns(dns) => {
                let request = ec2.modify_vpc_attribute().vpc_id(vpc);
                let request = if dns.support {
                    request.enable_dns_hostnames(on())
                } else {
                    request.enable_dns_support(on())
                };
                request.send().await.map_err(failed("ec2:ModifyVpcAttribute"))?;
            }
            Change::VpcIpv6 => {
                let request = ec2.associate_vpc_cidr_block().vpc_id(vpc);
                let request = request.amazon_provided_ipv6_cidr_block(true);
                request.send().await.map_err(failed("ec2:AssociateVpcCidrBlock"))?;
            }
            Change::SubnetIpv6 { subnet, cidr } => {
                let request = ec2.associate_subnet_cidr_block().subnet_id(subnet).ipv6_cidr_block(cidr);
                request.send().await.map_err(failed("ec2:AssociateSubnetCidrBlock"))?;
            }
            Change::KeepPrivate(subnet) => {
                let off = AttributeBooleanValue::builder().value(false).build();
                let request = ec2.modify_subnet_attribute().subnet_id(subnet).map_public_ip_on_launch(off);
                request.send().await.map_err(failed("ec2:ModifySubnetAttribute"))?;
            }
            Change::AssignIpv6(subnet) => {
                let request = ec2.modify_subnet_attribute().subnet_id(subnet);
                let request = request.assign_ipv6_address_on_creation(on());
                request.send().await.map_err(failed("ec2:ModifySubnetAttribute"))?;
            }
            Change::Attach(gateway) => {
                let request = ec2.attach_internet_gateway().internet_gateway_id(gateway).vpc_id(vpc);
                request.send().await.map_err(failed("ec2:AttachInternetGateway"))?;
            }
            Change::Detach(gateway) => {
                let request = ec2.detach_internet_gateway().internet_gateway_id(gateway).vpc_id(vpc);
                request.send().await.map_err(failed("ec2:DetachInternetGateway"))?;
            }
            Change::Associate { table, subnet, instead_of: None } => {
                let request = ec2.associate_route_table().route_table_id(table).subnet_id(subnet);
                request.send().await.map_err(failed("ec2:AssociateRouteTable"))?;
            }
            Change::Associate { table, instead_of: Some(association), .. } => {
                let request = ec2.replace_route_table_association().route_table_id(table);
                let request = request.association_id(association);
                request.send().await.map_err(failed("ec2:ReplaceRouteTableAssociation"))?;
            }
            Change::Disassociate(association) => {
                let request = ec2.disassociate_route_table().association_id(association);
                request.send().await.map_err(failed("ec2:DisassociateRouteTable"))?;
            }
            Change::AddRoute(table, route) => self.add_route(region, table, route).await?,
            Change::ReplaceRoute(table, route) => self.replace_route(region, table, route).await?,
            Change::DeleteRoute(table, route) => self.delete_route(region, table, route).await?,
            Change::Endpoint { id, from, to } => self.modify_endpoint(region, id, from, to).await?,
            Change::Allow(group, rule) => {
                let request = ec2.authorize_security_group_ingress().group_id(group);
                let request = request.ip_permissions(permission(rule));
                request.send().await.map_err(failed("ec2:AuthorizeSecurityGroupIngress"))?;
            }
            Change::Revoke { group, is_egress, rules } => {
                self.revoke(region, group, *is_egress, rules).await?;
            }
            Change::Tag { id, set, remove } => self.tag_ec2(region, id, set, remove).await?,
        }
        Ok(())
    }

    async fn delete_part(&self, region: &Region, kind: PartKind, id: &str) -> Result<(), AwsError> {
        let ec2 = self.clients(region).ec2;
        /// Sends a request whose answer says nothing.
        macro_rules! send {
            ($request:expr, $operation:literal) => {
                $request.send().await.map(drop).map_err(failed($operation))
            };
        }
        let answer = match kind {
            PartKind::Vpc => send!(ec2.delete_vpc().vpc_id(id), "ec2:DeleteVpc"),
            PartKind::Subnet => send!(ec2.delete_subnet().subnet_id(id), "ec2:DeleteSubnet"),
            PartKind::RouteTable => {
                send!(ec2.delete_route_table().route_table_id(id), "ec2:DeleteRouteTable")
            }
            PartKind::InternetGateway => {
                send!(ec2.delete_internet_gateway().internet_gateway_id(id), "ec2:DeleteInternetGateway")
            }
            PartKind::EgressGateway => send!(
                ec2.delete_egress_only_internet_gateway().egress_only_internet_gateway_id(id),
                "ec2:DeleteEgressOnlyInternetGateway"
            ),
            PartKind::Address => send!(ec2.release_address().allocation_id(id), "ec2:ReleaseAddress"),
            PartKind::NatGateway => {
                send!(ec2.delete_nat_gateway().nat_gateway_id(id), "ec2:DeleteNatGateway")
            }
            PartKind::Endpoint => {
                let request = ec2.delete_vpc_endpoints().vpc_endpoint_ids(id);
                // Such calls succeed as a whole, and tell what they did not do.
                match request.send().await.map_err(failed("ec2:DeleteVpcEndpoints")) {
                    Ok(answer) => refused("ec2:DeleteVpcEndpoints", answer.unsuccessful),
                    Err(error) => Err(error),
                }
            }
            PartKind::Group => send!(ec2.delete_security_group().group_id(id), "ec2:DeleteSecurityGroup"),
            PartKind::FlowLog => {
                let request = ec2.delete_flow_logs().flow_log_ids(id);
                match request.send().await.map_err(failed("ec2:DeleteFlowLogs")) {
                    Ok(answer) => refused("ec2:DeleteFlowLogs", answer.unsuccessful),
                    Err(error) => Err(error),
                }
            }
        };
        match answer {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer,
        }
    }
}

impl Aws {
    async fn create_flow_log(
        &self,
        region: &Region,
        vpc: &str,
        log: &FlowLog,
        tags: &Tags,
    ) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateFlowLogs";
        let request = self.clients(region).ec2.create_flow_logs();
        let request = request
            .resource_type(FlowLogsResourceType::Vpc)
            .resource_ids(vpc)
            .traffic_type(TrafficType::from(log.traffic.as_str()))
            .log_destination(&log.destination)
            .log_destination_type(if log.is_log_group {
                LogDestinationType::CloudWatchLogs
            } else {
                LogDestinationType::S3
            })
            .set_deliver_logs_permission_arn(log.role.clone())
            .set_tag_specifications(specifications(ResourceType::VpcFlowLog, tags));
        let answer = request.send().await.map_err(failed(OPERATION))?;
        refused(OPERATION, answer.unsuccessful)?;
        let id = answer.flow_log_ids.unwrap_or_default().into_iter().next();
        id.ok_or_else(|| AwsError::malformed(OPERATION, "flow log id"))
    }

    async fn add_route(&self, region: &Region, table: &str, route: &Route) -> Result<(), AwsError> {
        let request = self.clients(region).ec2.create_route().route_table_id(table);
        let request = to_destination!(request, route);
        let request = by_target!(request, route);
        request.send().await.map_err(failed("ec2:CreateRoute")).map(drop)
    }

    async fn replace_route(&self, region: &Region, table: &str, route: &Route) -> Result<(), AwsError> {
        let request = self.clients(region).ec2.replace_route().route_table_id(table);
        let request = to_destination!(request, route);
        let request = by_target!(request, route);
        request.send().await.map_err(failed("ec2:ReplaceRoute")).map(drop)
    }

    async fn delete_route(&self, region: &Region, table: &str, route: &Route) -> Result<(), AwsError> {
        let request = self.clients(region).ec2.delete_route().route_table_id(table);
        let request = to_destination!(request, route);
        match request.send().await.map_err(failed("ec2:DeleteRoute")) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn modify_endpoint(
        &self,
        region: &Region,
        id: &str,
        from: &Endpoint,
        to: &Endpoint,
    ) -> Result<(), AwsError> {
        /// What is in the first and not in the second; `None` for nothing.
        fn without(first: &[String], second: &[String]) -> Option<Vec<String>> {
            let rest: Vec<String> = first.iter().filter(|it| !second.contains(it)).cloned().collect();
            (!rest.is_empty()).then_some(rest)
        }
        let request = self.clients(region).ec2.modify_vpc_endpoint().vpc_endpoint_id(id);
        let policy = (!to.policy.is_empty()).then(|| to.policy.clone());
        let request = request
            .set_policy_document(policy)
            .set_add_route_table_ids(without(&to.tables, &from.tables))
            .set_remove_route_table_ids(without(&from.tables, &to.tables))
            .set_add_subnet_ids(without(&to.subnets, &from.subnets))
            .set_remove_subnet_ids(without(&from.subnets, &to.subnets))
            .set_add_security_group_ids(without(&to.groups, &from.groups))
            .set_remove_security_group_ids(without(&from.groups, &to.groups))
            .set_private_dns_enabled((from.private_dns != to.private_dns).then_some(to.private_dns));
        request.send().await.map_err(failed("ec2:ModifyVpcEndpoint")).map(drop)
    }
}

enum Destination<'a> {
    Ipv4(&'a str),
    Ipv6(&'a str),
    List(&'a str),
}

fn destination(route: &Route) -> Destination<'_> {
    match route.destination.as_str() {
        list if list.starts_with("pl-") => Destination::List(list),
        cidr if cidr.contains(':') => Destination::Ipv6(cidr),
        cidr => Destination::Ipv4(cidr),
    }
}

enum Target<'a> {
    Nat(&'a str),
    EgressOnly(&'a str),
    Gateway(&'a str),
}

fn target(route: &Route) -> Target<'_> {
    match route.target.as_str() {
        id if id.starts_with("nat-") => Target::Nat(id),
        id if id.starts_with("eigw-") => Target::EgressOnly(id),
        id => Target::Gateway(id),
    }
}

/// The first of what a call did not do, as an error.
fn refused(
    operation: &'static str,
    items: Option<Vec<aws_sdk_ec2::types::UnsuccessfulItem>>,
) -> Result<(), AwsError> {
    let error = items.unwrap_or_default().into_iter().find_map(|item| item.error);
    match error {
        None => Ok(()),
        Some(error) => {
            let code = error.code.unwrap_or_default();
            Err(AwsError::of_item(operation, &code, error.message.unwrap_or_default()))
        }
    }
}
