"""From settings to a plan: what is decided, what is refused and how the refusal reads."""

import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_stacks import ONE_MACHINE, planned, refused, stack

from slipway import catalog
from slipway.catalog.types import Market, Platform
from slipway.findings import Severity
from slipway.planning import placement, plan
from slipway.planning.types import Capacity
from slipway.problems import StackError
from slipway.settings.models import Autoscaler

pytestmark = pytest.mark.unit


def finding_ids(**changes: object) -> list[str]:
    return [found.id for found in planned(**changes).findings]


def test_the_production_stack_plans():
    found = planned()
    model = found.models[0]
    assert (model.checkpoint.reference, model.dtype) == ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "bfloat16")
    assert (model.concurrency, model.replicas_min, model.replicas_max) == (8, 1, 4)
    assert (model.gpus, model.tensor_parallel) == (1, 1)
    assert found.capacity == Capacity(
        market=Market.SPOT, on_demand_base=1, minimum=1, maximum=4, autoscaler=Autoscaler.CLUSTER_AUTOSCALER
    )
    assert found.zones == ("us-east-1a", "us-east-1b")
    assert model.memory.fits
    assert model.memory.gpu is not None
    assert {term.name: round(term.gib, 1) for term in model.memory.gpu.terms} == {
        "weights": 8.5,
        "kv cache": 8.0,
        "activations": 1.0,
        "cuda graphs": 0.1,
        "runtime": 0.1,
    }


def test_the_engines_command_line_follows_from_the_plan():
    assert planned().models[0].flags == (
        "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic",
        "--served-model-name",
        "llama-3.1-8b-instruct",
        "--max-model-len",
        "8192",
        "--max-num-seqs",
        "8",
        "--max-num-batched-tokens",
        "2048",
        "--dtype",
        "bfloat16",
        "--gpu-memory-utilization",
        "0.9",
        "--shutdown-timeout",
        "90",
        "--disable-access-log-for-endpoints",
        "/health,/metrics,/ping",
    )


def test_every_flag_exists_in_the_pinned_release():
    found = planned(
        instanceTypes=("g6.12xlarge",),
        model={
            "name": "llama-3.1-8b-instruct",
            "tensorParallel": 4,
            "kvCacheDtype": "fp8",
            "toolCalling": True,
            "revision": "0e9e39f249a16976918f6564b8830bc894c89659",
        },
    )
    given_flags = {word for word in found.models[0].flags if word.startswith("--")}
    assert given_flags >= {
        "--tensor-parallel-size", "--kv-cache-dtype", "--enable-auto-tool-choice", "--tool-call-parser", "--revision",
    }  # fmt: skip
    assert given_flags <= found.release.flags


def test_a_plan_is_the_same_every_time():
    assert planned() == planned()


def test_the_message_names_the_term_and_what_is_too_much():
    problem = refused(instanceTypes=("g4dn.xlarge",))[0]
    assert problem.key == "slipway:instanceTypes"
    assert problem.given == "g4dn.xlarge"
    assert problem.message == (
        "llama-3.1-8b-instruct does not fit on g4dn.xlarge (1 x T4, 13.1 GiB usable): kv cache needs 8.0 GiB, "
        "4.5 GiB too much (weights 8.5, activations 1.0, cuda graphs 0.1, runtime 0.1)"
    )


def test_weights_are_named_where_they_alone_are_too_much():
    problem = refused(model={"name": "llama-3.3-70b-instruct"})[0]
    assert "weights need 131.4 GiB" in problem.message


def test_the_smallest_tensor_parallel_size_that_fits_is_chosen_and_the_rest_are_replicas():
    model = planned(
        instanceTypes=("g5.12xlarge",), model={"name": "qwen2.5-14b-instruct"}, demand={"concurrency": 8}
    ).models[0]
    assert model.tensor_parallel == 2
    assert (model.replicas_min, model.replicas_max, model.concurrency) == (2, 8, 1)
    assert model.flags[model.flags.index("--tensor-parallel-size") + 1] == "2"


@pytest.mark.parametrize(
    ("size", "reason"), [(3, "must divide 32 attention heads"), (8, "one replica runs on one machine")]
)
def test_a_tensor_parallel_size_must_divide_heads_and_stay_on_one_machine(size: int, reason: str):
    problem = refused(instanceTypes=("g6.12xlarge",), model={"name": "llama-3.1-8b-instruct", "tensorParallel": size})[
        0
    ]
    assert problem.key == "slipway:model.tensorParallel"
    assert reason in problem.message
    assert problem.allowed == ("1", "2", "4")


