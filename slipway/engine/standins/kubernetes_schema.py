"""Kubernetes objects against the JSON schemas of one Kubernetes version, in strict mode: unknown fields are mistakes.

`kubernetes-validate` brings the schemas. Its own `validate` stops at the first mistake and knows no unknown values, so
the schemas are read here; they use only types, references, required names, enumerations and oneOf.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from slipway.engine.graph import UNKNOWN
from slipway.engine.standins.faults import Faults, member
from slipway.engine.standins.kubernetes_enums import ENUMS
from slipway.engine.standins.values import Secret

_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "string": ((str,), "a string"),
    "boolean": ((bool,), "a boolean"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "array": ((list,), "a list"),
    "object": ((dict,), "an object"),
    "null": ((type(None),), "null"),
}
_QUANTITY: Final = ".resource.Quantity"
# Kubernetes documentation, "Quantity": a decimal number with a binary or decimal suffix, or an exponent.
_QUANTITY_FORM: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_STRICT: Final = re.compile(r"v(.+)-local-strict")
_DOMAIN: Final = re.compile(r"^([^./]*)(?:\.[^/]*)?/")


def supported(version: str | None) -> str:
    """The version of the schemas for a cluster of `version`: the same, or the newest one that is not newer."""
    known = _versions()
    if version is None:
        return known[-1]
    wanted = _numbers(version)
    older = [candidate for candidate in known if _numbers(candidate) <= wanted]
    return older[-1] if older else known[0]


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def find(api_version: str, kind: str, version: str) -> Mapping[str, Any] | None:
    """The schema of a kind; None when that Kubernetes has no such kind."""
    group = _DOMAIN.sub(r"\1-", api_version)
    return _load(supported(version), f"{kind.lower()}-{group}")


def kinds(api_version: str, version: str) -> list[str]:
    """The kinds of an API group and version, for suggestions; empty when Kubernetes itself has no such group."""
    suffix = "-" + _DOMAIN.sub(r"\1-", api_version) + ".json"
    names = [entry.name.removesuffix(suffix) for entry in _folder(supported(version)).iterdir()]
    return sorted(name for name in names if not name.endswith(".json"))


def object_meta(version: str) -> Mapping[str, Any]:
    """The schema of `metadata`."""
    return definitions(version)["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]


@cache
def _root() -> Path:
    """The package's data. Finding it without importing the package saves 30 ms of a schema library not used here."""
    spec = find_spec("kubernetes_validate")
    assert spec is not None and spec.submodule_search_locations is not None  # noqa: S101, PT018 - in requirements.txt
    return Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"


@cache
def _versions() -> tuple[str, ...]:
    """The Kubernetes versions there are schemas for, oldest first."""
    found = (match[1] for folder in _root().iterdir() if (match := _STRICT.fullmatch(folder.name)))
    return tuple(sorted(found, key=_numbers))


def definitions(version: str | None) -> Mapping[str, Any]:
    """The types all schemas of a version refer to, by name."""
    return _definitions(supported(version))


def _folder(version: str) -> Path:
    return _root() / f"v{version}-local-strict"


@cache
def _load(version: str, name: str) -> Mapping[str, Any] | None:
    path = _folder(version) / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


@cache
def _definitions(version: str) -> Mapping[str, Any]:
    loaded = _load(version, "_definitions")
    assert loaded is not None  # noqa: S101 - part of the package
    found: dict[str, Any] = loaded["$defs"]
    for (name, field), allowed in ENUMS.items():
        declared = found.get(name, {}).get("properties", {}).get(field)
        if declared is not None:
            declared.get("items", declared)["enum"] = list(allowed)
    return found


def check(schema: Mapping[str, Any], value: Any, version: str, path: str, faults: Faults) -> None:
    """Compare a value with a schema, at every depth. Unknown values pass; secrets are not repeated."""
    if value is UNKNOWN:
        return
    if isinstance(value, Secret):
        hidden = faults.within_secret()
        check(schema, value.value, version, path, hidden)
        faults.extend(hidden)
        return
    reference = schema.get("$ref")
    if reference is not None:
        if reference.endswith(_QUANTITY) and isinstance(value, str) and not _QUANTITY_FORM.fullmatch(value):
            faults.add(path, "not a quantity such as 500m, 2 or 16Gi", given=value)
            return
        check(_definitions(supported(version))[reference.rpartition("/")[2]], value, version, path, faults)
        return
    choices: Sequence[Mapping[str, Any]] = schema.get("oneOf") or ()
    if choices:
        _check_choices(choices, value, version, path, faults)
    elif _has_type(schema, value, path, faults):
        _check_content(schema, value, version, path, faults)


def _check_choices(choices: Sequence[Mapping[str, Any]], value: Any, version: str, path: str, faults: Faults) -> None:
    attempts: list[Faults] = []
    for choice in choices:
        attempt = Faults(hidden=faults.hidden)
        check(choice, value, version, path, attempt)
        if not attempt:
            return
        attempts.append(attempt)
    names = " or ".join(_TYPES[kind][1] for choice in choices for kind in _kinds(choice) if kind != "null")
    faults.add(path, f"must be {names}", given=value)


def _kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    declared: str | list[str] = schema.get("type") or ()  # pyright: ignore[reportAssignmentType]
    return (declared,) if isinstance(declared, str) else tuple(declared)


def _has_type(schema: Mapping[str, Any], value: Any, path: str, faults: Faults) -> bool:
    declared = _kinds(schema)
    if not declared or any(_is(kind, value) for kind in declared):
        return True
    faults.add(path, "must be " + " or ".join(_TYPES[kind][1] for kind in declared if kind != "null"), given=value)
    return False


def _is(kind: str, value: Any) -> bool:
    accepted, _ = _TYPES[kind]
    return isinstance(value, accepted) and (kind == "boolean" or not isinstance(value, bool))


def _check_content(schema: Mapping[str, Any], value: Any, version: str, path: str, faults: Faults) -> None:
    allowed: Iterable[Any] = schema.get("enum") or ()
    if allowed and value is not None and value not in allowed:
        names = [str(name) for name in allowed]
        faults.add(path, "not one of the allowed values", given=value, allowed=names, candidates=names)
    if schema.get("format") == "byte" and isinstance(value, str):
        _check_base64(value, path, faults)
    if isinstance(value, dict):
        _check_fields(schema, cast("Mapping[str, Any]", value), version, path, faults)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(cast("Sequence[Any]", value)):
            check(schema["items"], item, version, f"{path}[{index}]", faults)


def _check_base64(value: str, path: str, faults: Faults) -> None:
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        faults.add(path, "must be base64", given=value)


def _check_fields(schema: Mapping[str, Any], given: Mapping[str, Any], version: str, path: str, faults: Faults) -> None:
    declared: Mapping[str, Any] = schema.get("properties") or {}
    others: Any = schema.get("additionalProperties", True)
    for name, value in given.items():
        inner = member(path, name)
        if name in declared:
            check(declared[name], value, version, inner, faults)
        elif isinstance(others, dict):
            check(cast("Mapping[str, Any]", others), value, version, inner, faults)
        elif others is False:
            faults.add(inner, "no such field", given=name, candidates=declared, allowed=sorted(declared))
    for name in schema.get("required") or ():
        if name not in given:
            faults.add(member(path, name), "required, but missing")
