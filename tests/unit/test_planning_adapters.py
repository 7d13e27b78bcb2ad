"""LoRA adapters, tool calling and pinned revisions: flags the release takes, memory from vLLM's own shapes."""

from typing import Any

import pytest
from planning_stacks import planned, refused

from slipway import catalog
from slipway.catalog.types import Platform
from slipway.findings import Severity
from slipway.planning import lora, memory
from slipway.platforms import workloads
from slipway.problems import Problem, StackError
from slipway.settings import from_config

pytestmark = pytest.mark.unit

LLAMA = {"name": "llama-3.1-8b-instruct", "quantization": "fp8"}
ADAPTERS = (
    {"name": "support", "repo": "acme/llama-support-lora", "rank": 12},
    {"name": "sql", "repo": "acme/llama-sql-lora", "rank": 20},
)
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def flag(flags: tuple[str, ...], name: str) -> str:
    return flags[flags.index(name) + 1]


def config(model: dict[str, Any], **changes: Any) -> dict[str, Any]:
    keys = {"target": "cluster", "platform": "vllm", "instanceTypes": ["g6.xlarge"], "model": model} | changes
    return {"aws:region": "us-east-1", **{f"slipway:{key}": value for key, value in keys.items()}}


def mistakes(model: dict[str, Any], **changes: Any) -> tuple[Problem, ...]:
    with pytest.raises(StackError) as error:
        from_config("prod", config(model, **changes))
    return error.value.problems


def test_adapters_get_room_for_all_of_them_at_the_next_rank_vllm_takes():
    found = planned(model=LLAMA | {"loraAdapters": ADAPTERS}).models[0]
    start = found.flags.index("--enable-lora")
    assert found.flags[start : start + 8] == (
        "--enable-lora", "--max-loras", "2", "--max-lora-rank", "32",
        "--lora-modules", "support=acme/llama-support-lora", "sql=acme/llama-sql-lora",
    )  # fmt: skip
    assert {word for word in found.flags if word.startswith("--")} <= catalog.release(Platform.VLLM).flags


def test_without_adapters_no_flag_speaks_of_them():
    assert not any("lora" in word for word in planned().models[0].flags)


def test_clients_can_ask_for_every_adapter_by_its_name():
    plan = planned(model=LLAMA | {"loraAdapters": ADAPTERS})
    assert plan.models[0].served_names == ("llama-3.1-8b-instruct", "support", "sql")
    (server,) = workloads(plan)
    assert server.served_models == ("llama-3.1-8b-instruct", "support", "sql")


@pytest.mark.parametrize(
    ("asked", "slot"), [((1,), 1), ((2,), 8), ((8, 9), 16), ((300,), 320), ((512,), 512), ((513,), None)]
)
def test_a_slot_takes_the_smallest_allowed_rank_that_holds_all(asked: tuple[int, ...], slot: int | None):
    assert lora.slot_rank(asked, RANKS) == slot
    assert catalog.release(Platform.VLLM).lora_ranks == RANKS


def test_a_rank_above_all_allowed_is_refused():
    (problem,) = refused(model=LLAMA | {"loraAdapters": [ADAPTERS[0] | {"rank": 1024}]})
    assert (problem.key, problem.given) == ("slipway:model.loraAdapters[0].rank", "1024")
    assert problem.message == "vllm 0.33.0 takes adapters up to rank 512"


def test_the_buffers_of_a_slot_follow_from_the_layers_shapes():
    """Llama 3.1 8B, 32 layers of 4096: A and B of q, k, v, o, gate, up, down, and of both embeddings."""
    model = catalog.models()["llama-3.1-8b-instruct"]
    layer = (4096 + 4096) + 2 * (4096 + 1024) + (4096 + 4096) + 2 * (4096 + 14336) + (14336 + 4096)
    ends = 2 * (128256 + 4096)
    slots = lora.LoraSlots(count=2, rank=32)
    found = lora.slots_gib(model, slots, tensor_parallel=1, inner=14336, element_bytes=2)
    assert found == 2 * 32 * (32 * layer + ends) * 2 / 1024**3
    assert found == pytest.approx(0.344, abs=0.001)


