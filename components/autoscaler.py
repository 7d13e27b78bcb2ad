"""Cluster Autoscaler: adds nodes to managed groups when pods find no room, and takes empty ones away."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.gpu_node_group import GroupSize
from components.iam import ASSUME_AND_TAG, pod_identity, service_role
from components.naming import PACKAGE
from components.releases import pinned_chart, release
from components.scheduling import POOL_LABEL, SYSTEM_POOL
from slipway import catalog
from slipway.labels import Rung

PIN = "cluster-autoscaler"
NAMESPACE = "kube-system"
# Release, its objects and their service account.
NAME = "cluster-autoscaler"
TIMEOUT_SECONDS = 600
# A GPU node boots, joins and starts its device plugin in 3 to 5 minutes; then the next step of the ladder is tried.
NODE_PATIENCE = "10m"
PRIORITIES: Mapping[Rung, int] = {Rung.BASE: 30, Rung.SPOT: 20, Rung.FALLBACK: 10}
# A cluster of a few dozen nodes and a few hundred pods (Cluster Autoscaler FAQ: memory grows with both).
MEMORY = "600Mi"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAutoscalerArgs:
    """One Cluster Autoscaler."""

    cluster_name: str
    """The cluster's name in EKS: its node groups are found, and its rights end, by a tag with this name."""
    region: str
    """AWS region."""
    kubernetes_version: str
    """The cluster's version; the program simulates that version's scheduler."""
    pools: Mapping[str, Sequence[GroupSize]]
    """The groups of each pool, by the pool's name, which the groups' names begin with."""
    nodes_max: int
    """Nodes of the whole cluster at most, system nodes included."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags on every AWS resource."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.kubernetes_version not in catalog.pins()[PIN].images:
            known = ", ".join(catalog.pins()[PIN].images)
            problems.append(f"kubernetes_version: got {self.kubernetes_version}, expected one of {known}")
        if self.nodes_max < 1:
            problems.append(f"nodes_max: got {self.nodes_max}, expected at least 1")
        if problems:
            raise ValueError("; ".join(problems))


class ClusterAutoscaler(pulumi.ComponentResource):
    """Cluster Autoscaler on the system nodes, with rights over the Auto Scaling groups of its own cluster only.

    It reacts to pods that find no room; how many pods there are is not its business.
    """

    def __init__(self, name: str, args: ClusterAutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:ClusterAutoscaler", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = service_role(
            f"{name}-role",
            service="pods.eks.amazonaws.com",
            actions=ASSUME_AND_TAG,
            policies=[],
            description=f"Cluster Autoscaler of {args.cluster_name}",
            tags=args.tags,
            opts=child,
        )
        rights = aws.iam.RolePolicy(
            f"{name}-rights", role=role.role.name, policy=json.dumps(policy(args.cluster_name)), opts=child
        )
        identity = pod_identity(
            f"{name}-identity",
            cluster_name=args.cluster_name,
            namespace=NAMESPACE,
            service_account=NAME,
            role_arn=role.arn,
            tags=args.tags,
            opts=child,
        )
        release(
            f"{name}-release",
            chart=pinned_chart(PIN),
            namespace=NAMESPACE,
            values=values(args),
            timeout_seconds=TIMEOUT_SECONDS,
            release_name=NAME,
            # A pod takes its identity when it starts: one that starts before it has none until it is restarted.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[rights, identity])),
        )
        self.register_outputs({"namespace": NAMESPACE})


def policy(cluster_name: str) -> dict[str, Any]:
    """Look at everything, as AWS allows no narrower reading; change only the cluster's own groups."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Look",
                "Effect": "Allow",
                "Action": [
                    "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeAutoScalingInstances",
                    "autoscaling:DescribeLaunchConfigurations",
                    # How it learns at once that spot is short, instead of waiting for a node that never comes.
                    "autoscaling:DescribeScalingActivities",
                    "autoscaling:DescribeTags",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeLaunchTemplateVersions",
                    "ec2:GetInstanceTypesFromInstanceRequirements",
                ],
                "Resource": "*",
            },
            {
                "Sid": "LookAtNodeGroups",
                "Effect": "Allow",
                "Action": "eks:DescribeNodegroup",
                "Resource": f"arn:aws:eks:*:*:nodegroup/{cluster_name}/*/*",
            },
            {
                "Sid": "ScaleOwnGroups",
                "Effect": "Allow",
                "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster_name}": "owned"},
                },
            },
        ],
    }


def values(args: ClusterAutoscalerArgs) -> Mapping[str, Any]:
    """Values of the project's own chart."""
    _, _, tag = catalog.pins()[PIN].images[args.kubernetes_version].rpartition(":")
    return {
        "fullnameOverride": NAME,
        "cloudProvider": "aws",
        "awsRegion": args.region,
        # EKS puts the tags this looks for on the groups it makes.
        "autoDiscovery": {"clusterName": args.cluster_name},
        "image": {"tag": tag},
        "rbac": {"serviceAccount": {"name": NAME}},
        "nodeSelector": {POOL_LABEL: SYSTEM_POOL},
        "resources": {"requests": {"cpu": "100m", "memory": MEMORY}, "limits": {"memory": MEMORY}},
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containerSecurityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "extraArgs": {
            "expander": "priority",
            "max-node-provision-time": NODE_PATIENCE,
            "max-nodes-total": args.nodes_max,
            # A server is never moved to save a node: its successor would load the weights again.
            "skip-nodes-with-local-storage": True,
            "scale-down-unneeded-time": "10m",
        },
        "expanderPriorities": priorities(args.pools),
    }


def priorities(pools: Mapping[str, Sequence[GroupSize]]) -> dict[str, list[str]]:
    """Names of Auto Scaling groups by priority, highest first. EKS calls them ``eks-``, the node group, an id."""
    found: dict[str, list[str]] = {}
    for pool, sizes in pools.items():
        for size in sizes:
            found.setdefault(str(PRIORITIES[size.rung]), []).append(f"^eks-{pool}-{size.name}-.*")
    return found
