"""The correct name nearest to a wrong one."""

from collections.abc import Iterable

from rapidfuzz import process
from rapidfuzz.distance import OSA

_CLOSE_ENOUGH = 0.7
# Shorter beginnings belong to too many names.
_SHORTEST_BEGINNING = 4


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice closest to `name`, case and punctuation aside; None where nothing is close.

    Close is a few typing errors away (a swap of neighbours counts once), or the beginning of a longer name.
    """
    known = list(choices)
    scorer = OSA.normalized_similarity
    found = process.extractOne(name, known, scorer=scorer, processor=_letters, score_cutoff=_CLOSE_ENOUGH)
    if found is not None:
        return found[0]
    beginning = _letters(name)
    longer = (choice for choice in known if _letters(choice).startswith(beginning))
    return next(longer, None) if len(beginning) >= _SHORTEST_BEGINNING else None


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
