"""Several models a stack: GPUs that add up, replicas that find machines, and work that grows as the models do."""

from typing import Any

import pytest
from planning_stacks import planned, refused
from settings_stacks import PROJECT

from slipway.planning import layout, plan, sizing
from slipway.planning.types import MemoryProof
from slipway.platforms import workloads
from slipway.settings import read_stack

pytestmark = pytest.mark.unit

QWEN = {"name": "qwen3-8b", "quantization": "fp8"}
LLAMA = {"name": "llama-3.1-8b-instruct", "quantization": "fp8"}
ON_DEMAND = {"market": "on-demand"}


def own(number: int) -> dict[str, Any]:
    """A model of 14 billion parameters, which one L4 does not hold and two do."""
    return {
        "name": f"acme/model-{number}",
        "facts": {
            "parametersB": 14.0, "layers": 40, "heads": 40, "kvHeads": 8, "headDim": 128,
            "hiddenSize": 5120, "vocabulary": 152064, "maxContext": 8192,
        },
    }  # fmt: skip


def many(number: int) -> dict[str, Any]:
    """As many models on as many machines as they take at two GPUs each."""
    return {
        "model": None,
        "instanceTypes": ("g6.12xlarge",),
        "models": tuple(own(index) for index in range(number)),
        "capacity": ON_DEMAND | {"min": number // 2},
        "demand": {"concurrency": 2, "contextLength": 4096},
    }


def test_three_models_share_the_four_gpus_of_one_machine():
    found = plan(read_stack(str(PROJECT / "examples" / "vllm-three-models.yaml"), PROJECT).settings)
    assert [(model.name, model.gpus, model.replicas_min) for model in found.models] == [
        ("llama-3.1-8b-instruct", 1, 1),
        ("qwen3-8b", 1, 1),
        ("qwen2.5-coder-32b-instruct", 2, 1),
    ]
    (machine,) = found.instance_types
    servers = workloads(found)
    assert sum(server.gpus for server in servers) == machine.gpu_count == 4
    assert machine.allocatable_memory_mib is not None
    assert sum(server.memory_gib for server in servers) <= machine.allocatable_memory_mib / 1024 - 0.75
    assert [server.served_models for server in servers] == [
        ("llama-3.1-8b-instruct", "support", "sql"), ("qwen3-8b",), ("qwen2.5-coder-32b-instruct",)
    ]  # fmt: skip


@pytest.mark.parametrize("number", [2, 10, 100])
def test_proofs_grow_with_the_models_and_not_faster(number: int, monkeypatch: pytest.MonkeyPatch):
    """Every model has to grow once. Growing them one after the other proved each again every time."""
    proofs = 0

    def counted(*arguments: Any) -> MemoryProof:
        nonlocal proofs
        proofs += 1
        return sizing.vllm_proof(*arguments)

    monkeypatch.setattr(layout, "vllm_proof", counted)
    found = planned(**many(number))
    assert [(model.gpus, model.replicas_min) for model in found.models] == [(2, 1)] * number
    assert proofs == 2 * number


def test_gpus_of_all_replicas_never_exceed_those_of_the_machines():
    found = planned(**many(6))
    assert sum(model.gpus * model.replicas_min for model in found.models) <= found.capacity.minimum * 4


def test_too_few_machines_for_one_replica_of_each_model_say_how_many_there_must_be():
    (problem,) = refused(
        model=None,
        models=(QWEN, LLAMA, {"name": "gemma-2-2b-it"}),
        capacity=ON_DEMAND | {"min": 2},
        demand={"concurrency": 2, "contextLength": 4096},
    )
    assert (problem.key, problem.given) == ("slipway:capacity.min", "2")
    assert problem.message.startswith("3 models take 3 GPUs, which is 3 machines of type g6.xlarge at all times")


FOUR_GPUS = {"instanceTypes": ("g6.12xlarge",), "demand": {"concurrency": 4, "contextLength": 4096}, "model": None}


def test_replicas_of_one_model_may_take_the_gpus_another_leaves():
    """Three and one are four, though an even share would be two each."""
    found = planned(**FOUR_GPUS, capacity=ON_DEMAND, models=(QWEN | {"replicas": 3}, LLAMA | {"replicas": 1}))
    assert [model.replicas_min for model in found.models] == [3, 1]


def test_replicas_that_only_fit_without_each_other_are_refused_for_each():
    problems = refused(**FOUR_GPUS, capacity=ON_DEMAND, models=(QWEN | {"replicas": 3}, LLAMA | {"replicas": 2}))
    assert [problem.key for problem in problems] == ["slipway:models[0].replicas", "slipway:models[1].replicas"]
    assert problems[0].message == "the replicas of all models take 2 machines; there are 1 at full load"
    assert problems[0].hint == "write `max: 2` under slipway:capacity, or fewer replicas"


def test_replicas_beyond_the_machines_that_always_run_need_somebody_who_adds_machines():
    model = LLAMA | {"replicas": 3}
    grown = planned(model=model, capacity=ON_DEMAND | {"min": 1, "max": 3}, demand={"concurrency": 8})
    assert grown.models[0].replicas_min == 3
    (problem,) = refused(
        model=model, capacity=ON_DEMAND | {"min": 1, "max": 3, "autoscaler": "none"}, demand={"concurrency": 8}
    )
    assert problem.message == (
        "the replicas of all models take 3 machines; there are 1 at all times, and nothing adds any"
    )
    assert problem.hint == "write `min: 3` under slipway:capacity, or fewer replicas"
