"""Safe reading of a resource's nested properties: what is absent is None, what only the cloud knows stays UNKNOWN."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from slipway.engine.graph import SECRET, UNKNOWN, Graph, Resource

_QUANTITY: Final = re.compile(r"([+-]?[0-9]*\.?[0-9]+)(?:([eE][+-]?[0-9]+)|([A-Za-z]*))")
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


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


def quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity such as ``500m`` or ``16Gi`` in cores, bytes or pieces; None where it is not known."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[3] or "") not in _SUFFIXES:
        return None
    return Decimal(f"{match[1]}{match[2] or ''}") * _SUFFIXES[match[3] or ""]


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
