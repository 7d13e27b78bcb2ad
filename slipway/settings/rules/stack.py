"""What a rule looks at."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.settings.mistakes import Mistake, Path
from slipway.settings.models import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What the rules look at: the settings, and which keys the user gave (presets and defaults excluded)."""

    settings: Settings
    given: Mapping[str, Any]


Rule = Callable[[Stack], Iterable[Mistake]]


def item_path(stack: Stack, key: str, index: int) -> Path:
    """The path of a list's item, or of the key itself where the user wrote one value instead of a list."""
    return (key, index) if isinstance(stack.given.get(key), (list, tuple)) else (key,)
