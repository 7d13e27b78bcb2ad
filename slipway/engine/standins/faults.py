"""What is wrong with a resource's inputs: collected, all at once, with the path of each property."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rapidfuzz import fuzz, process

_SHOWN: Final = 12
_LIKENESS: Final = 60.0
_LONGEST_GIVEN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mistake; fields as in `slipway.problems.Problem`, `path` relative to the resource."""

    path: str
    message: str
    given: str | None = None
    allowed: tuple[str, ...] = ()
    nearest: str | None = None

    @property
    def text(self) -> str:
        """The whole of it in one line, without the path."""
        parts = [self.message]
        if self.given is not None:
            parts.append(f"given: {self.given}")
        if self.nearest is not None:
            parts.append(f"nearest: {self.nearest}")
        if self.allowed:
            parts.append(f"allowed: {shortened(self.allowed)}")
        return "; ".join(parts)


class Faults:
    """The mistakes of one resource. Inside `hidden` values, nothing that was given is repeated."""

    def __init__(self, *, hidden: bool = False) -> None:
        self._found: list[Fault] = []
        self.hidden = hidden

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self, path: str, message: str, *, given: Any = None, allowed: Iterable[str] = (), candidates: Iterable[str] = ()
    ) -> None:
        """Record one; `candidates` are searched for the name nearest to `given`."""
        shown = None if given is None else _shown(given, hidden=self.hidden)
        nearest = None if self.hidden or given is None else closest(str(given), candidates)
        self._found.append(Fault(path=path, message=message, given=shown, allowed=tuple(allowed), nearest=nearest))

    def extend(self, others: Iterable[Fault]) -> None:
        """Take over mistakes found elsewhere."""
        self._found.extend(others)

    def within_secret(self) -> "Faults":
        """An empty collection that hides what was given."""
        return Faults(hidden=True)


def closest(given: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `given`, if any is like it at all."""
    match = process.extractOne(given, list(candidates), scorer=fuzz.ratio, score_cutoff=_LIKENESS)
    return None if match is None else match[0]


def shortened(names: tuple[str, ...]) -> str:
    """At most a dozen names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def member(path: str, name: str) -> str:
    """The path of property `name` inside `path`; names with other characters are quoted as Pulumi quotes them."""
    if not name.replace("_", "").isalnum():
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name


def _shown(given: Any, *, hidden: bool) -> str:
    if hidden:
        return "[secret]"
    text = given if isinstance(given, str) else repr(given)
    return text if len(text) <= _LONGEST_GIVEN else text[: _LONGEST_GIVEN - 3] + "..."
