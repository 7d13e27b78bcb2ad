"""Whether the planned nodes can take the planned pods."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from slipway import catalog
from slipway.checks.registry import check
from slipway.engine.graph import Graph
from slipway.engine.pods import PodTemplate, pod_templates
from slipway.engine.reading import at, leaving, mapping, quantity, sequence, text, texts, whole
from slipway.findings import Severity

GPU = "nvidia.com/gpu"
_NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
_NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
# EKS spells effects as its own enum, pods spell them as Kubernetes does. PREFER_NO_SCHEDULE keeps nobody away.
_EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "NoSchedule": "NoSchedule",
    "NoExecute": "NoExecute",
}
# One MiB in bytes, one thousandth of a core in cores.
_UNITS = {"memory": Decimal(2**20), "cpu": Decimal("0.001")}


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Nodes of one kind, whoever makes them: a managed node group or Karpenter."""

    labels: Mapping[str, Any]
    taints: Sequence[Mapping[str, Any]]
    instance_types: tuple[str, ...]

    @property
    def gpus(self) -> int:
        """On the smallest of its types."""
        known = catalog.instance_types()
        return min((known[name].gpu_count for name in self.instance_types if name in known), default=0)


@check(
    "SW001",
    Severity.ERROR,
    title="No node takes the pod",
    explanation="A pod that asks for GPUs runs only on a node that has as many, and whose taints it tolerates. "
    "Otherwise it stays Pending for ever, while the node is paid for.",
    fix="give the pod a toleration for the node group's taints, or a node group with enough GPUs per node",
)
def gpu_pod_without_node(graph: Graph) -> Iterator[tuple[str, str]]:
    """Every GPU pod needs one GPU node group that would take it."""
    groups = _kinds_of_nodes(graph)
    if not groups:
        return  # the cluster is not of this stack, its nodes are not known
    for pod in pod_templates(graph):
        wanted = gpus_of(pod)
        if not wanted:
            continue
        selected = [group for group in groups if _selects(pod, group, groups)]
        fitting = [group for group in selected if group.gpus >= wanted]
        if not selected:
            yield pod.resource.name, "its node selector matches no node group of the stack"
        elif not fitting:
            most = max(group.gpus for group in selected)
            yield pod.resource.name, f"asks for {count(wanted)}, the largest node it may run on has {most}"
        elif not any(_tolerates_all(pod, group) for group in fitting):
            taints = sorted({_spell(taint) for group in fitting for taint in group.taints})
            yield pod.resource.name, f"asks for a GPU but tolerates no GPU node group's taints: {', '.join(taints)}"


@check(
    "SW015",
    Severity.ERROR,
    title="No node is large enough for the pod",
    explanation="Kubernetes keeps a part of every node for itself: of the 16 GiB of a g6.xlarge, pods get 13.8, of its "
    "4 cores 3.9. A pod that asks for more stays Pending for ever, while the node is paid for.",
    fix="lower the pod's requests, or take a larger instance type",
)
def pod_larger_than_any_node(graph: Graph) -> Iterator[tuple[str, str]]:
    """Memory and cores a pod asks for fit what some node it may run on offers to pods."""
    groups = _kinds_of_nodes(graph)
    for pod in pod_templates(graph):
        suited = [group for group in groups if _selects(pod, group, groups) and group.gpus >= gpus_of(pod)]
        if not suited:
            continue  # another cluster, or SW001
        for resource, unit in (("memory", "MiB of memory"), ("cpu", "mCPU")):
            wanted, offers = _asked(pod, resource), [_offered(group, resource) for group in suited]
            most = max((offer for offer in offers if offer is not None), default=None)
            if most is not None and None not in offers and wanted > most:
                yield pod.resource.name, f"asks for {wanted:.0f} {unit}, the largest node it may run on offers {most}"


def _asked(pod: PodTemplate, resource: str) -> Decimal:
    """What one pod asks for, in MiB or thousandths of a core: its containers at once, or its largest init container."""
    scale = _UNITS[resource]

    def of(container: Mapping[str, Any]) -> Decimal:
        given = at(container, "resources", "requests", resource) or at(container, "resources", "limits", resource)
        return (quantity(given) or Decimal(0)) / scale

    # An init container that restarts always is a sidecar: it runs beside the others.
    inits = [mapping(one) for one in sequence(pod.spec.get("initContainers"))]
    sidecars = [one for one in inits if one.get("restartPolicy") == "Always"]
    together = sum(map(of, [*pod.containers(init=False), *sidecars]), Decimal(0))
    return max([together, *map(of, inits)])


def _offered(group: _Nodes, resource: str) -> int | None:
    """What the group's smallest type offers to pods; None where the catalogue does not know one of its types."""
    known = catalog.instance_types()
    types = [known.get(name) for name in group.instance_types]
    amounts = [
        kind and (kind.allocatable_memory_mib if resource == "memory" else kind.allocatable_cpu_milli) for kind in types
    ]
    return None if None in amounts else min((amount for amount in amounts if amount is not None), default=None)


def gpus_of(pod: PodTemplate) -> int:
    """Whole GPUs one pod asks for. Kubernetes takes the limit as the request."""
    return sum(
        whole(at(container, "resources", "limits", GPU) or at(container, "resources", "requests", GPU)) or 0
        for container in pod.containers(init=False)
    )


def count(gpus: int) -> str:
    """``1 GPU``, ``2 GPUs``."""
    return f"{gpus} GPU" if gpus == 1 else f"{gpus} GPUs"


def _kinds_of_nodes(graph: Graph) -> list[_Nodes]:
    """The stack's node groups, and the pools Karpenter makes nodes for."""
    groups = [
        _Nodes(
            mapping(at(group.inputs, "labels")),
            _keeping_away(at(group.inputs, "taints")),
            texts(at(group.inputs, "instanceTypes")),
        )
        for group in graph.of_type(_NODE_GROUP)
        if not leaving(group)
    ]
    for pool in graph.of_type(_NODE_POOL):
        template = at(pool.inputs, "spec", "template")
        requirements = sequence(at(template, "spec", "requirements"))
        types = (at(one, "values") for one in requirements if at(one, "key") == _INSTANCE_TYPE)
        if not leaving(pool):
            labels = mapping(at(template, "metadata", "labels"))
            groups.append(_Nodes(labels, _keeping_away(at(template, "spec", "taints")), texts(next(types, ()))))
    return groups


def _selects(pod: PodTemplate, group: _Nodes, groups: Sequence[_Nodes]) -> bool:
    """Whether the pod's node selector admits a group, by the labels that some group of the stack sets itself.

    Other labels are made by the cluster, and are taken to be there.
    """
    ours = {key for one in groups for key in one.labels}
    wanted = mapping(pod.spec.get("nodeSelector"))
    return all(group.labels.get(key) == value for key, value in wanted.items() if key in ours)


def _keeping_away(taints: Any) -> list[Mapping[str, Any]]:
    return [taint for taint in sequence(taints) if at(taint, "effect") in _EFFECTS]


def _tolerates_all(pod: PodTemplate, group: _Nodes) -> bool:
    tolerations = sequence(pod.spec.get("tolerations"))
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in group.taints)


def _tolerates(toleration: Any, taint: Mapping[str, Any]) -> bool:
    key, effect = text(at(toleration, "key")) or "", text(at(toleration, "effect"))
    if effect and effect != _EFFECTS[taint["effect"]]:
        return False
    if at(toleration, "operator") == "Exists":
        return key in {"", taint.get("key")}
    return key == taint.get("key") and (at(toleration, "value") or "") == (taint.get("value") or "")


def _spell(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{_EFFECTS[taint['effect']]}"
