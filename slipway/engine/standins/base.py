"""A plan-only provider: strict about what a program asks for, silent about what only the cloud knows."""

import functools
import hashlib
import json
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from slipway.engine.graph import UNKNOWN
from slipway.engine.standins import schema
from slipway.engine.standins.faults import Fault, Faults, closest, member
from slipway.engine.standins.values import Secret, decode, encode, reveal

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Answers one invoke: its arguments in, its result out. Both in the provider's own camelCase names."""

_ENGINE_KEYS: Final = frozenset(("version", "pluginDownloadURL"))


class UnanswerableError(Exception):
    """A provider was asked for something it cannot know or do; the text is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFault:
    """A mistake and the resource it was made in."""

    urn: str
    type: str
    name: str
    fault: Fault


@dataclass(slots=True)
class Notebook:
    """What the providers of one session tell each other and the session. Safe to share between threads."""

    faults: list[ResourceFault] = field(default_factory=list[ResourceFault])
    unvalidated: list[str] = field(default_factory=list[str])
    checked: set[str] = field(default_factory=set[str])
    refused: list[str] = field(default_factory=list[str])
    collecting: bool = False
    """On a preview, mistakes are noted and the program goes on, so that all resources' mistakes are found at once."""
    kubernetes_version: str | None = None
    region: str | None = None

    def clear(self) -> None:
        """Forget the last operation."""
        self.faults.clear()
        self.unvalidated.clear()
        self.checked.clear()
        self.refused.clear()


Handler = TypeVar("Handler", bound=Callable[..., Any])


