"""AWS's own limits for tags."""

from collections.abc import Iterator

from slipway.settings.mistakes import Mistake
from slipway.settings.rules.stack import Stack

_TAGS_PER_RESOURCE = 50
_TAG_KEY_CHARACTERS, _TAG_VALUE_CHARACTERS = 128, 256
_TAG_PUNCTUATION = frozenset(" +-=._:/@")


def tags(stack: Stack) -> Iterator[Mistake]:
    """AWS's own limits for tags, before a hundred resources fail on them."""
    given = stack.settings.tags
    if len(given) > _TAGS_PER_RESOURCE:
        yield Mistake(path=("tags",), message=f"must be at most {_TAGS_PER_RESOURCE}, AWS's limit for a resource")
    for key, value in given.items():
        path = ("tags", key)
        if key.lower().startswith("aws:"):
            yield Mistake(path=path, message="tags beginning with aws: belong to AWS")
        elif not 1 <= len(key) <= _TAG_KEY_CHARACTERS:
            yield Mistake(path=path, message=f"a tag's key must have 1 to {_TAG_KEY_CHARACTERS} characters")
        elif not _is_tag_text(key):
            yield Mistake(path=path, message="a tag's key may hold letters, digits, spaces and + - = . _ : / @ only")
        if len(value) > _TAG_VALUE_CHARACTERS:
            yield Mistake(path=path, message=f"must be at most {_TAG_VALUE_CHARACTERS} characters", given=value)
        elif not _is_tag_text(value):
            yield Mistake(path=path, message="may hold letters, digits, spaces and + - = . _ : / @ only", given=value)


def _is_tag_text(text: str) -> bool:
    return all(character.isalnum() or character in _TAG_PUNCTUATION for character in text)