def test_v100_is_below_the_engines_floor():
    problems = refused(region="us-west-2", instanceTypes=("p3.2xlarge",))
    assert any("needs compute capability 7.5; V100-16 on p3.2xlarge has 7.0" in found.message for found in problems)


def test_mxfp4_is_refused_on_turing():
    problem = refused(instanceTypes=("g4dn.xlarge",), model={"name": "gpt-oss-20b"})[0]
    assert problem.key == "slipway:model.quantization"
    assert problem.message == "mxfp4 needs compute capability 8.0, T4 has 7.5"


def test_an_fp8_cache_is_refused_on_turing():
    problem = refused(instanceTypes=("g4dn.xlarge",), model={"name": "llama-3.2-1b-instruct", "kvCacheDtype": "fp8"})[0]
    assert (problem.key, problem.allowed) == ("slipway:model.kvCacheDtype", ("auto",))


def test_an_fp8_cache_halves_the_cache_and_counts_flashinfers_workspace():
    plain = planned().models[0].memory.gpu
    narrow = (
        planned(model={"name": "llama-3.1-8b-instruct", "quantization": "fp8", "kvCacheDtype": "fp8"})
        .models[0]
        .memory.gpu
    )
    assert plain is not None
    assert narrow is not None
    before, after = ({term.name: term.gib for term in budget.terms} for budget in (plain, narrow))
    assert after["kv cache"] == before["kv cache"] / 2
    assert after["cuda graphs"] - before["cuda graphs"] == pytest.approx(0.39)


def test_turing_computes_in_float16():
    model = planned(instanceTypes=("g4dn.xlarge",), model={"name": "llama-3.2-1b-instruct"}).models[0]
    assert model.dtype == "float16"


def test_gemma_on_turing_runs_in_float32_and_says_so():
    found = planned(
        instanceTypes=("g4dn.xlarge",),
        model={"name": "gemma-3-1b-it"},
        demand={"concurrency": 4, "contextLength": 2048},
    )
    assert found.models[0].dtype == "float32"
    assert "float32-fallback" in [finding.id for finding in found.findings]


def test_fp8_weights_without_fp8_units_are_said_to_save_memory_only():
    assert "fp8-weight-only" in finding_ids(instanceTypes=("g5.xlarge",))
    assert "fp8-weight-only" not in finding_ids()


@pytest.mark.parametrize("platform", ["vllm", "gpustack"])
def test_a_gpu_platform_is_refused_on_a_cpu_type(platform: str):
    problem = refused(platform=platform, instanceTypes=("m7i.xlarge",))[0]
    assert problem.key == "slipway:instanceTypes"
    assert problem.message == f"{platform} needs a GPU; m7i.xlarge has none"


def test_a_form_the_platform_cannot_pull_names_those_it_can():
    problem = refused(model={"name": "llama-3.1-8b-instruct", "quantization": "q4_k_m"})[0]
    assert problem.key == "slipway:model.quantization"
    assert "none" in problem.allowed
    assert "fp8" in problem.allowed


def test_a_context_beyond_the_model_is_refused_where_it_was_asked():
    by_demand = refused(model={"name": "phi-3-mini-4k-instruct"}, demand={"contextLength": 8192})[0]
    by_model = refused(model={"name": "phi-3-mini-4k-instruct", "contextLength": 8192})[0]
    assert by_demand.key == "slipway:demand.contextLength"
    assert by_model.key == "slipway:model.contextLength"
    assert by_model.hint == "write `contextLength: 4096` under slipway:model"


def test_every_mistake_of_every_model_is_reported_at_once():
    problems = refused(
        **ONE_MACHINE,
        model=None,
        models=(
            {"name": "phi-3-mini-4k-instruct", "contextLength": 8192},
            {"name": "gemma-2-2b-it", "toolCalling": True, "tensorParallel": 3},
        ),
        kubernetes={"version": "1.29"},
    )
    assert [found.key for found in problems] == [
        "slipway:models[0].contextLength",
        "slipway:models[1].tensorParallel",
        "slipway:models[1].toolCalling",
    ]


