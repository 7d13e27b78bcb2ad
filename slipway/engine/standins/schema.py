"""What a resource takes and gives, read from the provider SDK's own classes; only the classes in use are loaded."""

import collections.abc
import enum
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, cast

import pulumi
from pulumi import _types as sdk  # pyright: ignore[reportPrivateUsage] - what the SDKs describe themselves with
from pulumi.runtime import rpc

from slipway.engine.graph import UNKNOWN
from slipway.engine.standins.faults import Faults, member
from slipway.engine.standins.values import File, Secret
from slipway.engine.turn import TURN

_SCALARS: Final[Mapping[type, str]] = {str: "a string", bool: "a boolean", int: "a whole number", float: "a number"}


_RESOURCES: "dict[str, ResourceSchema | None]" = {}


@dataclass(frozen=True, slots=True)
class Property:
    """One input property."""

    hint: Any
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSchema:
    """A resource type: its inputs, and its output properties with their types."""

    token: str
    inputs: Mapping[str, Property]
    outputs: Mapping[str, Any] = field(repr=False)


def resource(token: str) -> ResourceSchema | None:
    """The schema of a resource type; None when its package's SDK has no such type."""
    known = _RESOURCES.get(token)
    if known is None:
        with TURN:
            found = _resource_class(token)
            known = _RESOURCES[token] = _schema(token, found) if found is not None else None
    return known


def token_of(resource_class: type) -> str | None:
    """The resource type of an SDK class; None for a component or a provider."""
    package = resource_class.__module__.split(".")[0].removeprefix("pulumi_")
    for token, (module, name) in _classes(package).items():
        if name == resource_class.__name__ and resource_class.__module__.startswith(module):
            return token
    return None


def tokens(package: str) -> Iterable[str]:
    """Every resource type of a package."""
    return _classes(package).keys()


def provider(package: str) -> ResourceSchema:
    """The schema of a package's provider: its configuration."""
    module = importlib.import_module(f"pulumi_{package}.provider")
    return _schema(f"pulumi:providers:{package}", module.Provider)


def sdk_version(package: str) -> str:
    """The version of the installed SDK, which is the version of the provider it was made for."""
    return str(importlib.import_module(f"pulumi_{package}._utilities").get_version())


@cache
def _classes(package: str) -> Mapping[str, tuple[str, str]]:
    """Resource type -> (module, class), from the registry every SDK fills when it is imported."""
    importlib.import_module(f"pulumi_{package}")
    found: dict[str, tuple[str, str]] = {}
    for key, modules in rpc._RESOURCE_MODULES.items():  # pyright: ignore[reportPrivateUsage]
        if key.startswith(f"{package}:"):
            for module in modules:
                info = cast("Any", module).mod_info
                found.update({token: (info["fqn"], name) for token, name in info["classes"].items()})
    return found


@cache
def _resource_class(token: str) -> type | None:
    module_and_name = _classes(token.split(":", 1)[0]).get(token)
    if module_and_name is None:
        return None
    module, name = module_and_name
    return getattr(importlib.import_module(module), name)


@cache
def _schema(token: str, resource_class: type) -> ResourceSchema:
    module = sys.modules[resource_class.__module__]
    names = [name for name in module.__all__ if name.endswith("Args")]
    inputs: Mapping[str, Property] = _properties(getattr(module, names[0])) if names else {}
    return ResourceSchema(token=token, inputs=inputs, outputs=sdk.resource_types(resource_class))


@cache
def _properties(input_class: type) -> Mapping[str, Property]:
    """An input class's properties; those its constructor has no default for are required."""
    parameters = inspect.signature(input_class.__init__).parameters
    names = sdk.input_type_py_to_pulumi_names(input_class)
    hints = sdk.input_type_types(input_class)
    return {
        name: Property(
            hint=hints.get(name, Any),
            required=python_name in parameters and parameters[python_name].default is inspect.Parameter.empty,
        )
        for python_name, name in names.items()
    }


def check(schema: ResourceSchema, properties: Mapping[str, Any], faults: Faults) -> None:
    """Compare a resource's inputs with its schema, at every depth."""
    _check_properties(schema.inputs, properties, "", faults)


def check_configuration(declared: Mapping[str, Property], given: Mapping[str, Any], faults: Faults) -> None:
    """Compare a provider's configuration with its SDK. Text that reads as JSON may still be meant as text."""
    for name, value in given.items():
        attempt = Faults(hidden=faults.hidden)
        known = {key: Property(hint=prop.hint, required=False) for key, prop in declared.items()}
        _check_properties(known, {name: value}, "", attempt)
        if attempt and name in known and str in _members(known[name].hint):
            continue
        faults.extend(attempt)


def _check_properties(declared: Mapping[str, Property], given: Mapping[str, Any], path: str, faults: Faults) -> None:
    for name, value in given.items():
        if name.startswith("__"):
            continue  # the engine's own notes
        if name not in declared:
            message = "no such property"
            names = sorted(declared)
            faults.add(member(path, name), message, given=name, candidates=names, allowed=names)
        elif value is not None:
            check_type(declared[name].hint, value, member(path, name), faults)
        elif declared[name].required:
            faults.add(member(path, name), "required, but null was given")
    for name, prop in declared.items():
        if prop.required and name not in given:
            faults.add(member(path, name), "required, but missing")


