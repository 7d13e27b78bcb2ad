"""Keeping secrets out of what a user reads: recognising them, and showing values without them."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from slipway.settings.models import SecretName

SECRET_NAMES = frozenset(name.value for name in SecretName)

HIDDEN = "(hidden)"
_SHOWN_CHARACTERS = 80
# A clear secret shorter than this would hide ordinary words of other values; it is never shown under its own key.
_SHORTEST_HIDDEN = 4

_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{16,}"  # Hugging Face; shorter ones are names of repositories
    r"|sk-[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, LiteLLM
    r"|gpustack_[0-9a-f]{16}_[0-9a-f]{32}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"  # AWS access keys
    r"|gh[pousr]_[A-Za-z0-9]{20,}"  # GitHub
    r")"
)


def is_token(text: str) -> bool:
    """Whether `text` holds something that has the form of an access token."""
    return _TOKEN.search(text) is not None


def is_secure(value: Any) -> bool:
    """Whether `value` is what Pulumi writes for an encrypted value: a mapping with the one key ``secure``."""
    if not isinstance(value, Mapping):
        return False
    mapping = cast("Mapping[Any, Any]", value)
    return len(mapping) == 1 and isinstance(mapping.get("secure"), str)


def conceal(text: str, hidden: Collection[str] = ()) -> str:
    """`text` without tokens and without the `hidden` values."""
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _TOKEN.sub(HIDDEN, text)


def show(value: Any, hidden: Collection[str] = ()) -> str:
    """`value` on one line, as it stands in the file, shortened, without secrets and without control characters."""
    text = value if isinstance(value, str) else _flow(value)
    text = "".join(map(_printable, conceal(" ".join(text.split()), hidden))) or '""'
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def strings(value: Any) -> Iterator[str]:
    """Every string inside `value`, keys of mappings excluded."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[Any, Any]", value).values():
            yield from strings(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from strings(item)


def worth_hiding(values: Iterator[str]) -> frozenset[str]:
    """The values that other messages must not repeat."""
    return frozenset(value for value in values if len(value) >= _SHORTEST_HIDDEN)


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def _flow(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)
