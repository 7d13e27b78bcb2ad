"""The network of a stack: a VPC of its own, or one that is already there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, ip_network

import pulumi
import pulumi_aws as aws

from components.naming import PACKAGE, named

# EC2's limits for a subnet's prefix.
SMALLEST_SUBNET = 28
LARGEST_SUBNET = 16
MOST_ZONES = 4


class Nat(StrEnum):
    """How private subnets reach the internet."""

    NONE = "none"  # there are no private subnets
    SINGLE = "single"  # cheaper; the loss of its zone cuts off all
    PER_ZONE = "per-zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkArgs:
    """A VPC to make, or to adopt where `vpc_id` is given."""

    region: str
    """AWS region, for the S3 endpoint's name."""
    zones: Sequence[str] = ()
    """Availability zones of a VPC to make; at most four."""
    cidr: str = "10.64.0.0/16"
    """Address range of a VPC to make, /16 to /24."""
    nat: Nat = Nat.SINGLE
    """Way out of the private subnets."""
    vpc_id: str | None = None
    """Adopt this VPC; nothing in it is changed."""
    private_subnet_ids: Sequence[str] = ()
    """Private subnets of the adopted VPC; they need a way out and the tag ``kubernetes.io/role/internal-elb``."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags on every resource."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.vpc_id is not None and not self.private_subnet_ids:
            problems.append("private_subnet_ids: got none, expected those of the adopted VPC")
        if self.vpc_id is None and not 1 <= len(self.zones) <= MOST_ZONES:
            problems.append(f"zones: got {len(self.zones)}, expected 1 to {MOST_ZONES}")
        if problems:
            raise ValueError("; ".join(problems))


class Network(pulumi.ComponentResource):
    """Public subnets for NAT gateways and internet-facing load balancers, private ones for everything that runs.

    S3 is reached by a gateway endpoint, which is free, also from private subnets. The default security group lets
    nothing through, so that nothing works by accident. Machines need the routes, not only their subnet: make what runs
    here depend on this component.
    """

    vpc_id: pulumi.Output[str]
    """The VPC, made or adopted."""
    private_subnets: Mapping[str, pulumi.Output[str]]
    """Private subnet by zone; empty where the VPC was adopted, or has no NAT."""
    public_subnets: Mapping[str, pulumi.Output[str]]
    """Public subnet by zone; empty where the VPC was adopted."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:Network", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.private_subnets = {}
        self.public_subnets = {}
        if args.vpc_id is None:
            self._make()
        else:
            self.vpc_id = pulumi.Output.from_input(args.vpc_id)
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids()})

    def private_subnet_ids(self, zones: Sequence[str] | None = None) -> list[pulumi.Output[str]]:
        """The private subnets in `zones`, or all; in an adopted VPC all, since which zone they are in is not known."""
        if self._args.vpc_id is not None:
            return [pulumi.Output.from_input(subnet) for subnet in self._args.private_subnet_ids]
        return [subnet for zone, subnet in self.private_subnets.items() if zones is None or zone in zones]

    def _make(self) -> None:
        args = self._args
        vpc = aws.ec2.Vpc(
            f"{self._name}-vpc",
            cidr_block=args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._child,
        )
        self.vpc_id = vpc.id
        aws.ec2.DefaultSecurityGroup(
            f"{self._name}-default-firewall", vpc_id=vpc.id, tags=self._tags("default-firewall"), opts=self._child
        )
        plan = address_plan(args.cidr, args.zones)
        gateway = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=vpc.id, tags=self._tags("internet"), opts=self._child
        )
        public_table = self._route_table("public", vpc)
        aws.ec2.Route(
            f"{self._name}-public-internet",
            route_table_id=public_table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child,
        )
        self.public_subnets = {
            zone: self._subnet("public", zone, plan[zone].public, vpc, public_table) for zone in plan
        }
        tables = [public_table]
        if args.nat is not Nat.NONE:
            private_tables = self._private_tables(vpc, gateway)
            self.private_subnets = {
                zone: self._subnet("private", zone, plan[zone].private, vpc, private_tables[zone]) for zone in plan
            }
            tables += list(dict.fromkeys(private_tables.values()))
        aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags=self._tags("s3"),
            opts=self._child,
        )

    def _private_tables(self, vpc: aws.ec2.Vpc, gateway: aws.ec2.InternetGateway) -> dict[str, aws.ec2.RouteTable]:
        """The route table of each zone's private subnet: one for all behind a single NAT gateway."""
        if self._args.nat is Nat.PER_ZONE:
            return {zone: self._nat_table(f"private-{zone}", zone, vpc, gateway) for zone in self._args.zones}
        table = self._nat_table("private", self._args.zones[0], vpc, gateway)
        return dict.fromkeys(self._args.zones, table)

    def _nat_table(
        self, suffix: str, zone: str, vpc: aws.ec2.Vpc, gateway: aws.ec2.InternetGateway
    ) -> aws.ec2.RouteTable:
        # Neither address nor gateway can be made, or live, without the way to the internet.
        behind = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[gateway]))
        address = aws.ec2.Eip(
            f"{self._name}-{suffix}-address", domain="vpc", tags=self._tags(f"{suffix}-nat"), opts=behind
        )
        nat = aws.ec2.NatGateway(
            f"{self._name}-{suffix}-nat",
            allocation_id=address.id,
            subnet_id=self.public_subnets[zone],
            tags=self._tags(f"{suffix}-nat"),
            opts=behind,
        )
        table = self._route_table(suffix, vpc)
        aws.ec2.Route(
            f"{self._name}-{suffix}-internet",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.id,
            opts=self._child,
        )
        return table

    def _route_table(self, suffix: str, vpc: aws.ec2.Vpc) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._name}-{suffix}-routes", vpc_id=vpc.id, tags=self._tags(suffix), opts=self._child
        )

    def _subnet(
        self, kind: str, zone: str, cidr: str, vpc: aws.ec2.Vpc, table: aws.ec2.RouteTable
    ) -> pulumi.Output[str]:
        role = "kubernetes.io/role/internal-elb" if kind == "private" else "kubernetes.io/role/elb"
        subnet = aws.ec2.Subnet(
            f"{self._name}-{kind}-{zone}",
            vpc_id=vpc.id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags={**self._tags(f"{kind}-{zone}"), role: "1"},
            opts=self._child,
        )
        aws.ec2.RouteTableAssociation(
            f"{self._name}-{kind}-{zone}-routes", subnet_id=subnet.id, route_table_id=table.id, opts=self._child
        )
        return subnet.id

    def _tags(self, suffix: str) -> dict[str, str]:
        return named(self._args.tags, f"{self._name}-{suffix}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAddresses:
    """Address ranges of one zone's subnets."""

    private: str
    public: str


def address_plan(cidr: str, zones: Sequence[str]) -> dict[str, ZoneAddresses]:
    """Subnets for up to four zones: the lower half of `cidr` in four for private ones, small public ones above.

    Four slots whatever the number of zones, so that a zone added later moves nobody. Raises ValueError for a range
    that is too small or too large for EC2.
    """
    network = ip_network(cidr)
    if not isinstance(network, IPv4Network) or not LARGEST_SUBNET <= network.prefixlen <= SMALLEST_SUBNET - 4:
        raise ValueError(f"cidr: got {cidr}, expected an IPv4 range from /{LARGEST_SUBNET} to /{SMALLEST_SUBNET - 4}")
    lower, upper = network.subnets(prefixlen_diff=1)
    private = lower.subnets(prefixlen_diff=2)
    public = upper.subnets(new_prefix=min(network.prefixlen + 8, SMALLEST_SUBNET))
    return {
        zone: ZoneAddresses(private=str(inside), public=str(outside))
        for zone, inside, outside in zip(zones, private, public, strict=False)
    }
