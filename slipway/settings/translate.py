"""pydantic's findings in our words: one sentence a mistake, none of pydantic's own terms."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from slipway.settings.mistakes import Mistake, Path
from slipway.settings.models import Settings
from slipway.settings.names import nearest

_EXPECTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "invalid_key": "a key must be text",
}

_PATTERNS = {
    "reservationId": "must be the id of a Capacity Reservation, such as cr-0a1b2c3d4e5f60718",
    "vpcId": "must be a VPC id such as vpc-0a1b2c3d4e5f60718",
    "privateSubnetIds": "must be a subnet id such as subnet-0a1b2c3d4e5f60718",
    "namespace": "must be the name of a namespace, such as monitoring",
    "version": 'must be a Kubernetes version such as "1.35"',
    "adminRoleArns": "must be the ARN of an IAM role such as arn:aws:iam::123456789012:role/admin",
}

_NOTHING = re.compile(r"(?!)")
_QUOTED = {
    "int_type": re.compile(r"[+-]?[0-9]+"),
    "float_type": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?"),
    "bool_type": re.compile(r"true|false"),
}


def translate(error: ErrorDetails, path: Path) -> Mistake:
    """One of pydantic's errors as a mistake at `path`, which is its location in our spelling."""
    kind = error["type"]
    given = error["input"]
    if kind == "missing":
        return Mistake(path=path, message="is missing")
    if kind == "extra_forbidden":
        return _unknown_key(path, error["loc"])
    if given is None:
        return Mistake(path=path, message="is empty", hint="give it a value, or leave the key out")
    if kind == "enum":
        return _not_one_of(path, given, _choices(error["loc"]))
    return Mistake(path=path, message=_sentence(error), given=given, hint=_hint(kind, given))


def _unknown_key(path: Path, location: tuple[int | str, ...]) -> Mistake:
    # The value is not shown: under a misspelled key it may be a secret.
    known = keys_of(model_at(location[:-1]))
    hit = nearest(str(location[-1]), known)
    return Mistake(path=path, message="there is no such key", allowed=known, nearest=hit)


def _not_one_of(path: Path, given: Any, choices: tuple[str, ...]) -> Mistake:
    hit = nearest(given, choices) if isinstance(given, str) else None
    return Mistake(path=path, message=f"must be one of {', '.join(choices)}", given=given, allowed=choices, nearest=hit)


def _sentence(error: ErrorDetails) -> str:
    limits = error.get("ctx", {})
    match error["type"]:
        case "greater_than":
            return f"must be more than {limits['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {limits['ge']}"
        case "less_than":
            return f"must be less than {limits['lt']:g}"
        case "less_than_equal":
            return f"must be at most {limits['le']:,.0f}"
        case "string_pattern_mismatch":
            named = (part for part in reversed(error["loc"]) if isinstance(part, str))
            return next((_PATTERNS[part] for part in named if part in _PATTERNS), "does not have the right form")
        case kind:
            return _EXPECTED.get(kind, "is not a valid value for this key")


def _hint(kind: str, given: Any) -> str | None:
    if kind == "string_type" and isinstance(given, (int, float)):
        return "put it in quotes"
    quoted = isinstance(given, str) and _QUOTED.get(kind, _NOTHING).fullmatch(given) is not None
    return "write it without quotes" if quoted else None


def keys_of(model: type[BaseModel] | None) -> tuple[str, ...]:
    """The keys of a mapping as they stand in the file."""
    if model is None:
        return ()
    outside = {"stack", "region", "secrets"} if model is Settings else set[str]()
    return tuple(field.alias or name for name, field in model.model_fields.items() if name not in outside)


def model_at(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that describes the mapping at `location`; None where none does."""
    found = _annotation_at(location)
    return next((part for part in _parts(found) if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _choices(location: tuple[int | str, ...]) -> tuple[str, ...]:
    enums = (part for part in _parts(_annotation_at(location)) if isinstance(part, type) and issubclass(part, StrEnum))
    return tuple(member.value for enum in enums for member in enum)


def _annotation_at(location: tuple[int | str, ...]) -> Any:
    found: Any = Settings
    for step in location:
        if isinstance(step, int):
            continue
        model = next((part for part in _parts(found) if isinstance(part, type) and issubclass(part, BaseModel)), None)
        fields: Mapping[str, Any] = model.model_fields if model else {}
        found = next((field.annotation for name, field in fields.items() if step in (field.alias, name)), None)
    return found


def _parts(annotation: Any) -> list[Any]:
    """The annotation and everything inside it: ``tuple[X, ...] | None`` holds X."""
    return [annotation, *(part for inner in get_args(annotation) for part in _parts(inner))]
