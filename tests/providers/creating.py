"""Providers that pretend to create: ids and outputs are invented, the same on every run, so that `up` can be tested."""

import enum
import typing
from collections.abc import Mapping
from typing import Any

from pulumi import _types as sdk

from slipway.engine.standins import schema
from slipway.engine.standins.aws import AwsStandIn
from slipway.engine.standins.base import StandIn, stable_hex
from slipway.engine.standins.kubernetes import KubernetesStandIn

_ID_DIGITS = 17
# Where the form of an id is checked when another resource refers to it.
_PREFIXES = {"aws:ec2/securityGroup:SecurityGroup": "sg", "aws:efs/fileSystem:FileSystem": "fs"}


class _Recording(StandIn):
    """Adds creation to a plan-only provider and keeps what was created and deleted, by URN."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.created: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []

    def create(self, urn: str, token: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        declared = schema.resource(token)
        prefix = _PREFIXES.get(token, token.rpartition(":")[2].lower())
        identity = f"{prefix}-{stable_hex(urn, _ID_DIGITS)}"
        if declared is None or (self.package == "kubernetes" and "apiVersion" in inputs):
            outputs = dict(inputs)
        else:
            outputs = schema.complete(declared, inputs, fill=lambda path, hint: invented(hint, f"{urn}.{path}"))
        self.created[urn] = outputs
        return identity, outputs

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.deleted.append(request.urn)
        return super().Delete(request, context)


class RecordingAws(_Recording, AwsStandIn):
    """AWS that creates."""


class RecordingKubernetes(_Recording, KubernetesStandIn):
    """Kubernetes that creates."""


class RecordingPackage(_Recording):
    """Any other package that creates."""


def recording() -> dict[str, _Recording]:
    """One of each, to be given to `Offline(providers=...)`."""
    return {
        "aws": RecordingAws(),
        "kubernetes": RecordingKubernetes(),
        "docker": RecordingPackage("docker"),
        "random": RecordingPackage("random"),
    }


def invented(hint: Any, seed: str) -> Any:
    """A value of the type an output is declared with; no two outputs are alike."""
    origin = typing.get_origin(hint)
    if origin is typing.Union:
        return invented(next(choice for choice in typing.get_args(hint) if choice is not type(None)), seed)
    if origin is not None and issubclass(origin, typing.Sequence):
        return [invented(typing.get_args(hint)[0], f"{seed}[0]")]
    if isinstance(hint, type) and sdk.is_output_type(hint):
        return {name: invented(inner, f"{seed}.{name}") for name, inner in sdk.output_type_types(hint).items()}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint)).value
    simple = {str: f"made-{stable_hex(seed, 12)}", bool: False, int: int(stable_hex(seed, 4), 16), float: 0.5}
    return simple.get(hint, {})
