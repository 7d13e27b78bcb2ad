"""What Kubernetes objects make AWS create: disks behind claims, load balancers behind Services and Ingresses.

Pods cost nothing here: they run on machines that are priced as machines, however many replicas there are.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from slipway.catalog.types import Service
from slipway.costs.pricing import ONE, Category, Count, Pricing, rule
from slipway.costs.rules.disks import disk
from slipway.costs.rules.network import addresses, balancer
from slipway.costs.types import LineItem, Unpriced
from slipway.engine.graph import Graph, Resource
from slipway.engine.pods import volume_claims
from slipway.engine.reading import at, leaving, mapping, quantity, sequence, text, truth, whole

_EBS = "ebs.csi.aws.com"
_AUTO_MODE_EBS = "ebs.csi.eks.amazonaws.com"
_EFS = "efs.csi.aws.com"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_SCHEME = "service.beta.kubernetes.io/aws-load-balancer-scheme"
_TYPE = "service.beta.kubernetes.io/aws-load-balancer-type"
_NLB_CLASSES = frozenset({"service.k8s.aws/nlb", "eks.amazonaws.com/nlb"})


@rule("kubernetes:core/v1:PersistentVolumeClaim")
def claim(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """A claim becomes one EBS volume of its storage class, or a directory on EFS."""
    yield from _claim(resource, pricing, at(resource.inputs, "spec"), ONE)


@rule(
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:DaemonSet",
    "kubernetes:batch/v1:Job",
    "kubernetes:batch/v1:CronJob",
    "kubernetes:core/v1:Pod",
)
def workload(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """One volume per replica for each claim template and each ephemeral claim; the pods themselves are free."""
    specs = tuple(volume_claims(resource))
    if not specs:
        return
    count = pod_count(resource, pricing.graph)
    for spec in specs:
        if count is None:
            yield pricing.unpriced(resource, "volumes of its pods: their number is not in the plan")
        else:
            yield from _claim(resource, pricing, spec, count)


@rule("kubernetes:core/v1:Service")
def service(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """A Service of type LoadBalancer makes a network load balancer, or a classic one without the AWS controller."""
    spec = at(resource.inputs, "spec")
    if at(spec, "type") != "LoadBalancer":
        return
    annotations = mapping(at(resource.inputs, "metadata", "annotations"))
    network = at(spec, "loadBalancerClass") in _NLB_CLASSES or annotations.get(_TYPE) in {"external", "nlb", "nlb-ip"}
    if not network:
        yield pricing.unpriced(resource, "classic load balancer, made without the AWS load balancer controller")
        return
    yield from balancer(resource, pricing, network=True)
    if annotations.get(_SCHEME) == "internet-facing":
        yield from addresses(resource, pricing, _public_subnets(pricing.graph))


@rule("kubernetes:networking.k8s.io/v1:Ingress")
def ingress(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """An Ingress of class ``alb`` makes an application load balancer; other classes run on nodes."""
    if at(resource.inputs, "spec", "ingressClassName") != "alb":
        return
    yield from balancer(resource, pricing, network=False)
    annotations = mapping(at(resource.inputs, "metadata", "annotations"))
    if annotations.get("alb.ingress.kubernetes.io/scheme") == "internet-facing":
        yield from addresses(resource, pricing, _public_subnets(pricing.graph))


@rule("kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart")
def helm(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """The engine does not show what a chart creates: only claims that its values spell out can be priced."""
    claims = tuple(_stated_claims(at(resource.inputs, "values"), ONE))
    for spec, count in claims:
        yield from _claim(resource, pricing, spec, count)
    others = "other disks and load balancers" if claims else "disks and load balancers"
    yield pricing.unpriced(resource, f"{others} that the chart itself may create")


def _stated_claims(values: Any, count: Count) -> Iterator[tuple[Mapping[str, Any], Count]]:
    """Every ``volumeClaimTemplate`` in a chart's values, once for each of the ``replicas`` that stand around it."""
    for item in sequence(values):
        yield from _stated_claims(item, count)
    around = mapping(values)
    number = whole(around.get("replicas"))
    inside = count if number is None else Count.flat(number)
    for key, value in around.items():
        if key == "volumeClaimTemplate":
            yield mapping(at(value, "spec")), inside
        else:
            yield from _stated_claims(value, inside)


