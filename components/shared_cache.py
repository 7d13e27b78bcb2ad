"""One file system for the weights of all replicas: EFS, in every zone, for the cluster's nodes only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE, named

STORAGE_CLASS = "efs-shared"
PROVISIONER = "efs.csi.aws.com"
NFS_PORT = 2049


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCacheArgs:
    """A file system and who may use it."""

    vpc_id: pulumi.Input[str]
    """The VPC of the nodes."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, one in each zone: EFS takes one mount target a zone."""
    client_security_group_id: pulumi.Input[str]
    """The security group of the nodes."""
    user: tuple[int, int]
    """uid and gid of the servers: whoever mounts a directory acts as this user, and nobody else can read it."""
    protect: bool = False
    """Refuse to delete the file system."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags on every AWS resource."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.subnet_ids:
            problems.append("subnet_ids: got none, expected one in each zone")
        if min(self.user) < 0:
            problems.append(f"user: got {self.user[0]}:{self.user[1]}, expected no negative number")
        if problems:
            raise ValueError("; ".join(problems))


class SharedCache(pulumi.ComponentResource):
    """An encrypted EFS file system, its mount targets and its StorageClass; a claim becomes a directory of its own.

    Give it a Kubernetes provider of the cluster, which must have the EFS CSI driver. The driver encrypts all traffic
    (TLS) unless told otherwise.
    """

    storage_class: str
    """Name of the StorageClass to claim from."""
    file_system_id: pulumi.Output[str]
    """The file system."""

    def __init__(self, name: str, args: SharedCacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:SharedCache", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        files = self._make_file_system()
        targets = self._make_mount_targets(files)
        self._make_storage_class(files, targets)
        self.storage_class = STORAGE_CLASS
        self.file_system_id = files.id
        self.register_outputs({"storage_class": STORAGE_CLASS, "file_system_id": files.id})

    def _make_file_system(self) -> aws.efs.FileSystem:
        args = self._args
        # No lifecycle policy: weights that wait for the next node must not move to a class that is charged per read.
        files = aws.efs.FileSystem(
            f"{self._name}-files",
            encrypted=True,
            performance_mode="generalPurpose",
            # Bursting would throttle: its rate follows the size of what is stored, and weights are read in bursts.
            throughput_mode="elastic",
            tags=named(args.tags, f"{self._name}-files"),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(protect=args.protect)),
        )
        aws.efs.BackupPolicy(
            f"{self._name}-backup",
            file_system_id=files.id,
            # Weights are copies of what is published, and pinned by revision: a backup would cost without saving any.
            backup_policy=aws.efs.BackupPolicyBackupPolicyArgs(status="DISABLED"),
            opts=self._child,
        )
        return files

    def _make_mount_targets(self, files: aws.efs.FileSystem) -> list[aws.efs.MountTarget]:
        args = self._args
        firewall = aws.ec2.SecurityGroup(
            f"{self._name}-firewall",
            vpc_id=args.vpc_id,
            description="NFS from the cluster's nodes to the shared model cache",
            # Rules within the group are the only ones there are: what somebody adds by hand is taken away again.
            ingress=[
                aws.ec2.SecurityGroupIngressArgs(
                    protocol="tcp",
                    from_port=NFS_PORT,
                    to_port=NFS_PORT,
                    security_groups=[args.client_security_group_id],
                    description="NFS from the cluster's nodes",
                )
            ],
            egress=[],
            tags=named(args.tags, f"{self._name}-firewall"),
            opts=self._child,
        )
        return [
            aws.efs.MountTarget(
                f"{self._name}-target-{number}",
                file_system_id=files.id,
                subnet_id=subnet,
                security_groups=[firewall.id],
                opts=self._child,
            )
            for number, subnet in enumerate(args.subnet_ids)
        ]

    def _make_storage_class(self, files: aws.efs.FileSystem, targets: Sequence[aws.efs.MountTarget]) -> None:
        user, group = self._args.user
        kubernetes.storage.v1.StorageClass(
            f"{self._name}-storage-class",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=STORAGE_CLASS),
            provisioner=PROVISIONER,
            parameters={
                # An access point for each claim: it shows the pod one directory, and makes it act as this user.
                "provisioningMode": "efs-ap",
                "fileSystemId": files.id,
                "directoryPerms": "700",
                "uid": str(user),
                "gid": str(group),
            },
            # A file system is in every zone: there is no pod to wait for.
            volume_binding_mode="Immediate",
            reclaim_policy="Delete",
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(targets))),
        )
