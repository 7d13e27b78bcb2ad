"""Types, ranges and names, all at once: what is broken is noted and taken out, until the rest is sound.

The rest is what the rules between keys then look at, so that one run reports mistakes of both kinds.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slipway.catalog.types import Platform
from slipway.settings.mistakes import Mistake, Path
from slipway.settings.models import Settings
from slipway.settings.translate import translate

# Taking out a broken value can leave its parent incomplete, and that the parent's parent; settings are four deep.
_MOST_PASSES = 12
# Rules look at each item of these on its own, so that the other items keep their indices.
_LISTS_OF_TEXT = frozenset({"instanceTypes", "apiAccessCidrs", "sourceCidrs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`settings` holds only what is sound: never use it where there are mistakes, except to look for more."""

    settings: Settings | None
    mistakes: tuple[Mistake, ...]
    broken: frozenset[Path]


def validate(data: Mapping[str, Any], given: Mapping[str, Any], broken: Iterable[Path]) -> Outcome:
    """Check `data` against the models. `given` is what the user wrote; `broken` is already known to be wrong."""
    rest = deepcopy(dict(data))
    known, mistakes = set(broken), list[Mistake]()
    for _ in range(_MOST_PASSES):
        try:
            settings = Settings.model_validate(rest, by_alias=True, by_name=False)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                mistakes.extend(_note(detail, given, known))
                _take_out(rest, detail)
            continue
        return Outcome(settings=settings, mistakes=tuple(mistakes), broken=frozenset(known))
    return Outcome(settings=None, mistakes=tuple(mistakes), broken=frozenset(known))


def _note(detail: ErrorDetails, given: Mapping[str, Any], known: set[Path]) -> list[Mistake]:
    location = tuple(step for step in detail["loc"] if step != "[key]")
    path = _as_written(location, given)
    if any(path[: len(hurt)] == hurt for hurt in known):
        return []
    mistake = translate(detail, path)
    if detail["type"] != "extra_forbidden":
        known |= {path, location}
    elif mistake.nearest is not None and not _stands((*path[:-1], mistake.nearest), given):
        # What stands under a misspelled key is not reported as missing on top.
        known.add((*path[:-1], mistake.nearest))
    return [mistake]


def _as_written(location: Path, given: Mapping[str, Any]) -> Path:
    """The location in the user's file, where a short form has no inside."""
    value: Any = given
    for index, step in enumerate(location):
        if isinstance(value, Mapping) and step in value:
            value = cast("Mapping[Any, Any]", value)[step]
        elif isinstance(value, list) and isinstance(step, int):
            value = cast("list[Any]", value)[step]
        elif isinstance(value, str):
            return location[:index]
    return location


def _stands(path: Path, given: Mapping[str, Any]) -> bool:
    holder: Any = given
    for step in path[:-1]:
        holder = holder[step]
    return path[-1] in holder


def _take_out(rest: dict[str, Any], detail: ErrorDetails) -> None:
    """Remove the broken value; where something required is missing, put in a stand-in or remove what lacks it."""
    location = tuple(step for step in detail["loc"] if step != "[key]")
    if detail["type"] == "missing":
        _complete(rest, location)
    else:
        _remove(rest, location)


def _complete(rest: dict[str, Any], location: Path) -> None:
    match location:
        case ("platform",):
            rest["platform"] = Platform.VLLM.value
        case ("model", "name"):
            rest["model"]["name"] = "(missing)"
        case ("models", int(index), "name"):
            rest["models"][index]["name"] = f"(missing {index})"
        case _:
            _remove(rest, location[:-1])


def _remove(rest: dict[str, Any], location: Path) -> None:
    *outer, last = location
    holder: Any = rest
    for step in outer:
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):
            return  # an earlier mistake took it along
    if isinstance(holder, dict):
        _drop(cast("dict[Any, Any]", holder), last)
    elif location[0] == "models" and len(location) == 2:  # noqa: PLR2004 - a whole model
        # The other models keep their indices.
        holder[last] = {"name": f"(missing {last})"}
    elif outer[-1] in _LISTS_OF_TEXT:
        holder[last] = f"(missing {last})"
    else:
        _remove(rest, tuple(outer))


def _drop(holder: dict[Any, Any], step: str | int) -> None:
    # A key that is not text appears in pydantic's location as text.
    for key in [key for key in holder if key == step or str(key) == str(step)]:
        del holder[key]