def _answering(handler: Handler) -> Handler:
    """Turn an exception into an answer the engine can show; gRPC itself would print a traceback."""

    @functools.wraps(handler)
    def answer(self: "StandIn", request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(self, request, context)
        except UnanswerableError as reason:
            self.notebook.refused.append(str(reason))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(reason))
        except Exception:  # noqa: BLE001 - a defect of a stand-in must name itself instead of hanging the engine
            context.abort(grpc.StatusCode.INTERNAL, f"stand-in for {self.package}: {traceback.format_exc()}")
        raise AssertionError("abort always raises")

    return cast("Handler", answer)


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """One package's provider for planning, built from the package's own Python SDK.

    Subclasses add what the SDK does not say: formats, names, answers to invokes. `Create` refuses to create.
    """

    package: str

    def __init__(self, package: str, answers: Mapping[str, Answer] | None = None) -> None:
        self.package = package
        self.notebook = Notebook()
        self.answers: dict[str, Answer] = dict(answers or {})
        self._guard = threading.Lock()

    # What subclasses may refine ------------------------------------------------------------------------------

    def review(self, token: str, inputs: Mapping[str, Any], faults: Faults) -> None:
        """Check what the SDK's types leave open; `inputs` holds no secret marks. Called when the types hold."""

    def settle(self, urn: str, token: str, inputs: dict[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The inputs as the provider would record them, such as with a generated name."""
        return inputs

    def check_resource(self, urn: str, token: str, inputs: Mapping[str, Any], faults: Faults) -> None:  # noqa: ARG002
        """Check a resource's inputs completely."""
        declared = schema.resource(token)
        if declared is None:
            nearest = closest(token, schema.tokens(self.package))
            message = f"pulumi_{self.package} {schema.sdk_version(self.package)} has no such resource type"
            faults.extend([Fault(path="", message=message, given=token, nearest=nearest)])
            return
        schema.check(declared, inputs, faults)
        if not faults:
            reviewed = Faults()
            self.review(token, reveal(inputs), reviewed)
            faults.extend(hidden_where_secret(inputs, reviewed))

    def outputs(self, urn: str, token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """What a preview knows of the resource: its inputs; everything else is unknown."""
        declared = schema.resource(token)
        if declared is None:
            return dict(inputs)
        return schema.complete(declared, inputs, fill=lambda _path, _hint: UNKNOWN)

    def create(self, urn: str, token: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        """Really create; a stand-in cannot."""
        raise UnanswerableError(f"{token}: planned offline, so nothing can be created; use `pulumi up`")

    # The provider protocol ------------------------------------------------------------------------------------

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: ARG002, N802
        """The version of the SDK, as the real provider would have."""
        return plugin_pb2.PluginInfo(version=schema.sdk_version(self.package))

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ProviderHandshakeResponse:  # noqa: ARG002, N802
        """Secrets arrive as secrets; everything else in its plainest form."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """Nothing to attach to."""
        return empty_pb2.Empty()

    @_answering
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: ARG002, N802
        """Compare the provider's configuration with its SDK; nested values come as JSON text."""
        given = {key: _from_json(value) for key, value in decode(request.news).items() if key not in _ENGINE_KEYS}
        faults = Faults()
        declared = schema.provider(self.package).inputs
        schema.check_configuration(declared, given, faults)
        region = reveal(given.get("region"))
        if isinstance(region, str):
            with self._guard:
                self.notebook.region = region
        return self._verdict(request, f"pulumi:providers:{self.package}", faults, request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: ARG002, N802
        """A change of the provider's configuration replaces nothing."""
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:  # noqa: ARG002, N802
        """Previews are supported, with unknown values."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @_answering
    def Check(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:  # noqa: ARG002, N802
        """Every mistake in the resource's inputs at once, or the inputs as they will be recorded."""
        token = type_of(request.urn)
        inputs = decode(request.news)
        faults = Faults()
        self.check_resource(request.urn, token, inputs, faults)
        settled = inputs if faults else self.settle(request.urn, token, inputs, decode(request.olds))
        return self._verdict(request, token, faults, encode(settled))

    @_answering
    def Diff(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:  # noqa: ARG002, N802
        """Which top-level inputs changed. What a change replaces is for the real provider to say."""
        old, new = decode(request.old_inputs), decode(request.news)
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE, diffs=changed)

    @_answering
    def Create(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:  # noqa: ARG002, N802
        """On a preview, the inputs and unknowns; outside one, whatever `create` does."""
        token, inputs = type_of(request.urn), decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=encode(self.outputs(request.urn, token, inputs)))
        identity, outputs = self.create(request.urn, token, inputs)
        return provider_pb2.CreateResponse(id=identity, properties=encode(outputs))

    @_answering
    def Update(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:  # noqa: ARG002, N802
        """As `Create`, for a resource that exists."""
        token, inputs = type_of(request.urn), decode(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encode(self.outputs(request.urn, token, inputs)))
        _, outputs = self.create(request.urn, token, inputs)
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    @_answering
    def Read(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:  # noqa: ARG002, N802
        """A resource that exists outside the stack: its id is known, and the program takes the rest as unknown."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties)

    @_answering
    def Delete(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """There is nothing to delete."""
        return empty_pb2.Empty()

    @_answering
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:  # noqa: ARG002, N802
        """An answer from public knowledge, or an error: nothing is invented."""
        answer = self.answers.get(request.tok)
        if answer is None:
            raise UnanswerableError(
                f"only the cloud can answer {request.tok}; pass its result to the program as an input"
            )
        result = answer({"region": self.notebook.region, **reveal(decode(request.args))})
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(encode(result))  # a field named like a keyword
        return response

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """Nothing runs for long."""
        return empty_pb2.Empty()

    def _verdict(self, request: Any, token: str, faults: Iterable[Fault], inputs: Any) -> provider_pb2.CheckResponse:
        """Tell the engine, and note for the session in full what the engine would abbreviate."""
        found = tuple(faults)
        with self._guard:
            self.notebook.checked.add(request.urn)
            self.notebook.faults.extend(
                ResourceFault(urn=request.urn, type=token, name=name_of(request.urn), fault=fault) for fault in found
            )
        told = () if self.notebook.collecting else found
        failures = [provider_pb2.CheckFailure(reason=f"{fault.path}: {fault.text}") for fault in told]
        return provider_pb2.CheckResponse(inputs=inputs, failures=failures)


def _from_json(value: Any) -> Any:
    """Provider configuration carries everything but text as JSON text."""
    if isinstance(value, Secret):
        return Secret(_from_json(value.value))
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def hidden_where_secret(inputs: Mapping[str, Any], faults: Iterable[Fault]) -> list[Fault]:
    """The mistakes, without what was given wherever that is secret."""
    secrets = tuple(_secret_paths(inputs, ""))
    return [
        Fault(path=fault.path, message="the secret value is not one that is accepted", given="[secret]")
        if fault.path.startswith(secrets)
        else fault
        for fault in faults
    ]


def _secret_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Secret):
        yield path
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _secret_paths(item, member(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _secret_paths(item, f"{path}[{index}]")


def type_of(urn: str) -> str:
    """The resource type in a URN, without the types of its parents."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """The resource's name in a URN; names may hold ``::`` themselves."""
    return urn.split("::", 3)[3]


def stable_hex(text: str, digits: int) -> str:
    """Hexadecimal digits that look random and are the same on every run."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
