"""Configuration values brought to one form, whether they come from YAML or as the engine's strings."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from slipway.settings.mistakes import Path
from slipway.settings.secrecy import is_secure

# Settings are four levels deep.
_MOST_LEVELS = 12
_FLAGS = {"protect"}


class TooDeepError(ValueError):
    """The value is nested deeper than any setting."""


def decoded(name: str, value: Any) -> Any:
    """The value of the top-level key `name` in its own type; None where it is empty, which means left out.

    Pulumi keeps no types at the top: it hands the program ``"true"`` for true, ``"5"`` for 5 and JSON for the rest.
    Defaults that Pulumi.yaml declares for optional keys are empty, so an empty value is no value.
    """
    if isinstance(value, (bool, int, float)):
        value = _plain(value)
    if isinstance(value, str):
        value = _from_json(value)
    if value is None or value in ("", {}, [], ()):
        return None
    if name in _FLAGS and value in ("true", "false"):
        return value == "true"
    return _canonical(value, 0)


def uniform(given: Mapping[str, Any]) -> dict[str, Any]:
    """Short forms written out: a model's name as a mapping, one instance type as a list, min from the base."""
    data = dict(given)
    if isinstance(data.get("model"), str):
        data["model"] = {"name": data["model"]}
    models = data.get("models")
    if isinstance(models, list):
        listed = cast("list[Any]", models)
        data["models"] = [{"name": item} if isinstance(item, str) else item for item in listed]
    if isinstance(data.get("instanceTypes"), str):
        data["instanceTypes"] = [data["instanceTypes"]]
    capacity = data.get("capacity")
    if isinstance(capacity, dict):
        data["capacity"] = _with_minimum(cast("dict[str, Any]", capacity))
    return data


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every value that is neither list nor mapping, with its path; an encrypted value counts as one."""
    if isinstance(value, Mapping) and not is_secure(value):
        for key, item in cast("Mapping[Any, Any]", value).items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def without(value: Any, gone: Collection[Path], path: Path) -> Any:
    """`value` without what stands at the `gone` paths; a list that loses an item is None, so that indices hold."""
    if path in gone:
        return None
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {key: without(item, gone, (*path, str(key))) for key, item in items if (*path, str(key)) not in gone}
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        if any((*path, index) in gone for index in range(len(listed))):
            return None
        return [without(item, gone, (*path, index)) for index, item in enumerate(listed)]
    return value


def _with_minimum(capacity: dict[str, Any]) -> dict[str, Any]:
    base = capacity.get("onDemandBase")
    if "min" not in capacity and type(base) is int and base > 1:
        return {**capacity, "min": base}
    return capacity


def _plain(value: bool | int | float) -> str:
    """A scalar as the engine writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(_whole(value))


def _whole(value: Any) -> Any:
    """The engine writes 600.0 as 600."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _from_json(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except RecursionError:
        raise TooDeepError from None
    except ValueError:
        return text


def _canonical(value: Any, level: int) -> Any:
    if level > _MOST_LEVELS:
        raise TooDeepError
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {key: _canonical(item, level + 1) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_canonical(item, level + 1) for item in cast("list[Any]", value)]
    return _whole(value)
