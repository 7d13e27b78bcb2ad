"""What all EKS nodes of a stack share: a launch template with an encrypted disk and guarded instance metadata."""

import base64
from collections.abc import Mapping
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pulumi
import pulumi_aws as aws
import yaml

from components.iam import ServiceRole, service_role
from components.naming import named
from slipway.catalog.types import InstanceType

ROOT_DEVICE = "/dev/xvda"
GP3_IOPS = 3000
# gp3 gives at most 0.25 MiB/s for each provisioned IOPS (EBS user guide).
IOPS_PER_MIB_S = 4
BYTES_PER_GIB = 1024**3
# The kubelet evicts pods when a tenth of the disk is left, and EKS reserves 1 GiB (nodeadm's kubelet configuration).
EVICTION_SHARE = 0.1
RESERVED_DISK_GIB = 1
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore")


def node_role(name: str, *, tags: Mapping[str, str], opts: pulumi.ResourceOptions) -> ServiceRole:
    """A node's own role: join the cluster, pull images, be reached by Session Manager. Networking has a role apart."""
    return service_role(
        name,
        service="ec2.amazonaws.com",
        policies=NODE_POLICIES,
        description="EKS nodes: join, pull images, Session Manager",
        tags=tags,
        opts=opts,
    )


def gp3_iops(throughput_mib_s: int) -> int:
    """IOPS a gp3 volume needs for `throughput_mib_s`; the first 3000 are free."""
    return max(GP3_IOPS, throughput_mib_s * IOPS_PER_MIB_S)


def allocatable_disk_gib(instance_type: InstanceType, *, root_disk_gib: int) -> int:
    """Disk for images and pods on one node: its NVMe disks joined, or the root disk where it has none."""
    nvme_gib = instance_type.local_nvme_gb * 1e9 / BYTES_PER_GIB
    return int((nvme_gib or root_disk_gib) * (1 - EVICTION_SHARE)) - RESERVED_DISK_GIB


def node_user_data(*, local_disks: bool) -> str:
    """What EKS merges into its own user data, as MIME multipart text.

    `local_disks` joins the machine's NVMe disks into one that holds images and pods' directories; a machine without any
    ignores it.
    """
    instance = {"localStorage": {"strategy": "RAID0"}} if local_disks else {}
    config = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": {"instance": instance}}
    # A fixed boundary: user data that differs on every run would replace every node.
    message = MIMEMultipart("mixed", boundary="slipway-node-config")
    part = MIMEText("", "plain")
    del part["Content-Type"], part["MIME-Version"], part["Content-Transfer-Encoding"]
    part["Content-Type"] = "application/node.eks.aws"
    part.set_payload(yaml.safe_dump(config, sort_keys=False))
    message.attach(part)
    return message.as_string()


def _reserved(reservation: str) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs:
    target = aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
        capacity_reservation_id=reservation
    )
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(capacity_reservation_target=target)


def launch_template(
    name: str,
    *,
    disk_gib: int,
    throughput_mib_s: int,
    local_disks: bool,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
    reservation: str | None = None,
) -> aws.ec2.LaunchTemplate:
    """A launch template for a managed node group, whose machines start in the Capacity Reservation `reservation`.

    It names no machine image, instance type, role or security group: EKS brings its own, and its security group is
    only added when the template has none.
    """
    own_tags = named(tags, name)
    user_data = base64.b64encode(node_user_data(local_disks=True).encode()).decode() if local_disks else None
    return aws.ec2.LaunchTemplate(
        name,
        update_default_version=True,
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name=ROOT_DEVICE,
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                    volume_type="gp3",
                    volume_size=disk_gib,
                    throughput=throughput_mib_s,
                    iops=gp3_iops(throughput_mib_s),
                    encrypted="true",
                    delete_on_termination="true",
                ),
            )
        ],
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            http_put_response_hop_limit=1,  # pods never reach the node's credentials
            instance_metadata_tags="disabled",
        ),
        user_data=user_data,
        capacity_reservation_specification=_reserved(reservation) if reservation else None,
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=own_tags)
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=own_tags,
        opts=opts,
    )
