"""Karpenter: makes nodes for pods that find no room, spot where there is any, and takes empty ones away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.iam import ASSUME_AND_TAG, pod_identity, service_role
from components.naming import PACKAGE, named
from components.nodes import ROOT_DEVICE, gp3_iops, node_role
from components.releases import pinned_chart, release
from components.scheduling import GPU_RESOURCE, POOL_LABEL, SERVING_POOL, SYSTEM_POOL, Taint, serving_labels
from slipway import catalog
from slipway.catalog.types import InstanceType, Market

NAMESPACE = "kube-system"
# Release, its objects and their service account.
NAME = "karpenter"
TIMEOUT_SECONDS = 600
QUEUE_RETENTION_SECONDS = 300
EMPTY_FOR = "10m"
NODE_CLASS_GROUP = "karpenter.k8s.aws"

# What takes a machine away, or makes it useless, and is known beforehand; source and detail type of EC2's events.
INTERRUPTIONS: Mapping[str, tuple[str, str]] = {
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
    "maintenance": ("aws.health", "AWS Health Event"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KarpenterArgs:
    """One Karpenter with one pool of serving nodes."""

    cluster_name: str
    """The cluster's name in EKS; Karpenter's rights end at machines with its tag."""
    region: str
    """AWS region."""
    kubernetes_version: str
    """The cluster's version."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets for the nodes."""
    security_group_id: pulumi.Input[str]
    """The cluster's own security group: control plane and nodes talk inside it."""
    instance_types: Sequence[InstanceType]
    """Types with the same GPU in the same number."""
    market: Market
    """On demand only, or spot with on-demand where spot is short."""
    nodes_max: int
    """Nodes at most, beside those of managed groups."""
    disk_gib: int
    """Root disk; it holds the images."""
    throughput_mib_s: int
    """The root disk's throughput."""
    taint: Taint | None
    """Keeps everything else off nodes with a GPU."""
    reservation: str | None = None
    """Capacity Reservation to fill first."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags on every resource, machine and disk."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.instance_types:
            problems.append("instance_types: got none, expected at least one")
        if self.nodes_max < 1:
            problems.append(f"nodes_max: got {self.nodes_max}, expected at least 1")
        if problems:
            raise ValueError("; ".join(problems))


class Karpenter(pulumi.ComponentResource):
    """Karpenter on the system nodes, its interruption queue, and one NodePool.

    It may only start machines that carry the cluster's tag, with the one node role made here, and end only those. The
    instance profile is made here too, so that it needs no right to write to IAM.
    """

    def __init__(self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:Karpenter", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        nodes = node_role(f"{name}-node-role", tags=args.tags, opts=self._child)
        profile = aws.iam.InstanceProfile(
            f"{name}-profile", role=nodes.role.name, tags=dict(args.tags), opts=self._child
        )
        entry = aws.eks.AccessEntry(
            f"{name}-node-access",
            cluster_name=args.cluster_name,
            principal_arn=nodes.arn,
            type="EC2_LINUX",
            tags=dict(args.tags),
            opts=self._child,
        )
        queue, heard = self._make_queue()
        identity = self._make_identity(nodes.arn, profile.arn, queue.arn)
        controller = self._make_controller(queue, [*heard, *identity])
        self._make_pool(profile, [controller, entry, *nodes.attachments])
        self.register_outputs({"namespace": NAMESPACE})

    def _make_queue(self) -> tuple[aws.sqs.Queue, list[pulumi.Resource]]:
        """The queue that Karpenter hears of interruptions by, and what fills it."""
        tags = dict(self._args.tags)
        queue = aws.sqs.Queue(
            f"{self._name}-interruptions",
            message_retention_seconds=QUEUE_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=tags,
            opts=self._child,
        )
        rules = {
            what: aws.cloudwatch.EventRule(
                f"{self._name}-{what}",
                description=f"{detail}, for Karpenter in {self._args.cluster_name}",
                event_pattern=pulumi.Output.json_dumps({"source": [source], "detail-type": [detail]}),
                tags=tags,
                opts=self._child,
            )
            for what, (source, detail) in INTERRUPTIONS.items()
        }
        policy = aws.sqs.QueuePolicy(
            f"{self._name}-queue-policy",
            queue_url=queue.url,
            policy=pulumi.Output.json_dumps(queue_policy(queue.arn, [rule.arn for rule in rules.values()])),
            opts=self._child,
        )
        targets = [
            aws.cloudwatch.EventTarget(f"{self._name}-{what}-target", rule=rule.name, arn=queue.arn, opts=self._child)
            for what, rule in rules.items()
        ]
        return queue, [policy, *targets]

    def _make_identity(
        self, node_role_arn: pulumi.Output[str], profile_arn: pulumi.Output[str], queue_arn: pulumi.Output[str]
    ) -> list[pulumi.Resource]:
        args = self._args
        role = service_role(
            f"{self._name}-role",
            service="pods.eks.amazonaws.com",
            actions=ASSUME_AND_TAG,
            policies=[],
            description=f"Karpenter of {args.cluster_name}",
            tags=args.tags,
            opts=self._child,
        )
        document = controller_policy(
            cluster_name=args.cluster_name,
            region=args.region,
            node_role_arn=node_role_arn,
            profile_arn=profile_arn,
            queue_arn=queue_arn,
        )
        rights = aws.iam.RolePolicy(
            f"{self._name}-rights",
            role=role.role.name,
            policy=pulumi.Output.json_dumps(document),
            opts=self._child,
        )
        identity = pod_identity(
            f"{self._name}-identity",
            cluster_name=args.cluster_name,
            namespace=NAMESPACE,
            service_account=NAME,
            role_arn=role.arn,
            tags=args.tags,
            opts=self._child,
        )
        return [rights, identity]

    def _make_controller(self, queue: aws.sqs.Queue, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        """The definitions as a release of their own: Helm never upgrades those inside a chart."""
        definitions = release(
            f"{self._name}-definitions",
            chart=pinned_chart("karpenter-crd"),
            namespace=NAMESPACE,
            values={},
            timeout_seconds=TIMEOUT_SECONDS,
            release_name=f"{NAME}-crd",
            opts=self._child,
        )
        return release(
            f"{self._name}-release",
            chart=pinned_chart("karpenter"),
            namespace=NAMESPACE,
            values=values(self._args.cluster_name, self._args.region, queue.name),
            timeout_seconds=TIMEOUT_SECONDS,
            release_name=NAME,
            skip_crds=True,
            # A pod takes its identity when it starts: one that starts before it has none until it is restarted.
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[definitions, *after])),
        )

    def _make_pool(self, profile: aws.iam.InstanceProfile, after: Sequence[pulumi.Resource]) -> None:
        """Deleted before Karpenter, which has to end the machines; the class goes when its last machine has gone."""
        node_class = kubernetes.apiextensions.CustomResource(
            f"{self._name}-node-class",
            api_version=f"{NODE_CLASS_GROUP}/v1",
            kind="EC2NodeClass",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=SERVING_POOL),
            spec=node_class_spec(self._args, profile.name),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(after))),
        )
        kubernetes.apiextensions.CustomResource(
            f"{self._name}-pool",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=SERVING_POOL),
            spec=node_pool_spec(self._args),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[node_class])),
        )


def values(cluster_name: str, region: str, queue_name: pulumi.Input[str]) -> Mapping[str, Any]:
    """Values of the project's own chart. Two replicas, one on each system node, are the chart's own."""
    return {
        "serviceAccount": {"name": NAME},
        "settings": {"clusterName": cluster_name, "interruptionQueue": queue_name},
        "nodeSelector": {POOL_LABEL: SYSTEM_POOL},
        "controller": {
            # It would ask instance metadata otherwise, which pods do not reach.
            "env": [{"name": "AWS_REGION", "value": region}],
            # The chart leaves them out; a few dozen nodes and a few hundred pods stay well below.
            "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        },
    }


def node_pool_spec(args: KarpenterArgs) -> dict[str, Any]:
    """The pool: which machines, bought how, how many at most, and when one goes.

    Karpenter takes reserved before spot before on-demand. Only empty nodes go: a server that loads or serves is never
    moved. Nodes have no age at which they are replaced; a new image in the catalogue replaces them, one at a time.
    """
    gpu = args.instance_types[0].gpu is not None
    template: dict[str, Any] = {
        "nodeClassRef": {"group": NODE_CLASS_GROUP, "kind": "EC2NodeClass", "name": SERVING_POOL},
        "requirements": [
            _one_of("karpenter.sh/capacity-type", capacity_types(args)),
            _one_of("node.kubernetes.io/instance-type", [found.name for found in args.instance_types]),
            _one_of("kubernetes.io/arch", [args.instance_types[0].arch.value]),
        ],
        "expireAfter": "Never",
    }
    if args.taint:
        template["taints"] = [{"key": args.taint.key, "value": args.taint.value, "effect": args.taint.effect}]
    return {
        "template": {"metadata": {"labels": serving_labels(args.kubernetes_version, gpu=gpu)}, "spec": template},
        "limits": limits(args.instance_types, args.nodes_max),
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": EMPTY_FOR,
            "budgets": [{"nodes": "1"}],
        },
    }


def capacity_types(args: KarpenterArgs) -> list[str]:
    """How machines may be bought, in Karpenter's words and order."""
    bought = ["spot", "on-demand"] if args.market is Market.SPOT else ["on-demand"]
    return ["reserved", *bought] if args.reservation else bought