def check_type(hint: Any, value: Any, path: str, faults: Faults) -> None:
    """Compare one value with a type of the SDK. Unknown values pass; secrets are looked into and not repeated."""
    if value is UNKNOWN:
        return
    if isinstance(value, Secret):
        inner = faults.within_secret()
        check_type(hint, value.value, path, inner)
        faults.extend(inner)
        return
    members = _members(hint)
    if not members:
        return
    attempts: list[Faults] = []
    for choice in members:
        attempt = Faults(hidden=faults.hidden)
        _check_one(choice, value, path, attempt)
        if not attempt:
            return
        attempts.append(attempt)
    faults.extend(min(attempts, key=len))


@cache
def _members(hint: Any) -> tuple[Any, ...]:
    """The types a value may have, without the ways Python has of giving it later; empty when anything goes."""
    if hint is Any or hint is object:
        return ()
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return (hint,)
    found: list[Any] = []
    for choice in typing.get_args(hint):
        if choice is type(None) or typing.get_origin(choice) in (collections.abc.Awaitable, pulumi.Output):
            continue
        inner = _members(choice)
        if not inner:
            return ()
        found.extend(inner)
    # "a string, or one of these names" is how an SDK says that the names are only suggestions
    open_ended = str in found
    return tuple(choice for choice in found if not (open_ended and _is_enum(choice)) and not _is_typed_dict(choice))


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, enum.Enum)


def _is_typed_dict(hint: Any) -> bool:
    return typing.is_typeddict(hint)


def _check_one(hint: Any, value: Any, path: str, faults: Faults) -> None:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        _check_choice(typing.get_args(hint), value, path, faults)
    elif origin is collections.abc.Sequence:
        _check_list(typing.get_args(hint)[0], value, path, faults)
    elif origin in (collections.abc.Mapping, dict):
        _check_map(typing.get_args(hint)[1], value, path, faults)
    elif _is_enum(hint):
        _check_choice(tuple(choice.value for choice in hint), value, path, faults)
    elif hint in _SCALARS:
        _check_scalar(hint, value, path, faults)
    elif isinstance(hint, type):
        _check_class(hint, value, path, faults)


def _check_scalar(hint: type, value: Any, path: str, faults: Faults) -> None:
    if isinstance(value, bool):
        fits = hint is bool
    elif hint is float:
        fits = isinstance(value, int | float)
    else:
        fits = isinstance(value, hint)
    if not fits:
        faults.add(path, f"must be {_SCALARS[hint]}", given=value)


def _check_choice(choices: tuple[Any, ...], value: Any, path: str, faults: Faults) -> None:
    if value not in choices:
        names = [str(choice) for choice in choices]
        faults.add(path, "not one of the allowed values", given=value, allowed=names, candidates=names)


def _check_list(item_hint: Any, value: Any, path: str, faults: Faults) -> None:
    if not isinstance(value, list):
        faults.add(path, "must be a list", given=value)
        return
    for index, item in enumerate(cast("list[Any]", value)):
        check_type(item_hint, item, f"{path}[{index}]", faults)


def _check_map(item_hint: Any, value: Any, path: str, faults: Faults) -> None:
    if not isinstance(value, dict):
        faults.add(path, "must be a map", given=value)
        return
    for key, item in cast("dict[str, Any]", value).items():
        check_type(item_hint, item, member(path, key), faults)


def _check_class(hint: type[object], value: Any, path: str, faults: Faults) -> None:
    if issubclass(hint, pulumi.Asset | pulumi.Archive):
        if not isinstance(value, File):
            faults.add(path, "must be an asset or archive", given=value)
    elif issubclass(hint, pulumi.Resource):
        if not isinstance(value, str):
            faults.add(path, "must be a resource or its id", given=value)
    elif sdk.is_input_type(hint):
        if isinstance(value, dict):
            _check_properties(_properties(hint), cast("dict[str, Any]", value), path, faults)
        else:
            faults.add(path, "must be an object", given=value)


def complete(schema: ResourceSchema, inputs: Mapping[str, Any], *, fill: Callable[[str, Any], Any]) -> dict[str, Any]:
    """The resource's outputs: its inputs, and `fill(path, type)` for whatever the provider would work out."""
    return _complete_properties(schema.outputs, inputs, "", fill)


def _complete_properties(
    declared: Mapping[str, Any], given: Mapping[str, Any], path: str, fill: Callable[[str, Any], Any]
) -> dict[str, Any]:
    result = {name: value for name, value in given.items() if not name.startswith("__")}
    for name, hint in declared.items():
        inner = member(path, name)
        if given.get(name) is None:
            result[name] = fill(inner, hint)
        else:
            result[name] = _complete(hint, given[name], inner, fill)
    return result


def _complete(hint: Any, value: Any, path: str, fill: Callable[[str, Any], Any]) -> Any:
    if isinstance(value, Secret):
        return Secret(_complete(hint, value.value, path, fill))
    if isinstance(value, list) and typing.get_origin(hint) is collections.abc.Sequence:
        (item_hint,) = typing.get_args(hint)
        items = cast("list[Any]", value)
        return [_complete(item_hint, item, f"{path}[{index}]", fill) for index, item in enumerate(items)]
    if isinstance(value, dict) and isinstance(hint, type) and sdk.is_output_type(hint):
        return _complete_properties(sdk.output_type_types(hint), cast("dict[str, Any]", value), path, fill)
    return cast("Any", value)