def test_a_region_without_the_type_names_those_that_have_it():
    without = next(region for region in catalog.regions() if not catalog.zones_offering("g6e.xlarge", region))
    problem = refused(region=without, instanceTypes=("g6e.xlarge",))[0]
    assert problem.message == f"g6e.xlarge is not offered in {without}"
    assert problem.hint is not None
    assert "us-east-1" in problem.hint


def test_zones_offer_the_preferred_type():
    found = planned(network={"zones": 3})
    assert set(found.zones) <= set(catalog.zones_offering("g6.xlarge", "us-east-1"))
    assert len(found.zones) == 3


def test_host_memory_is_proven_on_the_smallest_machine():
    small_last = planned(instanceTypes=("g6.2xlarge", "g6.xlarge")).models[0].memory.host
    assert small_last.available_gib == pytest.approx(14162 / 1024 - 0.75)


def test_replicas_can_be_fixed_up_to_what_the_machines_hold():
    fixed = {"name": "llama-3.1-8b-instruct", "quantization": "fp8", "replicas": 2}
    model = planned(model=fixed, demand={"concurrency": 16}).models[0]
    assert (model.replicas_min, model.replicas_max, model.concurrency) == (2, 2, 8)
    problem = refused(model=fixed | {"replicas": 5})[0]
    assert (problem.key, problem.given) == ("slipway:model.replicas", "5")


def test_two_models_share_the_gpus_of_a_machine():
    models = planned(
        **ONE_MACHINE,
        model=None,
        instanceTypes=("g5.12xlarge",),
        models=({"name": "gemma-2-2b-it"}, {"name": "qwen3-8b"}),
        demand={"concurrency": 8},
    ).models
    assert [(model.gpus, model.replicas_max) for model in models] == [(1, 2), (1, 2)]


def test_models_that_cannot_grow_because_of_each_other_are_said_not_to_fit():
    """Splitting the larger one over all GPUs would leave none for the other: the memory is the reason to name."""
    problems = refused(
        **ONE_MACHINE,
        model=None,
        instanceTypes=("g5.12xlarge",),
        models=({"name": "gemma-2-2b-it"}, {"name": "qwen3-8b"}),
    )
    assert {found.key for found in problems} == {"slipway:instanceTypes"}
    assert "kv cache" in problems[0].message


def test_two_models_on_one_gpu_need_two_machines():
    problem = refused(
        **ONE_MACHINE,
        model=None,
        instanceTypes=("g6.xlarge",),
        models=({"name": "gemma-2-2b-it"}, {"name": "qwen3-4b"}),
    )[0]
    assert problem.key == "slipway:capacity.min"
    assert problem.message.startswith("2 models take 2 GPUs, which is 2 machines of type g6.xlarge at all times")


def test_models_of_one_ollama_server_share_its_gpu_and_its_slots():
    models = planned(
        **ONE_MACHINE,
        platform="ollama",
        model=None,
        instanceTypes=("g4dn.xlarge",),
        models=(
            {"name": "llama-3.1-8b-instruct", "concurrency": 4},
            {"name": "qwen2.5-1.5b-instruct", "concurrency": 1},
        ),
        demand={"contextLength": 4096},
    ).models
    assert [model.concurrency for model in models] == [4, 4]
    budgets = [model.memory.gpu for model in models if model.memory.gpu]
    assert budgets[0].used_gib == pytest.approx(budgets[1].used_gib)
    assert all(model.checkpoint.quantization == "q4_k_m" for model in models)


def test_too_many_models_in_one_server_are_refused():
    problems = refused(
        **ONE_MACHINE,
        platform="ollama",
        model=None,
        instanceTypes=("g4dn.xlarge",),
        models=({"name": "llama-3.1-8b-instruct"}, {"name": "qwen3-8b"}, {"name": "phi-4"}),
    )
    assert "other models" in problems[0].message


def test_a_local_stack_states_what_this_machine_must_have():
    """Looking at the machine would make the plan differ between a laptop and CI."""
    found = planned(target="local", region=None, instanceTypes=None, capacity=None, platform="ollama",
                    model={"name": "llama-3.2-1b-instruct"}, demand={"concurrency": 2})  # fmt: skip
    host = found.models[0].memory.host
    assert found.models[0].memory.gpu is None
    assert host.available_gib == 3
    assert host.available_how.startswith("required: 3 GiB must be free on this machine")
    assert [(finding.id, finding.severity) for finding in found.findings] == [("local-memory", Severity.INFO)]
    assert found.zones == ()