def limits(instance_types: Sequence[InstanceType], nodes_max: int) -> dict[str, str]:
    """What all nodes of the pool may have together: GPUs, or cores of the largest type where there is none."""
    if gpus := max(found.gpu_count for found in instance_types):
        return {GPU_RESOURCE: str(nodes_max * gpus)}
    return {"cpu": str(nodes_max * max(found.vcpus for found in instance_types))}


def node_class_spec(args: KarpenterArgs, profile_name: pulumi.Input[str]) -> dict[str, Any]:
    """The machines: image, network, disks, guarded metadata."""
    spec: dict[str, Any] = {
        # A pinned release: with `latest` every node would be replaced on the day AWS publishes an image.
        "amiSelectorTerms": [{"alias": f"al2023@{catalog.pins()['eks-node-image'].version}"}],
        "instanceProfile": profile_name,
        "subnetSelectorTerms": [{"id": subnet} for subnet in args.subnet_ids],
        "securityGroupSelectorTerms": [{"id": args.security_group_id}],
        "associatePublicIPAddress": False,
        "blockDeviceMappings": [
            {
                "deviceName": ROOT_DEVICE,
                "rootVolume": True,
                "ebs": {
                    "volumeType": "gp3",
                    "volumeSize": f"{args.disk_gib}Gi",
                    "throughput": args.throughput_mib_s,
                    "iops": gp3_iops(args.throughput_mib_s),
                    "encrypted": True,
                    "deleteOnTermination": True,
                },
            }
        ],
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "tags": named(args.tags, f"karpenter-{SERVING_POOL}"),
    }
    if any(found.local_nvme_gb for found in args.instance_types):
        spec["instanceStorePolicy"] = "RAID0"
    if args.reservation:
        spec["capacityReservationSelectorTerms"] = [{"id": args.reservation}]
    return spec


