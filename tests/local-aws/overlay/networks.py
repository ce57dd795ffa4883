"""Networks: NAT gateways and endpoints that take their time, and deletions that are refused while something is in use."""

import copy
import threading
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.responses import ActionResult
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError, InvalidSubnetIdError
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.route_tables import RouteBackend
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses._base_response import EC2BaseResponse
from moto.ec2.responses.elastic_ip_addresses import ElasticIPAddresses
from moto.ec2.responses.internet_gateways import InternetGateways
from moto.ec2.responses.nat_gateways import NatGateways
from moto.ec2.responses.subnets import Subnets
from moto.ec2.responses.vpcs import VPCs
from moto.ec2.utils import random_private_ip

from .patching import replaces

# How many descriptions find a NAT gateway or an interface endpoint under way before it is there, or gone.
LOOKS = 2

# What can have an interface endpoint, beside S3, which can also have a gateway: what a scanner may call, and some more.
ENDPOINT_SERVICES = (
    "autoscaling",
    "dynamodb",
    "ebs",
    "ec2",
    "ec2messages",
    "ecr.api",
    "ecr.dkr",
    "events",
    "kms",
    "kms-fips",
    "lambda",
    "logs",
    "monitoring",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "ssmmessages",
    "sts",
)


def apply() -> None:
    one_at_a_time()
    nat_gateways()
    endpoints()
    services()
    subnets()
    gateways()
    vpcs()


def one_at_a_time() -> None:
    lock = threading.RLock()

    @replaces(EC2BaseResponse, "call_action")
    def call_action(original: Any, self: Any) -> Any:
        """Calls that arrive together are all answered. moto walks through what another of its threads is changing."""
        with lock:
            return original(self)


def nat_gateways() -> None:
    @replaces(NatGatewayBackend, "create_nat_gateway")
    def create_nat_gateway(original: Any, self: Any, subnet_id: str, allocation_id: str, *args: Any, **kw: Any) -> Any:
        """`pending` at first; needs an internet gateway that is attached to the VPC, and an address that is free."""
        vpc_id = self.get_subnet(subnet_id).vpc_id
        if not any(it.vpc and it.vpc.id == vpc_id for it in self.internet_gateways.values()):
            raise EC2ClientError("Gateway.NotAttached", f"Network {vpc_id} has no Internet gateway attached")
        if any(it.association_id for it in self.address_by_allocation([allocation_id])):
            raise EC2ClientError("Resource.AlreadyAssociated", f"{allocation_id} is already associated")
        gateway = original(self, subnet_id, allocation_id, *args, **kw)
        gateway.state, gateway.looks = "pending", LOOKS
        return gateway

    @replaces(NatGatewayBackend, "delete_nat_gateway")
    def delete_nat_gateway(_original: Any, self: Any, nat_gateway_id: str) -> Any:
        """`deleting` at first, with its interface and address still in use. An unknown id is an error."""
        gateway = self.nat_gateways.get(nat_gateway_id)
        if gateway is None or gateway.state == "deleted":
            raise EC2ClientError("NatGatewayNotFound", f"The Nat Gateway {nat_gateway_id} was not found")
        gateway.state, gateway.looks = "deleting", LOOKS
        return gateway

    @replaces(NatGateways, "describe_nat_gateways")
    def describe_nat_gateways(original: Any, self: Any) -> ActionResult:
        backend = self.ec2_backend
        reply = original(self)
        # As they were before this look: the reply is rendered later.
        found = [copy.copy(gateway) for gateway in reply.result["NatGateways"]]
        for gateway in reply.result["NatGateways"]:
            gateway.looks = max(0, getattr(gateway, "looks", 0) - 1)
            if gateway.looks:
                continue
            if gateway.state == "pending":
                gateway.state = "available"
            elif gateway.state == "deleting":
                gateway.state = "deleted"
                for address in backend.addresses:
                    if address.eni and address.eni.id == gateway._eni.id:
                        backend.disassociate_address(address=address.public_ip)
                backend.enis.pop(gateway._eni.id, None)
        return ActionResult({"NatGateways": found})