def test_a_disk_too_small_names_the_size_to_write():
    problem = refused(storage={"diskGib": 5})[0]
    assert problem.key == "slipway:storage.diskGib"
    assert problem.hint is not None
    assert "`diskGib: 12`" in problem.hint


@pytest.mark.parametrize(
    ("version", "ids"),
    [("1.36", []), ("1.35", []), ("1.34", ["kubernetes-support-ends"]), ("1.33", ["kubernetes-extended-support"])],
)
def test_kubernetes_support_is_said_ninety_days_ahead(version: str, ids: list[str]):
    found = finding_ids(kubernetes={"version": version, "extendedSupport": True})
    assert [name for name in found if name.startswith("kubernetes")] == ids


def test_a_version_in_extended_support_needs_a_word_that_it_may_cost_more():
    """EKS would upgrade the cluster at once: the plan would be for another version than the one that runs."""
    (problem,) = refused(kubernetes={"version": "1.33"})
    assert (problem.key, problem.given, problem.allowed) == (
        "slipway:kubernetes.version",
        "1.33",
        ("1.36", "1.35", "1.34"),
    )
    assert problem.hint == 'write `version: "1.36"`, or `extendedSupport: true` beside it, until 2027-07-29'


def test_a_kubernetes_version_that_ended_is_refused():
    with pytest.raises(StackError) as error:
        plan(stack(kubernetes={"version": "1.31"}), today=date(2026, 11, 27))
    problem = error.value.problems[0]
    assert (problem.key, problem.given) == ("slipway:kubernetes.version", "1.31")
    assert "1.31" not in problem.allowed
    assert "1.35" in problem.allowed


def test_a_gated_model_without_token_gives_the_command():
    gated = {"name": "llama-3.2-1b-instruct"}
    found = next(found for found in planned(model=gated).findings if found.id == "gated-model-without-token")
    assert found.severity is Severity.WARNING
    assert "pulumi config set --secret slipway:hfToken" in found.fix
    assert "gated-model-without-token" not in finding_ids(model=gated, secrets={"hfToken"})


def test_spot_without_a_base_is_said():
    found = next(found for found in planned(capacity={"market": "spot", "max": 4}).findings)
    assert (found.id, found.severity) == ("spot-without-base", Severity.WARNING)


def test_unknown_phases_of_a_cold_start_stay_unknown():
    cold = planned().models[0].cold_start
    assert {"image pull", "compile"} <= set(cold.unknown)
    assert dict(cold.phases)["load"] == pytest.approx(8.49 / (250 / 1024))
    assert cold.total_seconds == pytest.approx(sum(seconds for _, seconds in cold.phases if seconds is not None))


def test_a_model_of_ones_own_plans_from_its_facts():
    model = planned(
        model={
            "name": "acme/tuned-8b",
            "facts": {
                "parametersB": 8.03, "layers": 32, "heads": 32, "kvHeads": 8, "headDim": 128,
                "hiddenSize": 4096, "vocabulary": 128256, "maxContext": 8192,
            },
        },
        demand={"concurrency": 8, "contextLength": 4096},
    ).models[0]  # fmt: skip
    assert model.flags[0] == "acme/tuned-8b"
    assert model.memory.gpu is not None
    assert {term.name: round(term.gib, 2) for term in model.memory.gpu.terms}["weights"] == 14.96


@pytest.mark.parametrize("platform", list(Platform))
def test_every_platform_plans_on_one_gpu_machine(platform: Platform):
    found = planned(
        **ONE_MACHINE, platform=platform.value, instanceTypes=("g6.2xlarge",), model={"name": "llama-3.1-8b-instruct"},
        demand={"concurrency": 4, "contextLength": 4096},
    )  # fmt: skip
    assert found.models[0].memory.fits
    assert bool(found.models[0].flags) == (platform in {Platform.VLLM, Platform.GPUSTACK})


SIZES = st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=6)