def test_tensor_parallelism_divides_one_half_of_each_pair():
    model = catalog.models()["llama-3.1-8b-instruct"]
    layer = (3 * 4096 + 2048 + 2 * 512) + (2048 + 4096) + 2 * (4096 + 7168) + (7168 + 4096)
    assert lora.values_per_rank(model, 2, inner=14336, embeddings=False) == 32 * layer


def test_a_mixture_has_buffers_for_every_expert_and_the_router():
    model = catalog.models()["gpt-oss-20b"]
    layer = (3 * 2880 + 4096 + 2 * 512) + (4096 + 2880) + 32 * 3 * (2880 + 2880) + (2880 + 32)
    assert lora.values_per_rank(model, 1, inner=2880, embeddings=False) == 24 * layer


def test_adapters_take_gpu_memory_host_memory_and_disk_and_say_that_nobody_measured_it():
    plain, tuned = planned().models[0].memory, planned(model=LLAMA | {"loraAdapters": ADAPTERS}).models[0].memory
    assert plain.gpu is not None
    assert tuned.gpu is not None
    before, after = ({term.name: term.gib for term in budget.terms} for budget in (plain.gpu, tuned.gpu))
    assert "lora adapters" not in before
    assert after["lora adapters"] == pytest.approx(0.344, abs=0.001)
    # CUDA graphs are captured once more for batches that use an adapter.
    assert after["cuda graphs"] == 2 * before["cuda graphs"]
    how = next(term.how for term in tuned.gpu.terms if term.name == "lora adapters")
    assert how == "buffers of rank 32 for 2 adapters, computed from vLLM's shapes; not calibrated"
    assert (plain.error_band, tuned.error_band) == (0.05, None)
    # 12 + 20 of rank, 16-bit values of all linear layers.
    files = {
        budget: term.gib
        for budget in ("host", "disk")
        for term in getattr(tuned, budget).terms
        if term.name == "lora adapters"
    }
    assert files["host"] == files["disk"] == pytest.approx(32 * 32 * 81920 * 2 / 1024**3)


def test_the_prediction_and_the_budget_count_the_same():
    model = catalog.models()["llama-3.1-8b-instruct"]
    load = memory.EngineLoad(
        context_length=4096, max_num_seqs=8, max_num_batched_tokens=2048, adapters=lora.LoraSlots(count=1, rank=16)
    )
    terms = {term.name: term.gib for term in memory.gpu_terms(model, model.checkpoints[0], load)}
    assert memory.overhead_gib(model, load) == pytest.approx(
        sum(gib for name, gib in terms.items() if name not in {"weights", "kv cache"})
    )


def test_adapters_that_leave_no_room_are_the_reason_named():
    problem = refused(model=LLAMA | {"loraAdapters": [ADAPTERS[0] | {"rank": 512, "name": f"a{n}"} for n in range(9)]})[
        0
    ]
    assert "lora adapters" in problem.message


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"name": "a=b"}, "slipway:model.loraAdapters[0].name", "must be letters, digits"),
        ({"name": "llama-3.1-8b-instruct"}, "slipway:model.loraAdapters[0].name", "is already the name of a model"),
        ({"repo": "/models/mine"}, "slipway:model.loraAdapters[0].repo", "must be a Hugging Face id"),
        ({"repo": "acme/a,b"}, "slipway:model.loraAdapters[0].repo", "must be a Hugging Face id"),
        ({"rank": 0}, "slipway:model.loraAdapters[0].rank", ""),
    ],
)
def test_an_adapter_vllms_parser_would_misread_is_a_mistake(changes: dict[str, Any], key: str, message: str):
    adapter = {"name": "support", "repo": "acme/support-lora", "rank": 16} | changes
    (problem,) = mistakes(LLAMA | {"loraAdapters": [adapter]})
    assert problem.key == key
    assert message in problem.message


