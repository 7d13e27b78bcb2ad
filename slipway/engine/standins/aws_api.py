"""AWS's own rules: enumerations, patterns, lengths and ranges from botocore's service models, and a few formats."""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

from slipway.engine.graph import UNKNOWN
from slipway.engine.standins.aws_calls import CALLS, CIDRS, INSTANCE_TYPES, POLICY_DOCUMENTS, USER_DATA, Call
from slipway.engine.standins.aws_model import Shape, request
from slipway.engine.standins.faults import Faults, member

_USER_DATA_BYTES: Final = 16 * 1024  # EC2 user guide, "Run commands at launch": 16 KB before encoding
_POLICY_VERSIONS: Final = ("2012-10-17", "2008-10-17")
# Java has classes and quantifiers that Python has not, or reads differently; such patterns are left to the cloud.
_FOREIGN: Final = re.compile(r"\\p\{|&&|\[\[|\\u[dD]8|[*+?}]\+")
_NUMBERS: Final = ("integer", "long", "float", "double")


def check(token: str, inputs: Mapping[str, Any], faults: Faults) -> None:
    """Compare a resource's inputs with what the AWS call behind it accepts. Unknown values pass."""
    call = CALLS.get(token)
    if call is not None:
        _check_structure(_request(token), inputs, _Place(call), faults)
    for path, value in _texts(inputs, INSTANCE_TYPES.get(token, ())):
        _check_text(_instance_types(), value, path, faults)
    for path, value in _texts(inputs, POLICY_DOCUMENTS.get(token, ())):
        _check_policy(path, value, faults)
    for path, value in _texts(inputs, CIDRS.get(token, ())):
        _check_cidr(path, value, faults)
    if token in USER_DATA:
        name, encoded = USER_DATA[token]
        for path, value in _texts(inputs, (name,)):
            _check_user_data(path, value, faults, encoded=encoded)


def load(token: str) -> None:
    """Read the service model a resource's check needs, ahead of time."""
    if token in CALLS:
        _request(token)


@cache
def _request(token: str) -> Shape:
    call = CALLS[token]
    whole = request(call.service, call.operation)
    inner = whole.member(call.within) if call.within else whole
    assert inner is not None  # noqa: S101 - a mistake in the table of calls
    return inner


def _instance_types() -> Shape:
    found = request("ec2", "RunInstances").member("InstanceType")
    assert found is not None  # noqa: S101 - part of the model
    return found


class _Place:
    """Where in the inputs the check is: the path shown, and the path without indexes that aliases are written in."""

    def __init__(self, call: Call, shown: str = "", general: str = "") -> None:
        self.call = call
        self.shown = shown
        self.general = general

    def into(self, name: str) -> "_Place":
        general = f"{self.general}.{name}" if self.general else name
        return _Place(self.call, member(self.shown, name), general)

    def item(self, index: int) -> "_Place":
        return _Place(self.call, f"{self.shown}[{index}]", f"{self.general}[]")


def _check_structure(shape: Shape, given: Mapping[str, Any], place: _Place, faults: Faults) -> None:
    for name, value in given.items():
        inner = place.into(name)
        alias = place.call.aliases.get(inner.general, name)
        if alias is not None:
            root = request(place.call.service, place.call.operation) if "." in alias else shape
            target = root.at(alias)
            if target is not None:
                _check_value(target, value, inner, faults)


def _check_value(shape: Shape, value: Any, place: _Place, faults: Faults) -> None:
    if value is UNKNOWN or value is None or value == "":
        return  # the provider leaves empty text out of the call
    if isinstance(value, dict):
        _check_mapping(shape, cast("Mapping[str, Any]", value), place, faults)
    elif isinstance(value, list):
        if shape.kind in ("list", "structure"):  # an alias may point at what one item of the list becomes
            inner = shape.item if shape.kind == "list" else shape
            for index, item in enumerate(cast("Sequence[Any]", value)):
                _check_value(inner, item, place.item(index), faults)
    elif isinstance(value, str):
        if shape.kind == "string":
            _check_text(shape, value, place.shown, faults)
    elif not isinstance(value, bool) and shape.kind in _NUMBERS:
        _check_range(shape, value, place.shown, faults)


def _check_mapping(shape: Shape, value: Mapping[str, Any], place: _Place, faults: Faults) -> None:
    if shape.kind == "structure":
        _check_structure(shape, value, place, faults)
    elif shape.kind == "map":
        _check_entries(shape.key, shape.value, value, place, faults)
    elif shape.kind == "list" and shape.item.kind == "structure":
        # tags are a map for the program, and a list of keys and values in the call
        key, item = shape.item.member("key"), shape.item.member("value")
        if key is not None and item is not None:
            _check_entries(key, item, value, place, faults)


