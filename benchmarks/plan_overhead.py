"""How much longer a plan takes than Pulumi itself needs for the same resources.

Compared are, in one process, by turns, after one round that does not count:

- `slipway`: everything `slipway plan prod` does up to the graph: reading and checking the stack file, temporary
  folders, providers, the program with its settings, planning and components, and the checks.
- `bare`: only `Stack.preview()` of the Automation API, with workspace and providers already there, of a program that
  registers the recorded resources (type, name, parent, provider, inputs, dependencies) and does nothing else.

Both run against the same stand-in providers on the same engine. The figure is the median of the ratios of each round,
so that a busy moment of the machine counts for both sides or not at all.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.automation import ConfigValue, LocalWorkspace, ProjectSettings, PulumiCommand, Stack
from pulumi.output import UNKNOWN as UNKNOWN_OUTPUT

from slipway.engine import SECRET, UNKNOWN, Graph, Resource, obtain, preview
from slipway.engine.standins import plan_only, schema
from slipway.engine.standins.base import Notebook
from slipway.engine.standins.server import serve
from slipway.settings import read_stack

STACK: Final = "prod"
ROUNDS: Final = 15
PROJECT: Final = Path(__file__).parents[1]


def main() -> None:
    """Print the medians and, last, ``plan_overhead=RATIO``."""
    graph = _plan()
    print(f"{STACK}: {len(graph.resources)} resources, {ROUNDS} rounds")
    with tempfile.TemporaryDirectory(prefix="slipway-bare-") as folder:
        notebook = Notebook(collecting=True)
        with serve(plan_only({}), notebook) as attached:
            stack = _bare_stack(graph, Path(folder), attached)
            bare_seconds, slipway_seconds = _by_turns(lambda: stack.preview(on_event=lambda _: None), _plan)
    if notebook.faults:
        sys.exit(f"the bare program does not register the same resources: {notebook.faults[0]}")
    bare, own = statistics.median(bare_seconds), statistics.median(slipway_seconds)
    print(f"bare     median {bare:.3f} s  ({min(bare_seconds):.3f} to {max(bare_seconds):.3f})")
    print(f"slipway  median {own:.3f} s  ({min(slipway_seconds):.3f} to {max(slipway_seconds):.3f})")
    ratios = [after / before for before, after in zip(bare_seconds, slipway_seconds, strict=True)]
    print(f"plan_overhead={statistics.median(ratios):.3f}")


def _plan() -> Graph:
    return preview(read_stack(STACK, PROJECT), project=PROJECT)


def _by_turns(first: Callable[[], object], second: Callable[[], object]) -> tuple[list[float], list[float]]:
    """The seconds of both, in pairs, so that a busy moment of the machine meets both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_number in range(ROUNDS + 1):
        for seconds, work in zip(times, (first, second), strict=True):
            started = time.perf_counter()
            work()
            if round_number:
                seconds.append(time.perf_counter() - started)
    return times


def _bare_stack(graph: Graph, folder: Path, attached: str) -> Stack:
    engine = obtain()
    # the Automation API expects `bin/pulumi` below a root, which is how both the cache and an installation are laid out
    command = PulumiCommand(root=str(engine.path.parent.parent))
    state = folder / "state"
    work = folder / "work"
    state.mkdir()
    work.mkdir()
    workspace = LocalWorkspace(
        work_dir=str(work),
        pulumi_home=str(folder / "home"),
        program=lambda: _register(graph),
        pulumi_command=command,
        project_settings=ProjectSettings(name="slipway", runtime="python"),
        env_vars={
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "offline",
            "PULUMI_DEBUG_PROVIDERS": attached,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
    )
    stack = Stack.create(STACK, workspace)
    region = graph.region()
    if region is not None:
        workspace.set_config(STACK, "aws:region", ConfigValue(value=region))
    return stack


def _register(graph: Graph) -> None:
    """Register the graph's resources with nothing but the SDK's base classes."""
    made: dict[str, pulumi.Resource] = {}
    for resource in graph.resources:
        if resource.type == "pulumi:pulumi:Stack" or _is_default_provider(resource):
            continue
        made[resource.urn] = _make(resource, made)
    for name, value in graph.outputs.items():
        pulumi.export(name, _value(value, None))


def _is_default_provider(resource: Resource) -> bool:
    """Default providers are the engine's own; it makes them again."""
    return resource.type.startswith("pulumi:providers:") and resource.name.startswith("default")


def _make(resource: Resource, made: Mapping[str, pulumi.Resource]) -> pulumi.Resource:
    parent = made.get(resource.parent or "")
    if not resource.custom:
        options = pulumi.ResourceOptions(parent=parent)
        return pulumi.ComponentResource(resource.type, resource.name, None, options)
    inputs = {key: _value(value, _source(resource, key, made)) for key, value in resource.inputs.items()}
    if resource.type.startswith("pulumi:providers:"):
        inputs.pop("version", None)
        package = resource.type.rpartition(":")[2]
        options = pulumi.ResourceOptions(parent=parent, version=schema.sdk_version(package))
        return pulumi.ProviderResource(package, resource.name, inputs, options)
    provider = made.get(resource.provider or "")
    options = pulumi.ResourceOptions(
        parent=parent,
        provider=provider if isinstance(provider, pulumi.ProviderResource) else None,
        version=schema.sdk_version(resource.type.split(":", 1)[0]),
        protect=resource.protect,
        id="existing" if resource.change == "read" else None,
    )
    return pulumi.CustomResource(resource.type, resource.name, inputs, options)


def _source(resource: Resource, key: str, made: Mapping[str, pulumi.Resource]) -> pulumi.Output[str] | None:
    """An unknown output of a resource this input depends on."""
    for urn in resource.property_dependencies.get(key, ()):
        found = made.get(urn)
        if isinstance(found, pulumi.CustomResource):
            return found.id
    return None


def _value(value: Any, source: pulumi.Output[str] | None) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_OUTPUT if source is None else source
    if value is SECRET:
        return pulumi.Output.secret(UNKNOWN_OUTPUT)
    if isinstance(value, Mapping):
        return {key: _value(item, source) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item, source) for item in value]
    return value
