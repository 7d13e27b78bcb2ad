"""Names and tags, in one place. Pure."""

import re
from collections.abc import Mapping

PACKAGE = "slipway:index"
LONGEST_LABEL = 63
STACK_TAG = "slipway:stack"


def dns_label(text: str, *, longest: int = LONGEST_LABEL) -> str:
    """`text` as an RFC 1123 label: lower case, digits and hyphens, at most `longest` characters.

    Raises ValueError when nothing of `text` can stand in a label.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")
    if not label:
        raise ValueError(f"{text!r} has no letter or digit to make a name from")
    return label


def stack_tags(stack: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of every AWS resource of a stack; the user's own win."""
    return {STACK_TAG: stack, **tags}


def named(tags: Mapping[str, str], name: str) -> dict[str, str]:
    """`tags` with the name the AWS console shows: the stack's, then the resource's."""
    stack = tags.get(STACK_TAG)
    return {**tags, "Name": f"{stack}-{name}" if stack else name}