def _check_entries(key: Shape, value: Shape, given: Mapping[str, Any], place: _Place, faults: Faults) -> None:
    for name, item in given.items():
        _check_text(key, name, member(place.shown, name), faults)
        _check_value(value, item, place.into(name), faults)


def _check_text(shape: Shape, value: str, path: str, faults: Faults) -> None:
    rules = shape.rules
    if shape.enum:
        if value not in shape.enum:
            faults.add(path, "not a value AWS accepts", given=value, allowed=shape.enum, candidates=shape.enum)
        return
    if not rules.get("min", 0) <= len(value) <= rules.get("max", len(value)):
        faults.add(path, f"has {len(value)} characters, AWS accepts {_span(rules)}", given=value)
    pattern = rules.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        faults.add(path, f"does not match the form AWS accepts, {pattern}", given=value)


def _check_range(shape: Shape, value: float, path: str, faults: Faults) -> None:
    rules = shape.rules
    if not rules.get("min", value) <= value <= rules.get("max", value):
        faults.add(path, f"out of range, AWS accepts {_span(rules)}", given=value)


def _span(rules: Mapping[str, Any]) -> str:
    if "min" in rules and "max" in rules:
        return f"{rules['min']} to {rules['max']}"
    return f"at least {rules['min']}" if "min" in rules else f"at most {rules['max']}"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    if _FOREIGN.search(pattern):
        return None
    try:
        return re.compile(pattern, re.ASCII if r"\w" in pattern else 0)
    except re.error:
        return None


def _texts(inputs: Mapping[str, Any], patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The known texts at paths such as ``ingress[].cidrBlocks[]``."""
    for pattern in patterns:
        for path, value in _walk(inputs, pattern.split("."), ""):
            if isinstance(value, str):
                yield path, value


def _walk(value: Any, parts: Sequence[str], path: str) -> Iterator[tuple[str, Any]]:
    if not parts:
        yield path, value
        return
    if not isinstance(value, dict):
        return
    name = parts[0].removesuffix("[]")
    inner = cast("Mapping[str, Any]", value).get(name)
    if not parts[0].endswith("[]"):
        yield from _walk(inner, parts[1:], member(path, name))
    elif isinstance(inner, list):
        for index, item in enumerate(cast("Sequence[Any]", inner)):
            yield from _walk(item, parts[1:], f"{member(path, name)}[{index}]")


def _check_cidr(path: str, value: str, faults: Faults) -> None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        faults.add(path, f"not an address range: {error}", given=value)
        return
    if "/" not in value:
        faults.add(path, "not an address range: the prefix length is missing", given=value)


def _check_user_data(path: str, value: str, faults: Faults, *, encoded: bool) -> None:
    content = value.encode()
    if encoded:
        try:
            content = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            faults.add(path, "must be base64")
            return
    if len(content) > _USER_DATA_BYTES:
        faults.add(path, f"has {len(content)} bytes, EC2 accepts {_USER_DATA_BYTES}")


def _check_policy(path: str, value: str, faults: Faults) -> None:
    """A policy must be JSON with a version IAM knows, and statements that say what they do."""
    try:
        document: Any = json.loads(value)
    except ValueError as error:
        faults.add(path, f"not JSON: {error}", given=value)
        return
    if not isinstance(document, dict):
        faults.add(path, "a policy must be a JSON object", given=value)
        return
    policy = cast("Mapping[str, Any]", document)
    version = policy.get("Version")
    if version is not None and version not in _POLICY_VERSIONS:
        faults.add(f"{path}.Version", "not a version IAM knows", given=version, allowed=_POLICY_VERSIONS)
    statements: Any = policy.get("Statement")
    for index, statement in enumerate(_as_list(statements)):
        _check_statement(f"{path}.Statement[{index}]", statement, faults)
    if not statements:
        faults.add(f"{path}.Statement", "required, but missing")


def _check_statement(path: str, statement: Any, faults: Faults) -> None:
    if not isinstance(statement, dict):
        faults.add(path, "a statement must be a JSON object", given=statement)
        return
    fields = cast("Mapping[str, Any]", statement)
    if fields.get("Effect") not in ("Allow", "Deny"):
        faults.add(f"{path}.Effect", "must be Allow or Deny", given=fields.get("Effect", "nothing"))
    if "Action" not in fields and "NotAction" not in fields:
        faults.add(f"{path}.Action", "required, but missing")


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]
