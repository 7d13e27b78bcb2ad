"""GPU nodes: one managed node group of one market. A pool is a ladder of them: on-demand base, spot, fallback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.naming import PACKAGE, dns_label, named
from components.nodes import allocatable_disk_gib, launch_template, node_role
from components.scheduling import GPU_RESOURCE, GPU_TAINT, Taint, serving_labels
from slipway import labels
from slipway.catalog.types import Arch, InstanceType, Market
from slipway.labels import Rung
from slipway.planning.types import Capacity
from slipway.settings.models import Autoscaler

ACCELERATOR_LABEL = "k8s.amazonaws.com/accelerator"
# What Cluster Autoscaler reads from a group that has no node to look at (its AWS provider's README).
HINT = "k8s.io/cluster-autoscaler/node-template"

_GROUP_NAMES = {Rung.BASE: "on-demand", Rung.SPOT: "spot", Rung.FALLBACK: "fallback"}
_CAPACITY_TYPES = {Market.ON_DEMAND: "ON_DEMAND", Market.SPOT: "SPOT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSize:
    """Nodes of one step of the ladder. `minimum` of them run from the start."""

    rung: Rung
    minimum: int
    maximum: int

    @property
    def market(self) -> Market:
        """How its nodes are bought."""
        return Market.SPOT if self.rung is Rung.SPOT else Market.ON_DEMAND

    @property
    def name(self) -> str:
        """What the group is called after its pool."""
        return _GROUP_NAMES[self.rung]

    @property
    def grows(self) -> bool:
        """Whether there is anything for an autoscaler to decide."""
        return self.maximum > self.minimum


def group_sizes(capacity: Capacity) -> tuple[GroupSize, ...]:
    """The managed groups of a pool. EKS has no group of both markets, so each step of the ladder is a group.

    The fallback is on demand, starts empty, and has as much room as what it stands in for: an autoscaler fills it where
    spot is short, and never both beyond the capacity's maximum. Karpenter makes everything above the base itself.
    """
    base, above = capacity.guaranteed, capacity.maximum - capacity.guaranteed
    steady = GroupSize(rung=Rung.BASE, minimum=base, maximum=base)
    spot = GroupSize(rung=Rung.SPOT, minimum=capacity.minimum - base, maximum=above)
    fallback = GroupSize(rung=Rung.FALLBACK, minimum=0, maximum=above)
    if capacity.autoscaler is Autoscaler.KARPENTER:
        groups = (steady,)
    elif capacity.market is Market.SPOT:
        groups = (steady, spot, fallback) if capacity.autoscaler is not Autoscaler.NONE else (steady, spot)
    elif capacity.reservation:
        # Only as many machines as are reserved can start in the reservation: those above it stand outside.
        groups = (steady, fallback)
    else:
        groups = (GroupSize(rung=Rung.BASE, minimum=capacity.minimum, maximum=capacity.maximum),)
    return tuple(size for size in groups if size.maximum > 0)


def node_labels(kubernetes_version: str, instance_type: InstanceType, rung: Rung) -> dict[str, str]:
    """Labels of the nodes of one group.

    Without the accelerator's label Cluster Autoscaler takes a new node for a useless one until its device plugin runs,
    and adds another.
    """
    gpu = instance_type.gpu
    found = {**serving_labels(kubernetes_version, gpu=gpu is not None), labels.RUNG: rung.value}
    return {**found, ACCELERATOR_LABEL: f"nvidia-{dns_label(gpu.name)}"} if gpu else found


def scaling_hints(
    node_labels: Mapping[str, str], taint: Taint | None, instance_types: Sequence[InstanceType], disk_gib: int
) -> dict[str, str]:
    """Tags that tell Cluster Autoscaler what a node of an empty group will be.

    It can ask EKS for labels and taints, but for no resource beyond those of the machine type: a pod that asks for disk
    would never start an empty group.
    """
    hints = {f"{HINT}/label/{key}": value for key, value in node_labels.items()}
    if taint:
        hints[f"{HINT}/taint/{taint.key}"] = f"{taint.value}:{taint.effect}"
    if gpus := min(found.gpu_count for found in instance_types):
        hints[f"{HINT}/resources/{GPU_RESOURCE}"] = str(gpus)
    smallest = min(allocatable_disk_gib(found, root_disk_gib=disk_gib) for found in instance_types)
    return {**hints, f"{HINT}/resources/ephemeral-storage": f"{smallest}Gi"}


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
    autoscaled: bool = False
    """Whether Cluster Autoscaler decides how many nodes there are, between minimum and maximum."""
    reservation: str | None = None
    """Capacity Reservation the nodes start in."""
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
    broken is replaced. Where an autoscaler decides how many nodes there are, that number is left alone after creation.
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
            reservation=args.reservation,
            tags=args.tags,
            opts=child,
        )
        scaled = args.autoscaled and args.size.grows
        on_nodes = node_labels(args.kubernetes_version, first, args.size.rung)
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
            labels=on_nodes,
            taints=[self.taint.on_node_group()] if self.taint else None,
            tags=named(args.tags, name),
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    depends_on=list(role.attachments),
                    ignore_changes=["scalingConfig.desiredSize"] if scaled else None,
                ),
            ),
        )
        if scaled:
            hints = scaling_hints(on_nodes, self.taint, args.instance_types, args.disk_gib)
            self._tag_scaling_group(name, group, hints, child)
        self.node_group_name = group.node_group_name
        self.register_outputs({"node_group_name": self.node_group_name})

    def _tag_scaling_group(
        self, name: str, group: aws.eks.NodeGroup, hints: Mapping[str, str], opts: pulumi.ResourceOptions
    ) -> None:
        """EKS passes no tags of a node group on to the Auto Scaling group it makes (containers-roadmap 608)."""
        for key, value in hints.items():
            aws.autoscaling.Tag(
                f"{name}-hint-{dns_label(key.removeprefix(HINT))}",
                autoscaling_group_name=group.resources[0].autoscaling_groups[0].name,
                tag=aws.autoscaling.TagTagArgs(key=key, value=value, propagate_at_launch=False),
                opts=opts,
            )