def test_two_adapters_of_one_name_are_a_mistake():
    (problem,) = mistakes(LLAMA | {"loraAdapters": [dict(ADAPTERS[0]), dict(ADAPTERS[0])]})
    assert problem.key == "slipway:model.loraAdapters[1].name"


@pytest.mark.parametrize("platform", ["ollama", "localai", "gpustack"])
def test_adapters_are_vllms_only(platform: str):
    problems = mistakes({"name": "llama-3.1-8b-instruct", "loraAdapters": [dict(ADAPTERS[0])]}, platform=platform)
    assert [problem.key for problem in problems] == ["slipway:model.loraAdapters"]


@pytest.mark.parametrize(
    ("model", "parser", "template"),
    [
        ("llama-3.1-8b-instruct", "llama3_json", "/vllm-workspace/examples/tool_chat_template_llama3.1_json.jinja"),
        ("phi-4-mini-instruct", "phi4_mini_json", "/vllm-workspace/examples/tool_chat_template_phi4_mini.jinja"),
        ("qwen3-4b", "hermes", None),
    ],
)
def test_tool_calling_takes_the_models_parser_and_the_images_template(model: str, parser: str, template: str | None):
    found = planned(model={"name": model, "toolCalling": True}, demand={"concurrency": 4}).models[0]
    assert "--enable-auto-tool-choice" in found.flags
    assert flag(found.flags, "--tool-call-parser") == parser
    assert ("--chat-template" in found.flags) == (template is not None)
    if template:
        assert flag(found.flags, "--chat-template") == template
    assert {word for word in found.flags if word.startswith("--")} <= catalog.release(Platform.VLLM).flags


def test_gpustacks_own_image_of_vllm_is_given_no_path_of_vllms():
    found = planned(platform="gpustack", model=LLAMA | {"toolCalling": True}).models[0]
    assert "--tool-call-parser" in found.flags
    assert "--chat-template" not in found.flags


def test_a_model_without_a_parser_cannot_call_tools():
    (problem,) = refused(model={"name": "gemma-2-2b-it", "toolCalling": True})
    assert (problem.key, problem.given) == ("slipway:model.toolCalling", "true")


@pytest.mark.parametrize("revision", ["0e9e39f249a16976918f6564b8830bc894c89659", "v1.0", "step-1000"])
def test_a_commit_or_a_tag_pins_weights_and_tokenizer(revision: str):
    settings = from_config("prod", config(LLAMA | {"revision": revision}))
    found = planned(model=settings.served[0].model_dump()).models[0]
    assert flag(found.flags, "--revision") == flag(found.flags, "--tokenizer-revision") == revision


@pytest.mark.parametrize("revision", ["main", "Master", "HEAD", "refs/pr/3", "a b", "-x", "x" * 129])
def test_a_branch_is_no_pin(revision: str):
    (problem,) = mistakes(LLAMA | {"revision": revision})
    assert problem.key == "slipway:model.revision"


def test_a_protected_stack_is_told_what_is_not_pinned():
    found = planned(protect=True, model=LLAMA | {"loraAdapters": ADAPTERS}).findings
    assert [(one.id, one.severity, one.subject) for one in found if one.id.endswith("unpinned")] == [
        ("model-revision-unpinned", Severity.INFO, "llama-3.1-8b-instruct"),
        ("lora-adapter-unpinned", Severity.INFO, "support, sql"),
    ]
    pinned = planned(protect=True, model=LLAMA | {"revision": "v1.0"}).findings
    assert not [one for one in pinned if one.id.endswith("unpinned")]
    assert not [one for one in planned().findings if one.id.endswith("unpinned")]