def endpoints() -> None:
    @replaces(VPCBackend, "create_vpc_endpoint")
    def create_vpc_endpoint(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        """One private DNS name leads to one endpoint in a VPC. An interface endpoint is `pending` at first."""
        is_interface = (kwargs.get("endpoint_type") or "").lower() == "interface"
        for other in self.vpc_end_points.values():
            same = (other.vpc_id, other.service_name) == (kwargs["vpc_id"], kwargs["service_name"])
            if not same:
                continue
            if is_interface and kwargs.get("private_dns_enabled") and other.private_dns_enabled:
                raise EC2ClientError(
                    "InvalidParameter", "private-dns-enabled cannot be set because there is already a conflicting DNS domain"
                )
            if not is_interface and set(kwargs["route_table_ids"]) & set(other.route_table_ids):
                raise EC2ClientError("RouteAlreadyExists", "route table already has a route with the prefix list")
        endpoint = original(self, *args, **kwargs)
        if is_interface:
            endpoint.state, endpoint.looks = "pending", LOOKS
        return endpoint

    @replaces(VPCBackend, "delete_vpc_endpoints")
    def delete_vpc_endpoints(_original: Any, self: Any, vpce_ids: list[str] | None = None) -> None:
        """`deleting` at first, with its interfaces still there; a gateway's routes go at once."""
        for endpoint_id in vpce_ids or []:
            endpoint = self.vpc_end_points.get(endpoint_id)
            if endpoint is None:
                continue
            endpoint.state, endpoint.looks = "deleting", LOOKS
            for table_id in endpoint.route_table_ids:
                drop_endpoint_route(self, table_id, endpoint_id)

    @replaces(VPCs, "describe_vpc_endpoints")
    def describe_vpc_endpoints(original: Any, self: Any) -> ActionResult:
        """Those that are deleted are not listed any more."""
        backend = self.ec2_backend
        reply = original(self)
        found = [copy.copy(endpoint) for endpoint in reply.result["VpcEndpoints"]]
        for endpoint in reply.result["VpcEndpoints"]:
            endpoint.looks = max(0, getattr(endpoint, "looks", 0) - 1)
            if endpoint.looks:
                continue
            if endpoint.state == "pending":
                endpoint.state = "available"
            elif endpoint.state == "deleting":
                backend.vpc_end_points.pop(endpoint.id, None)
                for eni_id in endpoint.network_interface_ids:
                    backend.enis.pop(eni_id, None)
        return ActionResult({"VpcEndpoints": found})

    @replaces(VPCs, "modify_vpc_endpoint")
    def modify_vpc_endpoint(original: Any, self: Any) -> ActionResult:
        """Subnets that are added get an interface, and those that are removed lose theirs; so do routes of a gateway."""
        backend = self.ec2_backend
        endpoint = backend.describe_vpc_endpoints([self._get_param("VpcEndpointId")])[0]
        for table_id in self._get_param("RemoveRouteTableIds", []):
            drop_endpoint_route(backend, table_id, endpoint.id)
        for subnet_id in self._get_param("AddSubnetIds", []):
            eni = backend.create_network_interface(subnet_id, random_private_ip())
            endpoint.network_interface_ids.append(eni.id)
        gone = set(self._get_param("RemoveSubnetIds", []))
        for eni_id in list(endpoint.network_interface_ids):
            if eni_id in backend.enis and backend.enis[eni_id].subnet.id in gone:
                backend.enis.pop(eni_id)
                endpoint.network_interface_ids.remove(eni_id)
        private_dns = self._get_param("PrivateDnsEnabled")
        if private_dns is not None:
            endpoint.private_dns_enabled = str(private_dns).lower() == "true"
        return original(self)


def services() -> None:
    @replaces(VPCBackend, "_collect_default_endpoint_services")
    def collect_default_endpoint_services(_original: Any, _self: Any, _account: str, region: str) -> list[dict[str, Any]]:
        """The services of the region. moto asks all of its services, of which some cannot be imported here.

        Some, not all: 230 KiB for each question about a network were most of what the local AWS did, and its clients read.
        """
        zones = [zone.name for zones in RegionsAndZonesBackend.zones.values() for zone in zones if zone.region_name == region]
        make = BaseBackend.default_vpc_endpoint_service_factory
        found = [service for name in ENDPOINT_SERVICES for service in make(region, zones, name)]
        return found + make(region, zones, "s3") + make(region, zones, "s3", "Gateway", private_dns_names=False)


def subnets() -> None:
    @replaces(Subnets, "create_subnet")
    def create_subnet(original: Any, self: Any) -> ActionResult:
        """Only subnets of a default VPC give public addresses; in moto the first of each zone does."""
        reply = original(self)
        subnet = reply.result["Subnet"]
        if not self.ec2_backend.get_vpc(subnet.vpc_id).is_default:
            subnet.map_public_ip_on_launch = False
            subnet.default_for_az = False
        return reply

    @replaces(Subnets, "delete_subnet")
    def delete_subnet(original: Any, self: Any) -> ActionResult:
        """Refused while there is a network interface in it; its association with a route table ends with it."""
        backend, subnet_id = self.ec2_backend, self._get_param("SubnetId")
        if any(eni.subnet.id == subnet_id for eni in backend.enis.values()):
            raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        if not backend.describe_subnets(filters={"subnet-id": [subnet_id]}):
            raise InvalidSubnetIdError(subnet_id)
        for table in backend.route_tables.values():
            table._associations = {key: it for key, it in table._associations.items() if it != subnet_id}
        return original(self)


def gateways() -> None:
    @replaces(InternetGateways, "detach_internet_gateway")
    def detach_internet_gateway(original: Any, self: Any) -> ActionResult:
        """Refused while addresses of the VPC are mapped through it."""
        backend, vpc_id = self.ec2_backend, self._get_param("VpcId")
        mapped = [it for it in backend.addresses if it.eni and it.eni.subnet.vpc_id == vpc_id]
        if mapped:
            raise DependencyViolationError(f"Network {vpc_id} has some mapped public address(es).")
        return original(self)

    @replaces(ElasticIPAddresses, "release_address")
    def release_address(original: Any, self: Any) -> ActionResult:
        """Refused while it is associated."""
        allocation_id = self._get_param("AllocationId")
        if allocation_id and any(it.association_id for it in self.ec2_backend.address_by_allocation([allocation_id])):
            raise EC2ClientError("InvalidIPAddress.InUse", f"Address {allocation_id} is in use.")
        return original(self)


def vpcs() -> None:
    @replaces(VPCBackend, "delete_vpc")
    def delete_vpc(original: Any, self: Any, vpc_id: str) -> Any:
        """Refused while a gateway is attached or another security group is there. Its flow logs go with it."""
        others = [group for group in self.groups.get(vpc_id, {}).values() if group.name != "default"]
        attached = [it for it in self.internet_gateways.values() if it.vpc and it.vpc.id == vpc_id]
        egress = [it for it in self.egress_only_internet_gateways.values() if it.vpc_id == vpc_id]
        if others or attached or egress:
            raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        return original(self, vpc_id)

    @replaces(RouteBackend, "replace_route")
    def replace_route(_original: Any, self: Any, route_table_id: str, *args: Any, **kwargs: Any) -> Any:
        """The new target takes the old one's place; moto looks for another route, and loses what it finds."""
        names = ("destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id")
        names += ("nat_gateway_id", "egress_only_igw_id", "transit_gateway_id")
        given = {**dict(zip(names, args)), **kwargs}
        self.delete_route(route_table_id, *(given.pop(name, None) for name in names[:3]))
        destinations = {**dict(zip(names, args)), **kwargs}
        return self.create_route(
            route_table_id,
            destinations.get("destination_cidr_block"),
            destination_ipv6_cidr_block=destinations.get("destination_ipv6_cidr_block"),
            destination_prefix_list_id=destinations.get("destination_prefix_list_id"),
            **given,
        )


def drop_endpoint_route(backend: Any, table_id: str, endpoint_id: str) -> None:
    """Remove a gateway endpoint's route, which nobody made by hand."""
    table = backend.route_tables.get(table_id)
    if table is not None:
        table._routes = {
            key: route
            for key, route in table._routes.items()
            if getattr(route.gateway, "id", None) != endpoint_id
        }
