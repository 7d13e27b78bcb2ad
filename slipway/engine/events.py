"""The engine's events, read into a graph."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pulumi.automation.events import DiagnosticEvent, EngineEvent, StepEventMetadata
from pulumi.runtime import rpc

from slipway.engine.graph import SECRET, UNKNOWN, Graph, Resource
from slipway.engine.standins.base import name_of, type_of

_SIGNATURE: Final = rpc._special_sig_key  # pyright: ignore[reportPrivateUsage]
_SECRET: Final = rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]
_STACK: Final = "pulumi:pulumi:Stack"


@dataclass(slots=True)
class EventLog:
    """Everything the engine reported during one operation. Filled from the event server's thread."""

    on_resource: Callable[[int], None] = lambda _: None
    steps: dict[str, StepEventMetadata] = field(default_factory=dict[str, StepEventMetadata])
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    diagnostics: list[DiagnosticEvent] = field(default_factory=list[DiagnosticEvent])
    finished: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event:
            step = event.resource_pre_event.metadata
            self.steps[step.urn] = step
            self.on_resource(len(self.steps))
        elif event.res_outputs_event:
            step = event.res_outputs_event.metadata
            self.steps.setdefault(step.urn, step)
            if step.new is not None:
                self.outputs[step.urn] = step.new.outputs or {}
        elif event.diagnostic_event:
            if event.diagnostic_event.severity != "debug":
                self.diagnostics.append(event.diagnostic_event)
        elif event.cancel_event:
            self.finished.set()

    def graph(self, stack: str, dependencies: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Graph:
        """All resources in the order the engine took them up."""
        resources = tuple(self._resource(step, dependencies.get(step.urn, {})) for step in self.steps.values())
        outputs: Mapping[str, Any] = {}
        for resource in resources:
            if resource.type == _STACK:
                outputs = resource.outputs
        return Graph(stack=stack, resources=resources, outputs=outputs)

    def _resource(self, step: StepEventMetadata, dependencies: Mapping[str, tuple[str, ...]]) -> Resource:
        state = step.new or step.old
        assert state is not None  # noqa: S101 - the engine sends one of the two with every step
        return Resource(
            urn=step.urn,
            type=type_of(step.urn),
            name=name_of(step.urn),
            parent=state.parent or None,
            # the engine appends the provider's id, which is unknown while it is only planned
            provider=state.provider.rpartition("::")[0] or None,
            custom=bool(state.custom),
            change=str(step.op.value),
            protect=bool(state.protect),
            inputs=readable(state.inputs or {}),
            outputs=readable(self.outputs.get(step.urn) or state.outputs or {}),
            property_dependencies=dependencies,
        )


def readable(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of an event as plain values, UNKNOWN and SECRET; the engine's own notes are left out."""
    return {key: _readable(value) for key, value in properties.items() if not key.startswith("__")}


def _readable(value: Any) -> Any:
    if value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return SECRET if items.get(_SIGNATURE) == _SECRET else readable(items)
    if isinstance(value, list):
        return [_readable(item) for item in cast("list[Any]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def unmarked(value: Any) -> Any:
    """Values of a graph as a provider's checks take them: what is secret is as good as unknown."""
    if value is SECRET:
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: unmarked(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [unmarked(item) for item in cast("list[Any]", value)]
    return value


def property_dependencies(digest: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Per URN and input, the URNs it was computed from: the preview's JSON digest has them, the events do not."""
    try:
        loaded: Any = json.loads(digest)
    except ValueError:
        return {}
    steps: Iterable[Any] = loaded.get("steps") or ()
    return {step["urn"]: _dependencies(step.get("newState") or {}) for step in steps}


def _dependencies(state: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    declared: Mapping[str, list[str] | None] = state.get("propertyDependencies") or {}
    return {name: tuple(urns or ()) for name, urns in declared.items()}
