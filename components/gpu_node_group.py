"""GPU nodes: one managed node group of one market. A pool is an on-demand group with a spot group above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.naming import PACKAGE, named
from components.nodes import launch_template, node_role
from components.scheduling import GPU_TAINT, Taint, serving_labels
from slipway.catalog.types import Arch, InstanceType, Market
from slipway.planning.types import Capacity

_CAPACITY_TYPES = {Market.ON_DEMAND: "ON_DEMAND", Market.SPOT: "SPOT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSize:
    """Nodes of one market. `minimum` of them run from the start."""

    market: Market
    minimum: int
    maximum: int


def group_sizes(capacity: Capacity) -> tuple[GroupSize, ...]:
    """The groups of a pool: EKS has no group of both markets, so the on-demand base stands beside the spot nodes."""
    if capacity.market is Market.ON_DEMAND:
        return (GroupSize(market=Market.ON_DEMAND, minimum=capacity.minimum, maximum=capacity.maximum),)
    base = capacity.on_demand_base
    steady = GroupSize(market=Market.ON_DEMAND, minimum=base, maximum=base)
    spot = GroupSize(market=Market.SPOT, minimum=capacity.minimum - base, maximum=capacity.maximum - base)
    return tuple(size for size in (steady, spot) if size.maximum > 0)


def ami_type(instance_type: InstanceType) -> str:
    """EKS's image for a machine: Amazon Linux 2023, with NVIDIA's driver where there is a GPU."""
    arch = {Arch.AMD64: "x86_64", Arch.ARM64: "ARM_64"}[instance_type.arch]
    return f"AL2023_{arch}_{'NVIDIA' if instance_type.gpu else 'STANDARD'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNodeGroupArgs:
    """One managed node group."""

    cluster_name: pulumi.Input[str]
    """The cluster to join."""
    kubernetes_version: str
    """Version of the nodes; the cluster's own."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, in zones that offer the instance types."""
    instance_types: Sequence[InstanceType]
    """Types with the same GPU in the same number, preferred first."""
    size: GroupSize
    """Market and number of nodes."""
    disk_gib: int
    """Root disk; it holds the images."""
    throughput_mib_s: int
    """The root disk's throughput."""
    taint: Taint | None = GPU_TAINT
    """Keeps everything else off nodes with a GPU; None where the platform's own pods do not tolerate one."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags on every resource, machine and disk."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.instance_types:
            problems.append("instance_types: got none, expected at least one")
        if len({(found.gpu, found.gpu_count, found.arch) for found in self.instance_types}) > 1:
            names = ", ".join(found.name for found in self.instance_types)
            problems.append(f"instance_types: got {names}, expected the same GPUs in each")
        if not 0 <= self.size.minimum <= self.size.maximum or self.size.maximum < 1:
            problems.append(f"size: got {self.size.minimum} to {self.size.maximum}, expected 0 <= minimum <= maximum")
        if problems:
            raise ValueError("; ".join(problems))


class GpuNodeGroup(pulumi.ComponentResource):
    """Nodes of one market and one kind of GPU.

    EKS drains a spot node when AWS wants it back, and starts its successor first where it can. A node whose GPU is
    broken is replaced. How many nodes there are is left alone after creation: that is the autoscaler's business.
    """

    node_group_name: pulumi.Output[str]
    """The node group's name in EKS."""
    taint: Taint | None
    """The nodes' taint; its toleration lets a pod in."""

    def __init__(self, name: str, args: GpuNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:GpuNodeGroup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        first = args.instance_types[0]
        self.taint = args.taint if first.gpu else None
        role = node_role(f"{name}-role", tags=args.tags, opts=child)
        template = launch_template(
            f"{name}-template",
            disk_gib=args.disk_gib,
            throughput_mib_s=args.throughput_mib_s,
            local_disks=any(found.local_nvme_gb for found in args.instance_types),
            tags=args.tags,
            opts=child,
        )
        group = aws.eks.NodeGroup(
            f"{name}-nodes",
            cluster_name=args.cluster_name,
            version=args.kubernetes_version,
            node_role_arn=role.arn,
            subnet_ids=list(args.subnet_ids),
            ami_type=ami_type(first),
            capacity_type=_CAPACITY_TYPES[args.size.market],
            instance_types=[found.name for found in args.instance_types],
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=args.size.minimum, max_size=args.size.maximum, desired_size=args.size.minimum
            ),
            # GPU quota is tight: take a node away before its successor comes.
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1, update_strategy="MINIMAL"),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels=serving_labels(args.kubernetes_version, gpu=first.gpu is not None),
            taints=[self.taint.on_node_group()] if self.taint else None,
            tags=named(args.tags, name),
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(depends_on=list(role.attachments), ignore_changes=["scalingConfig.desiredSize"]),
            ),
        )
        self.node_group_name = group.node_group_name
        self.register_outputs({"node_group_name": self.node_group_name})
