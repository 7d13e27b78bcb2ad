"""Runs a piece of a Pulumi program and records what it asked the engine for, options included."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

SECRET = rpc._special_secret_sig
SIGNATURE = rpc._special_sig_key


@dataclass(frozen=True)
class Recorded:
    """One registration. `inputs` hold no secret wrappers; `secrets` are the paths where there was one."""

    type: str
    name: str
    parent: str
    custom: bool
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    protect: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    replace_with: tuple[str, ...]
    depends_on: frozenset[str]


class Recording:
    """What one program registered, by name and by type."""

    def __init__(self) -> None:
        self.resources: list[Recorded] = []
        self.outputs: dict[str, dict[str, Any]] = {}

    def of_type(self, token: str) -> list[Recorded]:
        return [resource for resource in self.resources if resource.type == token]

    def only(self, token: str) -> Recorded:
        (resource,) = self.of_type(token)
        return resource

    def named(self, name: str) -> Recorded:
        (resource,) = [resource for resource in self.resources if resource.name == name]
        return resource


def record(program: Callable[[], Any]) -> Recording:
    """Registers everything `program` makes, as `up` would: ids and ARNs are known."""
    recording = Recording()
    with _closed_loops():
        asyncio.set_event_loop(asyncio.new_event_loop())
        mocks.set_mocks(_Cloud(), project="slipway", stack="dev", preview=False, monitor=_Monitor(_Cloud(), recording))
        pulumi.runtime.test(program)()
        asyncio.set_event_loop(None)
    return recording


@contextmanager
def _closed_loops() -> Iterator[None]:
    """Closes every event loop made inside: the SDK's mocks make one per thread and leave it open."""
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def remember() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    with patch.object(asyncio, "new_event_loop", remember):
        try:
            yield
        finally:
            for loop in made:
                loop.close()


class _Cloud(Mocks):
    """Gives every resource an id and an ARN, and answers SSM parameters as the offline plan does."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made = {"arn": f"arn:aws:test:::{args.name}", "imageId": f"sha256:{args.name}", "latestVersion": 1}
        state = {**made, "name": args.name, **args.inputs, **_computed(args)}
        if args.typ.startswith("kubernetes:"):
            state["metadata"] = {"name": f"{args.name}-autonamed", **args.inputs.get("metadata", {})}
        if args.resource_id:  # read, not made
            return args.resource_id, {**state, "availabilityZone": f"zone-of-{args.resource_id}"}
        return f"{args.name}-id", state

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        return {"name": args.args["name"], "value": f"resolve:ssm:{args.args['name']}"}


def _computed(args: MockResourceArgs) -> dict[str, Any]:
    """What only the provider knows of a few types."""
    known: dict[str, dict[str, Any]] = {
        "aws:eks/cluster:Cluster": {
            "endpoint": f"https://{args.name}.eks.test",
            "certificateAuthority": {"data": "Q0E="},
            "vpcConfig": {**args.inputs.get("vpcConfig", {}), "clusterSecurityGroupId": f"{args.name}-group-id"},
        },
        "aws:eks/nodeGroup:NodeGroup": {
            "resources": [{"autoscalingGroups": [{"name": f"eks-{args.name}"}], "remoteAccessSecurityGroupId": ""}]
        },
        "random:index/randomPassword:RandomPassword": {"result": f"generated-{args.name}"},
    }
    return known.get(args.typ, {})


class _Monitor(MockMonitor):
    def __init__(self, cloud: Mocks, recording: Recording) -> None:
        super().__init__(cloud)
        self._recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the service's name
        inputs = rpc.deserialize_properties(request.object)
        secrets: set[str] = set()
        if request.type != "pulumi:pulumi:Stack":
            self._recording.resources.append(
                Recorded(
                    type=request.type,
                    name=request.name,
                    parent=request.parent,
                    custom=request.custom,
                    inputs=_open(inputs, "", secrets),
                    secrets=frozenset(secrets),
                    protect=request.protect,
                    ignore_changes=tuple(request.ignoreChanges),
                    replace_on_changes=tuple(request.replaceOnChanges),
                    replace_with=tuple(urn.rpartition("::")[2] for urn in request.replace_with),
                    depends_on=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
                )
            )
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the service's name
        outputs = rpc.deserialize_properties(request.outputs)
        self._recording.outputs[request.urn.rpartition("::")[2]] = _open(outputs, "", set())
        return super().RegisterResourceOutputs(request)


def _open(value: Any, path: str, secrets: set[str]) -> Any:
    """The plain value, noting where a secret was wrapped around it."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            secrets.add(path)
            return _open(value["value"], path, secrets)
        return {key: _open(item, f"{path}.{key}".lstrip("."), secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_open(item, f"{path}[{index}]", secrets) for index, item in enumerate(value)]
    return value
