"""Property values as plain Python: what the engine sends a provider, and what a provider answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from slipway.engine.graph import UNKNOWN

_SIGNATURE: Final = rpc._special_sig_key  # pyright: ignore[reportPrivateUsage]
_SECRET: Final = rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]
_FILES: Final = frozenset(
    (rpc._special_asset_sig, rpc._special_archive_sig)  # pyright: ignore[reportPrivateUsage]
)
UNKNOWN_ON_THE_WIRE: Final = rpc.UNKNOWN
"""The text that stands for an unknown value in every message and event of the engine."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value marked secret. It is looked into to check it, and never shown."""

    value: Any


@dataclass(frozen=True, slots=True)
class File:
    """An asset or archive, passed through as it came."""

    content: Mapping[str, Any]


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A message's properties; unknown values become UNKNOWN, whole numbers become int."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_ON_THE_WIRE else value.string_value
    if kind == "struct_value":
        return _decode_struct(value.struct_value)
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def _decode_struct(struct: struct_pb2.Struct) -> Any:
    fields = struct.fields
    if _SIGNATURE in fields:
        signature = fields[_SIGNATURE].string_value
        if signature == _SECRET:
            return Secret(_decode(fields["value"]))
        if signature in _FILES:
            return File(decode(struct))
    return decode(struct)


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """The reverse of `decode`."""
    struct = struct_pb2.Struct()
    struct.update(_encode(properties))
    return struct


def _encode(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_ON_THE_WIRE
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _encode(value.value)}
    if isinstance(value, File):
        return _encode(value.content)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        return {key: _encode(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in cast("list[Any]", value)]
    return value


def reveal(value: Any) -> Any:
    """`value` without its secret marks, at every depth; only for checks, never for an answer."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [reveal(item) for item in cast("list[Any]", value)]
    return value
