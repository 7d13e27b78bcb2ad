"""Nodes that Karpenter makes: not resources of the plan themselves, so their pool and its limit are priced."""

from collections.abc import Iterator
from typing import Any

from slipway import catalog
from slipway.costs.pricing import Count, Pricing, rule
from slipway.costs.rules.compute import Fleet, machines
from slipway.costs.rules.disks import disk
from slipway.costs.rules.kubernetes import pod_count, quantity_gib
from slipway.costs.types import LineItem, Unpriced
from slipway.engine.graph import Graph, Resource
from slipway.engine.pods import pod_templates
from slipway.engine.reading import at, leaving, mapping, sequence, text, texts, whole

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
GPU = "nvidia.com/gpu"


@rule(NODE_POOL)
def node_pool(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """At most what its limit allows, all on demand; typically what pods ask for beyond what node groups hold."""
    requirements = _requirements(resource)
    known = catalog.instance_types()
    types = tuple(name for name in requirements.get("node.kubernetes.io/instance-type", ()) if name in known)
    limit = whole(at(resource.inputs, "spec", "limits", GPU))
    gpus = min((known[name].gpu_count for name in types), default=0)
    if limit is None or not gpus:
        yield pricing.unpriced(
            resource, "how many nodes of which size Karpenter makes is not in the plan", machines=True
        )
        return
    most = limit // gpus
    needed = _gpus_wanted(pricing.graph)
    if needed is None:
        yield pricing.unpriced(resource, "how many pods ask for its nodes is not in the plan", machines=True)
        return
    typical = min(most, max(0, -(-(needed - _gpus_held(pricing.graph)) // gpus)))
    count = Count(typical, typical, most)
    bought = requirements.get("karpenter.sh/capacity-type", ("on-demand",))
    spot = "spot" in bought
    yield from machines(resource, pricing, Fleet(types, count, spot, fallback=spot and "on-demand" in bought))
    yield from _disks(resource, pricing, count)


def _requirements(pool: Resource) -> dict[str, tuple[str, ...]]:
    found = sequence(at(pool.inputs, "spec", "template", "spec", "requirements"))
    return {str(at(one, "key")): texts(at(one, "values")) for one in found if at(one, "operator") == "In"}


def _gpus_wanted(graph: Graph) -> int | None:
    """GPUs that all pods ask for together; None where a number of pods is not in the plan."""
    total = 0
    for pod in pod_templates(graph):
        each = sum(
            whole(at(one, "resources", "limits", GPU) or at(one, "resources", "requests", GPU)) or 0
            for one in pod.containers(init=False)
        )
        if not each:
            continue
        count = pod_count(pod.resource, graph)
        if count is None:
            return None
        total += each * count.typical
    return total


def _gpus_held(graph: Graph) -> int:
    """GPUs of the nodes that managed groups start with."""
    known = catalog.instance_types()
    total = 0
    for group in graph.of_type("aws:eks/nodeGroup:NodeGroup"):
        each = min((known[n].gpu_count for n in texts(at(group.inputs, "instanceTypes")) if n in known), default=0)
        if each and not leaving(group):
            total += each * (whole(at(group.inputs, "scalingConfig", "desiredSize")) or 0)
    return total


def _disks(pool: Resource, pricing: Pricing, count: Count) -> Iterator[LineItem | Unpriced]:
    wanted = at(pool.inputs, "spec", "template", "spec", "nodeClassRef", "name")
    classes = [
        found
        for found in pricing.graph.of_type(NODE_CLASS)
        if at(found.inputs, "metadata", "name") == wanted and not leaving(found)
    ]
    if not classes:
        yield pricing.unpriced(pool, "node disks: the node class is not in the plan")
        return
    for device in sequence(at(classes[0].inputs, "spec", "blockDeviceMappings")):
        ebs: Any = mapping(at(device, "ebs"))
        yield from disk(
            pool,
            pricing,
            kind=text(ebs.get("volumeType")),
            gib=quantity_gib(ebs.get("volumeSize")),
            iops=whole(ebs.get("iops")),
            mib_s=whole(ebs.get("throughput")),
            count=count,
        )
