"""What does not fit comes with ways out, and each of them, when applied, plans."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from planning_stacks import ONE_MACHINE, TODAY, refused, stack

from slipway import catalog
from slipway.planning import plan, suggest
from slipway.planning.misfit import DoesNotFitError
from slipway.planning.planner import draft
from slipway.problems import StackError

pytestmark = pytest.mark.unit


def hint(**changes: object) -> str:
    problem = refused(**changes)[0]
    assert problem.hint is not None
    return problem.hint


def test_every_kind_of_way_out_is_offered_as_the_line_to_write():
    machine, *model = hint(model={"name": "llama-3.1-8b-instruct"}).split("; or ")
    assert machine.startswith("write `slipway:instanceTypes: [g6e.xlarge]` (1.861 USD an hour on demand in us-east-1; ")
    assert machine.endswith(", 2026-07-20)")
    assert model == [
        "write `slipway:model: {name: llama-3.1-8b-instruct, quantization: fp8}`",
        "write `contextLength: 3072` under slipway:demand",
        "write `concurrency: 12` under slipway:demand",
    ]


def test_the_machine_is_the_cheapest_that_plans():
    """Every cheaper GPU type of the region is tried here, and none plans."""
    wanted = stack(instanceTypes=("g4dn.xlarge",), model={"name": "llama-3.1-8b-instruct"})
    found = next(way for way in ways(wanted) if "instanceTypes" in way.words)
    chosen = found.settings.instance_types[0]
    limit = price(chosen)
    assert limit is not None
    cheaper = [
        name
        for name, kind in catalog.instance_types().items()
        if kind.gpu and kind.gpu.share == 1 and kind.arch == "amd64" and (cost := price(name)) and cost < limit
    ]
    assert len(cheaper) >= 3
    for name in cheaper:
        with pytest.raises(StackError):
            draft(suggest.with_machine(wanted, name), TODAY)


def price(name: str) -> float | None:
    found = catalog.on_demand_price(name, "us-east-1")
    return found.usd_per_hour if found else None


def ways(wanted: object) -> tuple[suggest.Way, ...]:
    try:
        draft(wanted, TODAY)  # type: ignore[arg-type]
    except DoesNotFitError as error:
        return suggest.ways(wanted, error, lambda variant: draft(variant, TODAY))  # type: ignore[arg-type]
    raise AssertionError("this stack should not fit")


def test_the_context_is_the_longest_that_plans():
    wanted = stack(model={"name": "llama-3.1-8b-instruct"})
    longer = suggest.with_demand(wanted, context_length=3072 + suggest.CONTEXT_STEP)
    with pytest.raises(DoesNotFitError):
        draft(longer, TODAY)


def test_a_model_of_a_list_is_named_by_its_place():
    found = hint(
        **ONE_MACHINE,
        model=None,
        instanceTypes=("g5.12xlarge",),
        models=({"name": "gemma-2-2b-it"}, {"name": "qwen3-14b", "contextLength": 32768, "concurrency": 64}),
    )
    assert "under slipway:models[1]" in found


def test_where_one_change_is_not_enough_two_are_combined():
    found = hint(instanceTypes=("g4dn.xlarge",), model={"name": "llama-3.1-8b-instruct"})
    assert found.endswith(
        "write `slipway:model: {name: llama-3.1-8b-instruct, quantization: fp8}` "
        "and write `contextLength: 3072` under slipway:demand"
    )


def test_a_form_beside_other_keys_does_not_drop_them():
    found = hint(model={"name": "llama-3.1-8b-instruct", "toolCalling": True})
    assert "write `quantization: fp8` under slipway:model" in found


def test_a_local_stack_is_not_offered_machines():
    found = refused(
        target="local", region=None, instanceTypes=None, capacity=None, platform="ollama", storage={"diskGib": 1}
    )[0]
    assert found.hint is not None
    assert "instanceTypes" not in found.hint


SMALL_REGION = "us-east-1"
GPU_TYPES = [
    name
    for name, kind in catalog.instance_types().items()
    if kind.gpu and kind.gpu.supports((7, 5)) and catalog.zones_offering(name, SMALL_REGION)
]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.sampled_from(GPU_TYPES),
    st.sampled_from(list(catalog.models())),
    st.sampled_from(["vllm", "ollama", "localai", "gpustack"]),
    st.integers(1, 64),
    st.integers(512, 8192),
)
def test_every_suggestion_plans(machine: str, model: str, platform: str, concurrency: int, context: int):
    context = min(context, catalog.models()[model].max_context)
    wanted = stack(
        platform=platform,
        instanceTypes=(machine,),
        model={"name": model},
        demand={"concurrency": concurrency, "contextLength": context},
    )
    try:
        found = plan(wanted, today=TODAY)
    except DoesNotFitError:
        for way in ways(wanted):
            assert all(planned.memory.fits for planned in plan(way.settings, today=TODAY).models)
    except StackError:
        assume(False)  # refused for another reason than its size
    else:
        assert all(planned.memory.fits for planned in found.models)
