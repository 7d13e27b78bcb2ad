"""The correct name nearest to a wrong one."""

from collections.abc import Iterable

from rapidfuzz import fuzz, process

_CLOSE_ENOUGH = 70


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice closest to `name`, case and punctuation aside; None where nothing is close."""
    found = process.extractOne(name, list(choices), scorer=fuzz.ratio, processor=_letters, score_cutoff=_CLOSE_ENOUGH)
    return found[0] if found else None


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
