"""Whether claims will ever be bound."""

from collections.abc import Iterator
from typing import Any

from slipway.checks.registry import check
from slipway.engine.graph import Graph, Resource
from slipway.engine.pods import pod_templates, volume_claims
from slipway.engine.reading import at, leaving, text, truth
from slipway.findings import Severity

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


@check(
    "SW013",
    Severity.ERROR,
    title="A claim without a storage class",
    explanation="EKS has had no default StorageClass since version 1.30. A claim that names none, or one that nobody "
    "makes, stays Pending, and its pod with it.",
    fix="name a StorageClass of the stack, or mark one as default",
)
def claim_without_class(graph: Graph) -> Iterator[tuple[str, str]]:
    """Every claim's class is in the graph, by name or as the default."""
    if not any(not leaving(cluster) for cluster in graph.of_type("aws:eks/cluster:Cluster")):
        return  # the cluster is not of this stack, its classes are not known
    classes = [one for one in graph.of_type("kubernetes:storage.k8s.io/v1:StorageClass") if not leaving(one)]
    for resource, spec in _claims(graph):
        name = at(spec, "storageClassName")
        if name == "" or at(spec, "volumeName") is not None:
            continue  # bound to a volume made by hand
        if name is None and not any(map(_is_default, classes)):
            yield resource.name, "its claim names no storage class, and the stack makes none the default"
        elif (known := text(name)) and known not in map(_name, classes):
            yield resource.name, f"its claim names the storage class {known}, which the stack does not make"


def _claims(graph: Graph) -> Iterator[tuple[Resource, Any]]:
    for claim in graph.of_type("kubernetes:core/v1:PersistentVolumeClaim"):
        if not leaving(claim):
            yield claim, at(claim.inputs, "spec")
    for pod in pod_templates(graph):
        for spec in volume_claims(pod.resource):
            yield pod.resource, spec


def _is_default(storage_class: Resource) -> bool:
    return truth(at(storage_class.inputs, "metadata", "annotations", _DEFAULT)) is True


def _name(storage_class: Resource) -> Any:
    return at(storage_class.inputs, "metadata", "name")
