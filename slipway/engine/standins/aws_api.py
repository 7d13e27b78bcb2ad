"""AWS's own rules: enumerations, patterns, lengths and ranges from botocore's service models, and a few formats."""

import base64
import binascii
import ipaddress
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape

from slipway.engine.graph import UNKNOWN
from slipway.engine.standins.aws_calls import CALLS, CIDRS, INSTANCE_TYPES, POLICY_DOCUMENTS, USER_DATA, Call
from slipway.engine.standins.faults import Faults, member

_USER_DATA_BYTES: Final = 16 * 1024  # EC2 user guide, "Run commands at launch": 16 KB before encoding
_POLICY_VERSIONS: Final = ("2012-10-17", "2008-10-17")
# Java has classes and quantifiers that Python has not, or reads differently; such patterns are left to the cloud.
_FOREIGN: Final = re.compile(r"\\p\{|&&|\[\[|\\u[dD]8|[*+?}]\+")
_LOADING: Final = threading.Lock()  # botocore's loader is not made for threads


def check(token: str, inputs: Mapping[str, Any], faults: Faults) -> None:
    """Compare a resource's inputs with what the AWS call behind it accepts. Unknown values pass."""
    call = CALLS.get(token)
    if call is not None:
        _check_structure(_request(token), inputs, _Place(call), faults)
    for path, value in _texts(inputs, INSTANCE_TYPES.get(token, ())):
        _check_text(_instance_type(), value, path, faults)
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


def partition(region: str) -> str:
    """The AWS partition of a region, such as ``aws`` or ``aws-us-gov``."""
    return str(_session().get_partition_for_region(region))


def dns_suffix(region: str) -> str:
    """The domain of a partition's services, such as ``amazonaws.com``."""
    return str(_session().get_component("endpoint_resolver").get_partition_dns_suffix(partition(region)))


@cache
def _session() -> botocore.session.Session:
    return botocore.session.Session()


@cache
def _shape(service: str, operation: str) -> StructureShape:
    with _LOADING:
        return _session().get_service_model(service).operation_model(operation).input_shape


@cache
def _request(token: str) -> StructureShape:
    call = CALLS[token]
    shape = _shape(call.service, call.operation)
    return cast("StructureShape", shape.members[call.within]) if call.within else shape


@cache
def _instance_type() -> Shape:
    return _shape("ec2", "RunInstances").members["InstanceType"]


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


def _check_structure(shape: StructureShape, given: Mapping[str, Any], place: _Place, faults: Faults) -> None:
    for name, value in given.items():
        inner = place.into(name)
        aliases = place.call.aliases
        alias = aliases.get(inner.general, "") if inner.general in aliases else ""
        if alias is None:
            continue
        target = _at(_shape(place.call.service, place.call.operation), alias) if "." in alias else None
        target = target or _member(shape, alias or name)
        if target is not None:
            _check_value(target, value, inner, faults)


@cache
def _by_plain_name(names: tuple[str, ...]) -> Mapping[str, str]:
    return {_plain(name): name for name in names}


def _member(shape: StructureShape, name: str) -> Shape | None:
    """The member of the same name, whatever its case, singular or plural."""
    names = _by_plain_name(tuple(shape.members))
    plain = _plain(name)
    for candidate in (plain, f"{plain}s", plain.removesuffix("s")):
        if candidate in names:
            return shape.members[names[candidate]]
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _at(shape: Shape, path: str) -> Shape | None:
    """The shape at a path such as ``BlockDeviceMappings[].Ebs.VolumeType``."""
    for part in path.split("."):
        shape = cast("StructureShape", shape).members[part.removesuffix("[]")]
        if part.endswith("[]"):
            shape = cast("ListShape", shape).member
    return shape


def _check_value(shape: Shape, value: Any, place: _Place, faults: Faults) -> None:
    if value is UNKNOWN or value is None or value == "":
        return  # the provider leaves empty text out of the call
    if isinstance(value, dict):
        _check_mapping(shape, cast("Mapping[str, Any]", value), place, faults)
    elif isinstance(value, list):
        if isinstance(shape, ListShape):
            for index, item in enumerate(cast("Sequence[Any]", value)):
                _check_value(shape.member, item, place.item(index), faults)
    elif isinstance(value, str):
        if shape.type_name == "string":
            _check_text(shape, value, place.shown, faults)
    elif not isinstance(value, bool) and shape.type_name in ("integer", "long", "float", "double"):
        _check_range(shape, value, place.shown, faults)


def _check_mapping(shape: Shape, value: Mapping[str, Any], place: _Place, faults: Faults) -> None:
    if isinstance(shape, StructureShape):
        _check_structure(shape, value, place, faults)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            _check_text(shape.key, key, member(place.shown, key), faults)
            _check_value(shape.value, item, place.into(key), faults)
    elif isinstance(shape, ListShape) and isinstance(shape.member, StructureShape):
        _check_tags(shape.member, value, place, faults)


def _check_tags(shape: StructureShape, tags: Mapping[str, Any], place: _Place, faults: Faults) -> None:
    """Tags are a map for the program, and a list of keys and values in the call."""
    key_shape, value_shape = _member(shape, "key"), _member(shape, "value")
    if key_shape is None or value_shape is None:
        return
    for key, item in tags.items():
        _check_text(key_shape, key, member(place.shown, key), faults)
        _check_value(value_shape, item, place.into(key), faults)


def _check_text(shape: Shape, value: str, path: str, faults: Faults) -> None:
    rules = shape.metadata
    allowed: Sequence[str] = rules.get("enum") or ()
    if allowed:
        if value not in allowed:
            faults.add(path, "not a value AWS accepts", given=value, allowed=allowed, candidates=allowed)
        return
    if not rules.get("min", 0) <= len(value) <= rules.get("max", len(value)):
        faults.add(path, f"has {len(value)} characters, AWS accepts {_span(rules)}", given=value)
    pattern = rules.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        faults.add(path, f"does not match the form AWS accepts, {pattern}", given=value)


def _check_range(shape: Shape, value: float, path: str, faults: Faults) -> None:
    rules = shape.metadata
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