@given(SIZES, st.sampled_from([1, 2, 4, 8]), st.integers(1, 6), st.integers(0, 6))
def test_replicas_never_take_more_gpus_than_there_are(sizes: list[int], gpu_count: int, minimum: int, more: int):
    sizes = [min(size, gpu_count) for size in sizes]
    machines = Capacity(market=Market.ON_DEMAND, on_demand_base=0, minimum=minimum, maximum=minimum + more)
    placed = placement.place(tuple(sizes), gpu_count, machines)
    if isinstance(placed, int):
        assert placed > minimum
        return
    for attribute, count in (("minimum", minimum), ("maximum", minimum + more)):
        replicas = [getattr(found, attribute) for found in placed]
        assert min(replicas) >= 1
        assert sum(size * number for size, number in zip(sizes, replicas, strict=True)) <= gpu_count * count


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 64), st.integers(1, 32))
def test_more_demand_never_starts_to_fit(concurrency: int, more: int):
    """The suggestions search by halving, which is only right if this holds."""

    def fits(requests: int) -> bool:
        try:
            planned(instanceTypes=("g6.12xlarge",), model={"name": "qwen3-8b"}, demand={"concurrency": requests})
        except StackError:
            return False
        return True

    assert fits(concurrency) or not fits(concurrency + more)


def test_a_form_is_named_for_ollama_as_ollama_names_it():
    model = planned(
        **ONE_MACHINE, platform="ollama", instanceTypes=("g4dn.xlarge",), demand={"concurrency": 2},
        model={"name": "llama-3.1-8b-instruct"},
    ).models[0]  # fmt: skip
    assert model.checkpoint.reference == "llama3.1:8b-instruct-q4_K_M"


def test_planning_never_imports_pulumi():
    """A plan must work in an editor or a web service, where there is no engine."""
    code = "import sys, slipway.planning, slipway.platforms; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_private_api_endpoint_is_said():
    assert "private-api-endpoint" in finding_ids()
    assert "private-api-endpoint" not in finding_ids(network={"apiAccessCidrs": ("203.0.113.0/24",)})


@pytest.mark.parametrize(
    ("types", "autoscaler", "expected"),
    [
        (("g6.xlarge", "g6.2xlarge"), None, False),
        (("g6.2xlarge", "g6.xlarge"), None, True),
        (("g6.2xlarge", "g6.xlarge"), "karpenter", False),
        (("g6.2xlarge", "g6.xlarge"), "none", False),
    ],
)
def test_cluster_autoscaler_must_not_count_on_machines_larger_than_what_comes(
    types: tuple[str, ...], autoscaler: str | None, expected: bool
):
    """It takes every node of a group for one of the first type, and would add smaller ones for ever."""
    capacity = {"market": "spot", "onDemandBase": 1, "max": 4}
    found = finding_ids(instanceTypes=types, capacity=capacity | ({"autoscaler": autoscaler} if autoscaler else {}))
    assert ("autoscaler-smaller-machines" in found) is expected


def test_room_that_nobody_fills_is_said():
    found = finding_ids(capacity={"market": "spot", "onDemandBase": 1, "max": 4, "autoscaler": "none"})
    assert "no-autoscaler" in found
    assert "replicas-not-scaled" not in found
    assert {"no-autoscaler", "replicas-not-scaled"}.isdisjoint(finding_ids(capacity={"min": 4}))


def test_an_autoscaler_of_machines_is_not_taken_for_one_of_replicas():
    """The proofs count on all replicas; with one of four running, three quarters of the requests wait."""
    found = finding_ids(capacity={"market": "spot", "onDemandBase": 1, "max": 4})
    assert "replicas-not-scaled" in found
    assert "no-autoscaler" not in found


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        ({"max": 4}, Autoscaler.CLUSTER_AUTOSCALER),
        ({"min": 2}, Autoscaler.NONE),
        ({"max": 4, "autoscaler": "none"}, Autoscaler.NONE),
        ({"max": 4, "autoscaler": "karpenter"}, Autoscaler.KARPENTER),
    ],
)
def test_an_autoscaler_runs_where_there_is_something_to_add(capacity: dict[str, object], expected: Autoscaler):
    assert placement.capacity(stack(capacity=capacity)).autoscaler is expected


def test_gpustack_gets_no_autoscaler():
    """Its pods never wait for room."""
    assert placement.capacity(stack(platform="gpustack", capacity={"max": 4})).autoscaler is Autoscaler.NONE


def test_a_reservations_zone_is_among_the_stacks():
    capacity = {"max": 2, "reservationId": "cr-0a1b2c3d", "reservationZone": "us-east-1d"}
    types = (catalog.instance_types()["g6.xlarge"],)
    assert placement.zones(stack(capacity=capacity), types) == ("us-east-1a", "us-east-1d")
