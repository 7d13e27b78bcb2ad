"""The EKS cluster: control plane, add-ons in their order, system nodes, default storage, and a provider to reach it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.iam import ASSUME_AND_TAG, service_role
from components.naming import PACKAGE, named
from components.nodes import gp3_iops, launch_template, node_role
from components.scheduling import POOL_LABEL, SYSTEM_POOL

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
LOG_RETENTION_DAYS = 30
ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
SYSTEM_NODES = 2
# System images are small: 50 GiB leave room for the logs of two dozen pods. Amazon's own default of 20 does not.
SYSTEM_DISK_GIB = 50
SYSTEM_THROUGHPUT_MIB_S = 125
DEFAULT_STORAGE_CLASS = "gp3-encrypted"

# Pods have no network and no identity before these; nodes without them never get ready.
ADDONS_BEFORE_NODES = ("eks-pod-identity-agent", "vpc-cni", "kube-proxy")
# These run as pods: without nodes they stay degraded.
ADDONS_AFTER_NODES = ("coredns", "aws-ebs-csi-driver", "metrics-server", "eks-node-monitoring-agent")
EFS_DRIVER = "aws-efs-csi-driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentity:
    """The AWS role an add-on's service account takes."""

    service_account: str
    policy: str


POD_IDENTITIES = {
    "vpc-cni": PodIdentity(service_account="aws-node", policy="AmazonEKS_CNI_Policy"),
    "aws-ebs-csi-driver": PodIdentity(
        service_account="ebs-csi-controller-sa", policy="service-role/AmazonEBSCSIDriverPolicyV2"
    ),
    EFS_DRIVER: PodIdentity(service_account="efs-csi-controller-sa", policy="service-role/AmazonEFSCSIDriverPolicy"),
}
ADDON_CONFIGURATION: Mapping[str, Mapping[str, Any]] = {
    # NetworkPolicies are silently ignored without this.
    "vpc-cni": {"enableNetworkPolicy": "true"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuClusterArgs:
    """One EKS cluster."""

    cluster_name: str
    """Its name in EKS."""
    region: str
    """AWS region, for the kubeconfig."""
    kubernetes_version: str
    """Kubernetes version, such as ``1.35``."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets in at least two zones, for the control plane and the system nodes."""
    system_instance_type: str
    """Machine of the system nodes: DNS, storage, metrics; no GPU."""
    storage_throughput_mib_s: int = 125
    """Throughput of volumes of the default StorageClass."""
    shared_files: bool = False
    """Whether pods can mount EFS; its driver runs on every node, so only where it is wanted."""
    api_access_cidrs: Sequence[str] = ()
    """Who may reach the API endpoint from the internet; empty: nobody, and Pulumi must run inside the VPC."""
    extended_support: bool = False
    """Pay for extended support rather than be upgraded by EKS when standard support ends."""
    admin_role_arns: Sequence[str] = ()
    """IAM roles with cluster administration, besides the one that creates the stack."""
    protect: bool = False
    """Refuse to delete the cluster, in Pulumi and in EKS."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags on every resource."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if len(self.subnet_ids) < 2:  # noqa: PLR2004 - EKS asks for two zones
            problems.append(f"subnet_ids: got {len(self.subnet_ids)}, expected at least 2")
        if any(cidr.endswith("/0") for cidr in self.api_access_cidrs):
            problems.append("api_access_cidrs: got the whole internet, expected ranges of your own")
        if problems:
            raise ValueError("; ".join(problems))


class GpuCluster(pulumi.ComponentResource):
    """An EKS cluster without GPU nodes: those come as `GpuNodeGroup`s.

    Access is by EKS access entries. EKS makes one for whoever creates the cluster: without it nothing could be deployed
    into the cluster, and taking it away later would replace the cluster, so it stays. Do not list that role again.
    Nodes are private; the API endpoint is private too, unless address ranges are given.
    """

    cluster_name: pulumi.Output[str]
    """The cluster's name in EKS."""
    security_group_id: pulumi.Output[str]
    """The security group EKS makes for the control plane and the nodes of managed node groups."""
    provider: kubernetes.Provider
    """Reaches the cluster with the credentials of whoever runs Pulumi, by ``aws eks get-token``."""
    kubeconfig: pulumi.Output[str]
    """A kubeconfig without any credential in it."""

    def __init__(self, name: str, args: GpuClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:GpuCluster", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._cluster = self._make_cluster()
        self.cluster_name = self._cluster.name
        self.security_group_id = self._cluster.vpc_config.cluster_security_group_id
        self._make_access()
        networking = [self._addon(addon, []) for addon in ADDONS_BEFORE_NODES]
        nodes = self._make_system_nodes(networking)
        wanted = (*ADDONS_AFTER_NODES, *((EFS_DRIVER,) if args.shared_files else ()))
        addons = {addon: self._addon(addon, [nodes]) for addon in wanted}
        self.kubeconfig = pulumi.Output.json_dumps(
            kubeconfig(
                name=self._cluster.name,
                region=args.region,
                endpoint=self._cluster.endpoint,
                certificate_authority=self._cluster.certificate_authority.data,
            )
        )
        self.provider = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            # Whatever changes in the kubeconfig, it is the same cluster: nothing in it is replaced.
            cluster_identifier=self._cluster.arn,
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[*networking, nodes, *addons.values()])
            ),
        )
        self._make_storage_class()
        self.register_outputs({"cluster_name": self.cluster_name, "kubeconfig": self.kubeconfig})

    def _make_cluster(self) -> aws.eks.Cluster:
        args = self._args
        logs = aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            # EKS writes to this very name, and would make the group itself, to be kept for ever.
            name=f"/aws/eks/{args.cluster_name}/cluster",
            retention_in_days=LOG_RETENTION_DAYS,
            tags=dict(args.tags),
            opts=self._child,
        )
        role = service_role(
            f"{self._name}-role",
            service="eks.amazonaws.com",
            policies=["AmazonEKSClusterPolicy"],
            description=f"EKS control plane of {args.cluster_name}",
            tags=args.tags,
            opts=self._child,
        )
        public = bool(args.api_access_cidrs)
        return aws.eks.Cluster(
            f"{self._name}-cluster",
            name=args.cluster_name,
            version=args.kubernetes_version,
            role_arn=role.arn,
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=True
            ),
            # All add-ons are managed ones, below.
            bootstrap_self_managed_addons=False,
            deletion_protection=args.protect,
            enabled_cluster_log_types=list(LOG_TYPES),
            # Extended support is dearer: where it is refused, EKS upgrades the cluster when standard support ends.
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(
                support_type="EXTENDED" if args.extended_support else "STANDARD"
            ),
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=list(args.subnet_ids),
                endpoint_private_access=True,
                endpoint_public_access=public,
                public_access_cidrs=list(args.api_access_cidrs) if public else None,
            ),
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[logs, *role.attachments], protect=args.protect)
            ),
        )

    def _make_access(self) -> None:
        for number, arn in enumerate(self._args.admin_role_arns):
            entry = aws.eks.AccessEntry(
                f"{self._name}-admin-{number}",
                cluster_name=self._cluster.name,
                principal_arn=arn,
                type="STANDARD",
                tags=dict(self._args.tags),
                opts=self._child,
            )
            aws.eks.AccessPolicyAssociation(
                f"{self._name}-admin-{number}-policy",
                cluster_name=self._cluster.name,
                principal_arn=entry.principal_arn,
                policy_arn=ADMIN_POLICY,
                access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                opts=self._child,
            )

    def _addon(self, addon: str, after: Sequence[pulumi.Resource]) -> aws.eks.Addon:
        """An add-on at the version EKS holds for the cluster's own; AWS keeps no list that could be read offline."""
        waits = list(after)
        identity = POD_IDENTITIES.get(addon)
        associations = None
        if identity:
            role = service_role(
                f"{self._name}-{addon}-role",
                service="pods.eks.amazonaws.com",
                actions=ASSUME_AND_TAG,
                policies=[identity.policy],
                description=f"{addon} in {self._args.cluster_name}",
                tags=self._args.tags,
                opts=self._child,
            )
            waits += role.attachments
            associations = [
                aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=identity.service_account)
            ]
        configuration = ADDON_CONFIGURATION.get(addon)
        return aws.eks.Addon(
            f"{self._name}-{addon}",
            addon_name=addon,
            cluster_name=self._cluster.name,
            configuration_values=json.dumps(configuration) if configuration else None,
            pod_identity_associations=associations,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="PRESERVE",
            tags=dict(self._args.tags),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=waits)),
        )

    def _make_system_nodes(self, networking: Sequence[pulumi.Resource]) -> aws.eks.NodeGroup:
        args = self._args
        role = node_role(f"{self._name}-system-role", tags=args.tags, opts=self._child)
        template = launch_template(
            f"{self._name}-system-template",
            disk_gib=SYSTEM_DISK_GIB,
            throughput_mib_s=SYSTEM_THROUGHPUT_MIB_S,
            local_disks=False,
            tags=args.tags,
            opts=self._child,
        )
        return aws.eks.NodeGroup(
            f"{self._name}-system",
            cluster_name=self._cluster.name,
            version=args.kubernetes_version,
            node_role_arn=role.arn,
            # One node in each of two zones: a volume, which cannot leave its zone, always finds a node there.
            subnet_ids=list(args.subnet_ids)[:SYSTEM_NODES],
            ami_type="AL2023_x86_64_STANDARD",
            capacity_type="ON_DEMAND",
            instance_types=[args.system_instance_type],
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=SYSTEM_NODES, max_size=SYSTEM_NODES, desired_size=SYSTEM_NODES
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels={POOL_LABEL: SYSTEM_POOL},
            tags=named(args.tags, f"{self._name}-system"),
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[*networking, *role.attachments])
            ),
        )

    def _make_storage_class(self) -> None:
        throughput = self._args.storage_throughput_mib_s
        kubernetes.storage.v1.StorageClass(
            f"{self._name}-storage-class",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=DEFAULT_STORAGE_CLASS, annotations={"storageclass.kubernetes.io/is-default-class": "true"}
            ),
            provisioner="ebs.csi.aws.com",
            parameters={
                "type": "gp3",
                "encrypted": "true",
                "throughput": str(throughput),
                "iops": str(gp3_iops(throughput)),
            },
            # A volume is made in the zone its pod is placed in.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            reclaim_policy="Delete",
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(provider=self.provider)),
        )


def kubeconfig(*, name: Any, region: str, endpoint: Any, certificate_authority: Any) -> dict[str, Any]:
    """Reaches a cluster with the caller's own AWS credentials, fetched at the moment of use; holds none itself."""
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "eks", "cluster": {"server": endpoint, "certificate-authority-data": certificate_authority}}
        ],
        "users": [{"name": "aws", "user": {"exec": command}}],
        "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "aws"}}],
        "current-context": "eks",
    }