def _claim(resource: Resource, pricing: Pricing, spec: Any, count: Count) -> Iterator[LineItem | Unpriced]:
    if text(at(spec, "volumeName")) or at(spec, "storageClassName") == "":
        return  # bound to a volume made elsewhere, which is priced where it is made
    gib = quantity_gib(at(spec, "resources", "requests", "storage"))
    found = storage_class(pricing.graph, text(at(spec, "storageClassName")))
    if gib is None:
        yield pricing.unpriced(resource, "a claim whose size is not in the plan")
    elif found is None:
        yield pricing.unpriced(resource, f"claim of {gib} GiB: its storage class is not in the plan")
    elif at(found.inputs, "provisioner") == _EFS:
        # EFS charges for what is stored and holds no one to the size of the claim.
        what = "GiB EFS, estimated by the size of the claim"
        yield from pricing.monthly(resource, Service.EFS_STANDARD, Category.DISK, what, count, each=gib)
    elif at(found.inputs, "provisioner") not in {_EBS, _AUTO_MODE_EBS}:
        yield pricing.unpriced(resource, f"claim of {gib} GiB from {at(found.inputs, 'provisioner')}")
    else:
        parameters = mapping(at(found.inputs, "parameters"))
        yield from disk(
            resource,
            pricing,
            # The EBS CSI driver's own default is gp3.
            kind=text(parameters.get("type")) or "gp3",
            gib=gib,
            iops=whole(parameters.get("iops")),
            mib_s=whole(parameters.get("throughput")),
            count=count,
        )


def efs_claims(graph: Graph) -> bool:
    """Whether files on EFS are priced by the claims of the graph."""
    claims = (claim for claim in graph.of_type("kubernetes:core/v1:PersistentVolumeClaim") if not leaving(claim))
    found = (storage_class(graph, text(at(claim.inputs, "spec", "storageClassName"))) for claim in claims)
    return any(one is not None and at(one.inputs, "provisioner") == _EFS for one in found)


def storage_class(graph: Graph, name: str | None) -> Resource | None:
    """The StorageClass of that name in the graph; without a name, the default one."""
    for candidate in graph.of_type("kubernetes:storage.k8s.io/v1:StorageClass"):
        metadata = at(candidate.inputs, "metadata")
        is_default = truth(at(metadata, "annotations", _DEFAULT_CLASS)) is True
        if not leaving(candidate) and (at(metadata, "name") == name if name else is_default):
            return candidate
    return None


def quantity_gib(size: Any) -> int | None:
    """A Kubernetes quantity as whole GiB, rounded up, as the EBS driver does."""
    found = quantity(size)
    return None if found is None else math.ceil(found / 2**30)


def pod_count(resource: Resource, graph: Graph) -> Count | None:
    """Replicas at minimum, as written, and at the autoscaler's maximum."""
    kind = resource.type.rpartition(":")[2]
    if kind == "Pod":
        return ONE
    if kind not in {"Deployment", "StatefulSet"}:
        return None
    given = at(resource.inputs, "spec", "replicas")
    written = 1 if given is None else whole(given)
    for scaler in graph.of_type(
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "kubernetes:keda.sh/v1alpha1:ScaledObject"
    ):
        spec = at(scaler.inputs, "spec")
        if at(spec, "scaleTargetRef", "name") == at(resource.inputs, "metadata", "name"):
            return _scaled(spec, written, keda=scaler.type.endswith("ScaledObject"))
    return None if written is None else Count.flat(written)


def _scaled(spec: Any, written: int | None, *, keda: bool) -> Count | None:
    """Bounds of an autoscaler, with the defaults of its kind."""
    low, high = ("minReplicaCount", "maxReplicaCount") if keda else ("minReplicas", "maxReplicas")
    minimum = whole(at(spec, low)) if at(spec, low) is not None else (0 if keda else 1)
    maximum = whole(at(spec, high)) if at(spec, high) is not None else (100 if keda else None)
    if minimum is None or maximum is None:
        return None
    return Count(minimum, min(max(written or minimum, minimum), maximum), maximum)


def _public_subnets(graph: Graph) -> int:
    """Subnets tagged for internet-facing load balancers: the AWS controller puts one address in each."""
    return sum(
        at(subnet.inputs, "tags", "kubernetes.io/role/elb") is not None
        for subnet in graph.of_type("aws:ec2/subnet:Subnet")
        if not leaving(subnet)
    )
