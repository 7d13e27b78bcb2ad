"""The pods a stack's Kubernetes objects will make, whichever kind makes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.engine.graph import Graph, Resource
from slipway.engine.reading import at, leaving, mapping, sequence, text

# Where each kind keeps its pod template.
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "kubernetes:core/v1:Pod": (),
    "kubernetes:apps/v1:Deployment": ("spec", "template"),
    "kubernetes:apps/v1:StatefulSet": ("spec", "template"),
    "kubernetes:apps/v1:DaemonSet": ("spec", "template"),
    "kubernetes:batch/v1:Job": ("spec", "template"),
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """The pod template of one workload."""

    resource: Resource
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The workload's kind, such as ``Deployment``."""
        return self.resource.type.rpartition(":")[2]

    @property
    def namespace(self) -> str | None:
        """The namespace, where it is known."""
        return text(at(self.resource.inputs, "metadata", "namespace"))

    def containers(self, *, init: bool = True) -> Iterator[Mapping[str, Any]]:
        """The containers, init containers first unless `init` is False."""
        for key in ("initContainers", "containers") if init else ("containers",):
            for container in sequence(self.spec.get(key)):
                yield mapping(container)


def pod_templates(graph: Graph) -> Iterator[PodTemplate]:
    """The pod template of every workload that stays or comes, in the engine's order."""
    for resource in graph.of_type(*_TEMPLATES):
        if leaving(resource):
            continue
        template = at(resource.inputs, *_TEMPLATES[resource.type])
        yield PodTemplate(resource, mapping(at(template, "metadata")), mapping(at(template, "spec")))


def volume_claims(resource: Resource) -> Iterator[Mapping[str, Any]]:
    """The specs of the claims that each replica of a workload brings: claim templates and ephemeral volumes."""
    for template in sequence(at(resource.inputs, "spec", "volumeClaimTemplates")):
        yield mapping(at(template, "spec"))
    pod = at(resource.inputs, *_TEMPLATES.get(resource.type, ()), "spec")
    for volume in sequence(at(pod, "volumes")):
        spec = at(volume, "ephemeral", "volumeClaimTemplate", "spec")
        if spec is not None:
            yield mapping(spec)
