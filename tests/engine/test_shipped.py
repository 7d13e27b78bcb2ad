"""Every shipped stack on the real engine: planned, applied with pretending providers, planned again, destroyed."""

import sys
from pathlib import Path

import pytest

from slipway.engine import SECRET, Offline, previews
from slipway.problems import SlipwayError
from slipway.settings import read_stack

sys.path.insert(0, str(Path(__file__).parents[1] / "providers"))
from creating import recording

pytestmark = pytest.mark.engine

PROJECT = Path(__file__).parents[2]
STACKS = tuple(sorted(path.name.split(".")[1] for path in PROJECT.glob("Pulumi.*.yaml")))
MARKER = "hf_PLANTED_marker_0123456789"


def test_every_shipped_stack_plans_and_every_object_in_it_was_validated():
    results = previews([read_stack(name, PROJECT) for name in STACKS], project=PROJECT)
    assert {name: type(result).__name__ for name, result in results.items()} == dict.fromkeys(STACKS, "Graph")
    # Custom resources have no schema at hand; tests/cluster has their real definitions.
    unvalidated = {urn.split("::")[2].rpartition("$")[2] for found in results.values() for urn in found.unvalidated}
    assert unvalidated == {f"kubernetes:monitoring.coreos.com/v1:{kind}" for kind in ("PodMonitor", "PrometheusRule")}


@pytest.mark.parametrize("name", STACKS)
def test_a_second_plan_of_a_deployed_stack_changes_nothing_and_destroy_leaves_nothing(name):
    config = {**read_stack(name, PROJECT).config, "slipway:protect": False}
    with Offline(name, config, project=PROJECT, providers=recording()) as session:
        applied = session.up()
        again = session.preview()
        assert [(resource.name, resource.change) for resource in again.resources if resource.change != "same"] == [
            (resource.name, "read") for resource in applied.resources if resource.change == "read"
        ]
        session.destroy()
        assert '"urn"' not in session.state()


def test_prod_cannot_be_destroyed_while_it_is_protected():
    config = {**read_stack("prod", PROJECT).config, "slipway:protect": True}
    with Offline("prod", config, project=PROJECT, providers=recording()) as session:
        session.up()
        with pytest.raises(SlipwayError, match="cannot be deleted"):
            session.destroy()


@pytest.mark.parametrize("name", STACKS)
def test_a_planted_token_is_nowhere_in_clear(name):
    """In the graph, in what the engine prints, in its state and in every other file it writes."""
    stack = read_stack(name, PROJECT)
    config = {key: value for key, value in stack.config.items() if key != "slipway:hfToken"}
    providers = recording()
    secrets = {"slipway:hfToken": MARKER}
    with Offline(name, config, project=PROJECT, providers=providers, secrets=secrets) as session:
        graphs = (session.preview(), session.up())
        assert MARKER not in repr(graphs)
        assert MARKER not in "\n".join(session.transcript)
        written = [path for path in session.folders.root.rglob("*") if path.is_file()]
        assert len(written) >= 3
        assert [path for path in written if MARKER.encode() in path.read_bytes()] == []


def test_the_planted_token_does_reach_where_it_is_needed_in_prod():
    """Otherwise the search for it would find nothing for the wrong reason."""
    stack = read_stack("prod", PROJECT)
    providers = recording()
    config = {key: value for key, value in stack.config.items() if key != "slipway:hfToken"}
    with Offline("prod", config, project=PROJECT, providers=providers, secrets={"slipway:hfToken": MARKER}) as session:
        graph = session.up()
    holders = [urn for provider in providers.values() for urn, made in provider.created.items() if MARKER in repr(made)]
    assert [urn.split("::")[2].rpartition("$")[2] for urn in holders] == ["kubernetes:core/v1:Secret"]
    (secret,) = [resource for resource in graph.resources if resource.urn == holders[0]]
    assert secret.inputs["stringData"] is SECRET
