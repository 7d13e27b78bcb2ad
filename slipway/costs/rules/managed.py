"""Managed services around the machines: control plane, secrets, keys, logs, alarms, shared storage."""

from collections.abc import Iterator

from slipway.catalog.types import Service
from slipway.costs.pricing import Category, Count, Pricing, rule
from slipway.costs.rates import Support
from slipway.costs.rules.kubernetes import efs_claims
from slipway.costs.types import LineItem, Unpriced
from slipway.engine.graph import Resource
from slipway.engine.reading import at, leaving, sequence, text

# Add-ons whose charge is only that of the pods they run; others may be sold by the vendor or bill by use.
_FREE_ADDONS = frozenset(
    {
        "vpc-cni",
        "coredns",
        "kube-proxy",
        "eks-pod-identity-agent",
        "aws-ebs-csi-driver",
        "aws-efs-csi-driver",
        "aws-mountpoint-s3-csi-driver",
        "snapshot-controller",
        "metrics-server",
        "eks-node-monitoring-agent",
    }
)


@rule("aws:eks/cluster:Cluster")
def eks_cluster(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """The control plane: standard support, or the extended fee once the version's standard support is over."""
    version = text(at(resource.inputs, "version"))
    yield from _control_plane(resource, pricing, version)
    if at(resource.inputs, "computeConfig", "enabled") is True:
        yield pricing.unpriced(resource, "EKS Auto Mode's fee on each node")
    tier = text(at(resource.inputs, "controlPlaneScalingConfig", "tier"))
    if tier not in {None, "standard"}:
        yield pricing.unpriced(resource, f"control plane tier {tier}")
    if sequence(at(resource.inputs, "enabledClusterLogTypes")):
        yield pricing.usage(resource, "control plane logs", Service.LOGS_INGESTED)


def _control_plane(resource: Resource, pricing: Pricing, version: str | None) -> Iterator[LineItem | Unpriced]:
    support = Support.STANDARD if version is None else pricing.rates.kubernetes_support(version, pricing.today)
    refused = at(resource.inputs, "upgradePolicy", "supportType") == "STANDARD"
    if support is Support.UNLISTED:
        yield pricing.unpriced(resource, f"control plane: the support dates of Kubernetes {version} are not known")
    elif support is Support.ENDED:
        yield pricing.unpriced(resource, f"control plane: EKS no longer runs Kubernetes {version}")
    elif support is Support.EXTENDED and not refused:
        what = f"control plane, extended support of Kubernetes {version}"
        yield from pricing.hourly(resource, Service.EKS_CLUSTER_EXTENDED, Category.CONTROL_PLANE, what)
    else:
        yield from pricing.hourly(resource, Service.EKS_CLUSTER, Category.CONTROL_PLANE, "control plane")


@rule("aws:eks/addon:Addon")
def eks_addon(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """AWS's own add-ons cost nothing beyond the pods they run."""
    name = text(at(resource.inputs, "addonName"))
    if name not in _FREE_ADDONS:
        yield pricing.unpriced(resource, f"add-on {name or 'whose name is not in the plan'}")


@rule("aws:secretsmanager/secret:Secret")
def secret(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """A secret and each of its replicas by the month."""
    copies = 1 + len(sequence(at(resource.inputs, "replicas")))
    yield from pricing.monthly(resource, Service.SECRETS_MANAGER, Category.OTHER, "secret", Count.flat(copies))


@rule("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey")
def kms_key(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """A customer managed key by the month; rotated key material adds to it over the years."""
    yield from pricing.monthly(resource, Service.KMS_KEY, Category.OTHER, "KMS key")


@rule("aws:cloudwatch/logGroup:LogGroup")
def log_group(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Logs cost by what is written and kept."""
    yield pricing.usage(resource, "logs", Service.LOGS_INGESTED, Service.LOGS_STORED)


@rule("aws:ssm/parameter:Parameter")
def parameter(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Standard parameters are free."""
    tier = text(at(resource.inputs, "tier")) or "Standard"
    if tier != "Standard":
        yield pricing.unpriced(resource, f"parameter of tier {tier}")


@rule("aws:efs/fileSystem:FileSystem")
def efs(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """EFS costs by what is stored, priced where it is claimed, and in elastic mode by what is read and written.

    A file system beside the one that claims are made from is not told apart, so it is named as priced by use.
    """
    alone = sum(not leaving(other) for other in pricing.graph.of_type(resource.type)) == 1
    if not (alone and efs_claims(pricing.graph)):
        yield pricing.usage(resource, "files stored", Service.EFS_STANDARD)
    mode = text(at(resource.inputs, "throughputMode")) or "bursting"
    if mode == "elastic":
        yield pricing.usage(resource, "reads and writes, elastic throughput")
    elif mode != "bursting":
        yield pricing.unpriced(resource, f"throughput of mode {mode}")


@rule("aws:efs/backupPolicy:BackupPolicy")
def efs_backup(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Backups cost by what they hold; none are made where they are off."""
    if text(at(resource.inputs, "backupPolicy", "status")) != "DISABLED":
        yield pricing.usage(resource, "backups of its files")


@rule("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
def s3_bucket(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """S3 costs by what is stored and asked."""
    yield pricing.usage(resource, "objects stored", Service.S3_STANDARD)


@rule("aws:sqs/queue:Queue")
def queue(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """A queue costs by its requests, the first million a month of an account free; there is no sourced price yet."""
    yield pricing.usage(resource, "requests")


@rule("aws:cloudwatch/metricAlarm:MetricAlarm")
def metric_alarm(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """An alarm has a monthly price, which the catalogue has from no source yet."""
    yield pricing.unpriced(resource, "alarm, which has no sourced price yet")
