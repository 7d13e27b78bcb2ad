"""Safe reading of a resource's nested properties: what is absent is None, what only the cloud knows stays UNKNOWN."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from slipway.engine.graph import SECRET, UNKNOWN, Graph, Resource


def at(value: Any, *path: str | int) -> Any:
    """The value under `path`; None where a step is missing, UNKNOWN or SECRET where a step on the way is."""
    for step in path:
        if value is UNKNOWN or value is SECRET:
            return value
        if isinstance(step, int):
            found = sequence(value)
            value = found[step] if -len(found) <= step < len(found) else None
        else:
            value = mapping(value).get(step)
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """`value` if it is a list, else an empty one."""
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()


def text(value: Any) -> str | None:
    """`value` if it is known text, else None."""
    return value if isinstance(value, str) else None


def whole(value: Any) -> int | None:
    """`value` as a whole number where it is known: providers carry numbers as int, float or text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.removeprefix("-").isdigit():
        return int(value)
    return None


def truth(value: Any) -> bool | None:
    """`value` as a flag where it is known: launch templates carry ``"true"`` as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def texts(value: Any) -> tuple[str, ...]:
    """The known texts of a list."""
    return tuple(item for item in sequence(value) if isinstance(item, str))


def leaving(resource: Resource) -> bool:
    """Whether the plan deletes this resource, so that it neither costs nor endangers anything afterwards."""
    return resource.change.startswith("delete")


def related(graph: Graph, resource: Resource, key: str, type_token: str) -> tuple[Resource, ...]:
    """The resources of a type that the input `key` of `resource` was computed from.

    Where the engine does not report dependencies, a sibling under the same parent is taken, or the only one there is.
    """
    candidates = tuple(graph.of_type(type_token))
    if resource.property_dependencies:
        urns = resource.property_dependencies.get(key, ())
        return tuple(candidate for candidate in candidates if candidate.urn in urns)
    siblings = tuple(candidate for candidate in candidates if candidate.parent == resource.parent)
    if siblings or len(candidates) == 1:
        return siblings or candidates
    return ()
