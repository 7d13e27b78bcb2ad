"""The planned resources of one stack, as the real engine reports them. Costs, checks and reports read nothing else."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final


class _Unknown:
    """A value only the cloud knows; it is never compared to anything but itself."""

    def __repr__(self) -> str:
        return "unknown"


class _Secret:
    """A value that is secret, and therefore never read into the graph."""

    def __repr__(self) -> str:
        return "[secret]"


UNKNOWN: Final = _Unknown()
SECRET: Final = _Secret()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One planned resource. Property names are the provider's own (camelCase).

    `inputs` is what the program asked for; `outputs` also holds what the provider filled in. Values are plain JSON
    types, UNKNOWN or SECRET. `change` is the engine's step: create, update, replace, delete, same.
    `property_dependencies` names, per top-level input, the URNs its value was computed from: that is how an UNKNOWN
    launch template id still leads to the launch template. Empty where the engine does not report it.
    """

    urn: str
    type: str
    name: str
    parent: str | None
    provider: str | None
    custom: bool
    change: str
    protect: bool
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """All planned resources of a stack, in the order the engine registered them, and the stack's outputs.

    `unvalidated` names the URNs of resources that no schema was at hand for: Kubernetes custom resources.
    """

    stack: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]
    unvalidated: tuple[str, ...] = ()

    def of_type(self, *types: str) -> Iterator[Resource]:
        """The resources whose type token is one of `types`."""
        return (resource for resource in self.resources if resource.type in types)

    def count_by_type(self) -> dict[str, int]:
        """How many resources of each type, sorted by type: no components, no providers, nothing adopted by its id."""
        made = (resource for resource in self.resources if resource.custom and resource.change != "read")
        counts = Counter(resource.type for resource in made if not resource.type.startswith("pulumi:"))
        return dict(sorted(counts.items()))

    def region(self) -> str | None:
        """The AWS region of the stack's provider; None without an AWS provider."""
        for provider in self.of_type("pulumi:providers:aws"):
            region = provider.inputs.get("region")
            if isinstance(region, str):
                return region
        return None