def queue_policy(queue_arn: Any, rule_arns: Sequence[Any]) -> dict[str, Any]:
    """Only the rules made here write to the queue, and nobody talks to it in clear."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OwnRules",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": list(rule_arns)}},
            },
            {
                "Sid": "NothingInClear",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:*",
                "Resource": queue_arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }


def controller_policy(
    *, cluster_name: str, region: str, node_role_arn: Any, profile_arn: Any, queue_arn: Any
) -> dict[str, Any]:
    """What Karpenter calls (its pkg/aws/sdk.go), narrowed to machines of this cluster."""
    cluster_tag = f"kubernetes.io/cluster/{cluster_name}"
    made = [f"arn:aws:ec2:{region}:*:{kind}/*" for kind in ("fleet", "instance", "volume", "network-interface")]
    made += [f"arn:aws:ec2:{region}:*:{kind}/*" for kind in ("launch-template", "spot-instances-request")]
    asked = {f"aws:RequestTag/{cluster_tag}": "owned", "aws:RequestTag/eks:eks-cluster-name": cluster_name}
    owned = {f"aws:ResourceTag/{cluster_tag}": "owned"}
    pool = "karpenter.sh/nodepool"
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow(
                "StartFrom",
                ["ec2:RunInstances", "ec2:CreateFleet"],
                [
                    f"arn:aws:ec2:{region}::image/*",
                    f"arn:aws:ec2:{region}::snapshot/*",
                    f"arn:aws:ec2:{region}:*:security-group/*",
                    f"arn:aws:ec2:{region}:*:subnet/*",
                    f"arn:aws:ec2:{region}:*:capacity-reservation/*",
                ],
            ),
            _allow(
                "StartByOwnTemplates",
                ["ec2:RunInstances", "ec2:CreateFleet"],
                f"arn:aws:ec2:{region}:*:launch-template/*",
                StringEquals=owned,
                StringLike={f"aws:ResourceTag/{pool}": "*"},
            ),
            _allow(
                "StartTagged",
                ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"],
                made,
                StringEquals=asked,
                StringLike={f"aws:RequestTag/{pool}": "*"},
            ),
            _allow(
                "TagWhatIsStarted",
                "ec2:CreateTags",
                made,
                StringEquals={**asked, "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]},
                StringLike={f"aws:RequestTag/{pool}": "*"},
            ),
            _allow(
                "NameOwnMachines",
                "ec2:CreateTags",
                f"arn:aws:ec2:{region}:*:instance/*",
                StringEquals=owned,
                StringLike={f"aws:ResourceTag/{pool}": "*"},
                StringEqualsIfExists={"aws:RequestTag/eks:eks-cluster-name": cluster_name},
                **{
                    "ForAllValues:StringEquals": {
                        "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
                    }
                },
            ),
            _allow(
                "EndOwn",
                ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
                [f"arn:aws:ec2:{region}:*:instance/*", f"arn:aws:ec2:{region}:*:launch-template/*"],
                StringEquals=owned,
                StringLike={f"aws:ResourceTag/{pool}": "*"},
            ),
            _allow(
                "Look",
                [
                    "ec2:DescribeCapacityReservations",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstanceStatus",
                    "ec2:DescribeInstanceTypeOfferings",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeInstances",
                    "ec2:DescribeLaunchTemplates",
                    "ec2:DescribePlacementGroups",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSpotPriceHistory",
                    "ec2:DescribeSubnets",
                ],
                "*",
                StringEquals={"aws:RequestedRegion": region},
            ),
            _allow("LookUpImages", "ssm:GetParameter", f"arn:aws:ssm:{region}::parameter/aws/service/*"),
            # Neither can be narrowed: price lists have no resources, and profiles are listed as a whole.
            _allow("LookUpPrices", ["pricing:GetProducts", "iam:ListInstanceProfiles"], "*"),
            _allow("HearInterruptions", ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], queue_arn),
            _allow("UseNodeProfile", "iam:GetInstanceProfile", profile_arn),
            _allow(
                "GiveNodeRole",
                "iam:PassRole",
                node_role_arn,
                StringEquals={"iam:PassedToService": "ec2.amazonaws.com"},
            ),
            _allow("FindCluster", "eks:DescribeCluster", f"arn:aws:eks:{region}:*:cluster/{cluster_name}"),
        ],
    }


def _allow(sid: str, actions: Any, resources: Any, **conditions: Any) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": conditions} if conditions else statement


def _one_of(key: str, allowed: Sequence[str]) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(allowed)}
