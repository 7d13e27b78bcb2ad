"""A mistake while it is being collected: a path and a sentence. `as_problems` gives what the user reads."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from slipway.problems import Problem
from slipway.settings.secrecy import show

Path = tuple[str | int, ...]
"""From the configuration key, as the user wrote it, to a value inside: ``("slipway:models", 1, "name")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake. `given` is shown unless it is None; messages hold no text of the user's."""

    path: Path
    message: str
    given: Any = None
    allowed: tuple[str, ...] = ()
    nearest: str | None = None
    hint: str | None = None


def spell(path: Path) -> str:
    """A path as a user searches for it in the file: ``slipway:models[1].name``."""
    first, *rest = path
    return str(first) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every key and list item inside `value`, in the order of the file."""
    if isinstance(value, Mapping):
        steps: Iterable[tuple[str | int, Any]] = (
            (str(key), item) for key, item in cast("Mapping[Any, Any]", value).items()
        )
    elif isinstance(value, (list, tuple)):
        steps = enumerate(cast("list[Any]", value))
    else:
        return
    for step, item in steps:
        yield (*path, step)
        yield from paths(item, (*path, step))


def as_problems(
    mistakes: Iterable[Mistake],
    config: Mapping[str, Any],
    *,
    file: str | None = None,
    lines: Mapping[str, int] | None = None,
    hidden: Collection[str] = (),
) -> tuple[Problem, ...]:
    """Every mistake once, in the order of the file; what is missing altogether comes last."""
    order = {path: index for index, path in enumerate(paths(config))}
    once = {(mistake.path, mistake.message): mistake for mistake in mistakes}
    ranked = sorted(once.values(), key=lambda mistake: _rank(mistake.path, order))
    return tuple(_problem(mistake, file, lines or {}, hidden) for mistake in ranked)


def _rank(path: Path, order: Mapping[Path, int]) -> int:
    return next((order[part] for part in _outwards(path) if part in order), len(order))


def _problem(mistake: Mistake, file: str | None, lines: Mapping[str, int], hidden: Collection[str]) -> Problem:
    key = spell(mistake.path)
    return Problem(
        key=show(key),
        message=mistake.message,
        given=None if mistake.given is None else show(mistake.given, hidden),
        allowed=mistake.allowed,
        nearest=mistake.nearest,
        hint=mistake.hint,
        file=file,
        line=line_of(key, lines),
    )


def line_of(key: str, lines: Mapping[str, int]) -> int | None:
    """The line of `key`, or of the nearest mapping or list around it that stands in the file."""
    while key not in lines:
        cut = max(key.rfind("."), key.rfind("["))
        if cut < 0:
            return None
        key = key[:cut]
    return lines[key]


def _outwards(path: Path) -> Iterator[Path]:
    return (path[:length] for length in range(len(path), 0, -1))
