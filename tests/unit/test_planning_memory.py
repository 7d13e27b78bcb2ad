"""The memory formulas against figures known from elsewhere, and against start-up logs of real engines."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import catalog
from slipway.catalog.types import Attention, Checkpoint, Gpu, Model, Quantization
from slipway.planning import memory
from slipway.planning.memory import GIB, EngineLoad
from slipway.planning.sizing import ERROR_BAND

pytestmark = pytest.mark.unit

LOGS = Path(__file__).parent / "data" / "vllm_startups.csv"
MODELS = catalog.models()
LLAMA_8B = MODELS["llama-3.1-8b-instruct"]
QWEN_7B = MODELS["qwen2.5-7b-instruct"]
GPT_OSS_120B = MODELS["gpt-oss-120b"]


def unmeasured(model: Model, quantization: Quantization) -> Checkpoint:
    """The form without its measured size, so that the formula has to answer."""
    return Checkpoint(quantization=quantization, reference=model.name, gated=False)


def load(**changes: object) -> EngineLoad:
    return replace(EngineLoad(context_length=4096, max_num_seqs=8, max_num_batched_tokens=2048), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class StartUp:
    """One line of a real engine's log, and what the formulas say about it."""

    log: str
    version: str
    used_gib: float
    weights_gib: float | None
    kv_gib: float | None
    outcome: str
    prediction: memory.Prediction

    @property
    def error(self) -> float:
        return (self.prediction.weights_gib + self.prediction.overhead_gib) / self.used_gib - 1

    @property
    def current(self) -> bool:
        return memory.behaviour(self.version) is memory.CURRENT


def read_startups() -> list[StartUp]:
    with LOGS.open(newline="", encoding="utf-8") as file:
        return [startup(row) for row in csv.DictReader(file)]


def startup(row: dict[str, str]) -> StartUp:
    gpu = replace(catalog.gpus()["L4"], name=row["gpu"], memory_gib=float(row["memory_gib"]))
    model = MODELS[row["model"]]
    checkpoint = model.checkpoint(Quantization(row["quantization"]))
    assert checkpoint is not None
    engine = memory.behaviour(row["version"])
    context = int(row["context"])
    step = memory.default_max_num_batched_tokens(gpu, engine=engine, context_length=context)
    asked = EngineLoad(
        tensor_parallel=int(row["tensor_parallel"]),
        dtype=row["dtype"],
        kv_cache_dtype=row["kv_cache"],
        context_length=context,
        max_num_seqs=int(row["sequences"] or memory.default_max_num_seqs(gpu)),
        max_num_batched_tokens=int(row["step_tokens"] or step),
        compiled=row["eager"] == "no",
        flashinfer=row["flashinfer"] == "yes",
        largest_graph=int(row["largest_graph"]) if row["largest_graph"] else None,
        engine=engine,
    )
    utilization = float(row["utilization"])
    kv_gib = float(row["kv_gib"]) if row["kv_gib"] else None
    return StartUp(
        log=row["log"],
        version=row["version"],
        used_gib=gpu.memory_gib * utilization - (kv_gib or 0),
        weights_gib=float(row["weights_gib"]) if row["weights_gib"] else None,
        kv_gib=kv_gib,
        outcome=row["outcome"],
        prediction=memory.predict(model, checkpoint, gpu, asked, utilization=utilization),
    )


STARTUPS = read_startups()
STARTED = [found for found in STARTUPS if found.outcome == "ok"]


def test_a_cpu_engine_with_one_gib_reports_524288_tokens_for_the_four_layer_llama():
    """Measured on vLLM 0.32: 4 layers, 2 KV heads of 64 in 16 bits are 2 KiB a token."""
    tiny = replace(LLAMA_8B, attention=Attention(layers=4, heads=4, kv_heads=2, head_dim=64))
    assert GIB // memory.kv_bytes_per_token(tiny) == 524_288


@pytest.mark.parametrize(
    ("model", "bytes_per_token"),
    [
        ("llama-3.1-8b-instruct", 131_072),
        ("qwen2.5-7b-instruct", 57_344),
        ("qwen2.5-32b-instruct", 262_144),
        ("llama-3.3-70b-instruct", 327_680),
        ("phi-3-mini-4k-instruct", 393_216),
        ("qwen3-30b-a3b", 98_304),
    ],
)
def test_kv_bytes_of_a_token_are_two_times_layers_heads_size_and_bytes(model: str, bytes_per_token: int):
    assert memory.kv_bytes_per_token(MODELS[model]) == bytes_per_token


def test_gpt_oss_holds_as_many_requests_as_its_log_says():
    """Half the layers keep 128 tokens: the log of four A100 says 284.25 requests of 16,384 tokens in 45.32 GiB."""
    asked = load(tensor_parallel=4, context_length=16_384)
    requests = 45.32 * GIB / memory.kv_bytes_per_request(GPT_OSS_120B, asked)
    assert requests == pytest.approx(284.25, abs=0.01)


def test_a_request_takes_whole_blocks():
    per_token = memory.kv_bytes_per_token(LLAMA_8B)
    assert memory.kv_bytes_per_request(LLAMA_8B, load(context_length=17)) == 32 * per_token


@pytest.mark.parametrize(
    ("model", "quantization", "gib"),
    [
        ("llama-3.1-8b-instruct", Quantization.NONE, 14.96),  # vLLM's log: 14.9596
        ("llama-3.1-8b-instruct", Quantization.FP8, 8.46),  # 8.4596
        ("qwen2.5-32b-instruct", Quantization.AWQ, 18.0),  # files of 19.33 GB
        ("qwen2.5-14b-instruct", Quantization.AWQ, 9.3),  # 9.3795
        ("qwen3-8b", Quantization.FP8, 8.79),  # 8.8
        ("gpt-oss-20b", Quantization.MXFP4, 13.67),  # 13.72
    ],
)
def test_weights_follow_from_parameters_and_format(model: str, quantization: Quantization, gib: float):
    found = memory.weights_gib(MODELS[model], unmeasured(MODELS[model], quantization))
    assert found == pytest.approx(gib, abs=0.015)


def test_every_measured_checkpoint_of_the_catalogue_is_computed_within_one_and_a_half_percent():
    measured = [
        (model, form) for model in MODELS.values() for form in model.checkpoints if form.weights_gib is not None
    ]
    assert len(measured) >= 10
    for model, form in measured:
        computed = memory.weights_gib(model, unmeasured(model, form.quantization), dtype=model.native_dtype)
        assert computed == pytest.approx(form.weights_gib, rel=0.015), (model.name, form.quantization)


def test_float32_doubles_the_weights():
    gemma = MODELS["gemma-2-2b-it"]
    form = unmeasured(gemma, Quantization.NONE)
    assert memory.weights_gib(gemma, form, dtype="float32") == 2 * memory.weights_gib(gemma, form, dtype="float16")


def test_weights_split_evenly_while_there_are_kv_heads_to_split():
    form = unmeasured(LLAMA_8B, Quantization.NONE)
    whole = memory.weights_gib(LLAMA_8B, form)
    assert memory.weights_gib(LLAMA_8B, form, tensor_parallel=8) == pytest.approx(whole / 8)


def test_beyond_the_kv_heads_their_projections_are_copied():
    """Qwen2.5 7B has 4 KV heads: on 7 GPUs each holds a whole one, 3/7 more than its share, and a cache to match."""
    form = unmeasured(QWEN_7B, Quantization.NONE)
    share = memory.weights_gib(QWEN_7B, form) / 7
    surplus = 2 * 28 * 3584 * 128 * (1 - 4 / 7) * 2 / GIB
    assert memory.weights_gib(QWEN_7B, form, tensor_parallel=7) == pytest.approx(share + surplus)
    assert memory.kv_bytes_per_token(QWEN_7B, tensor_parallel=7) == memory.kv_bytes_per_token(QWEN_7B) / 4


def test_a_mixture_of_experts_keeps_all_its_experts():
    qwen = MODELS["qwen3-30b-a3b"]
    assert memory.weights_gib(qwen, unmeasured(qwen, Quantization.NONE)) == pytest.approx(56.87, abs=0.01)


def test_the_layer_width_follows_from_the_parameters_where_the_shape_is_not_given():
    assert memory.intermediate_size(LLAMA_8B) == 14_336
    assert memory.intermediate_size(replace(LLAMA_8B, feed_forward=None)) == pytest.approx(14_336, rel=0.01)


def test_the_engine_captures_thirty_five_graph_sizes_up_to_256():
    assert memory.graph_sizes(load(max_num_seqs=128)) == 35
    assert memory.graph_sizes(load(max_num_seqs=1)) == 2
    assert memory.graph_sizes(load(max_num_seqs=1024)) == 51


@pytest.mark.parametrize(
    ("gpu", "sequences", "tokens"),
    [("A10G", 256, 2048), ("A100-80", 256, 2048), ("H100-80", 1024, 8192), ("B200", 1024, 16_384)],
)
def test_batch_defaults_are_those_of_the_engine(gpu: str, sequences: int, tokens: int):
    found = catalog.gpus()[gpu]
    assert memory.default_max_num_seqs(found) == sequences
    assert memory.default_max_num_batched_tokens(found) == tokens


def test_the_logs_cover_several_gpus_models_and_engine_versions():
    assert len(STARTED) >= 45
    assert len({found.version for found in STARTED}) >= 8


def test_95_percent_of_current_engines_take_what_is_predicted_within_the_error_band():
    errors = sorted(abs(found.error) for found in STARTED if found.current)
    assert len(errors) >= 30
    assert errors[int(0.95 * len(errors))] <= ERROR_BAND
    assert errors[len(errors) // 2] <= 0.005


def test_the_form_holds_on_older_engines_nothing_was_fitted_on():
    """Errors are on the safe side: no older engine took 2 % more than predicted."""
    errors = sorted(found.error for found in STARTED if not found.current)
    assert len(errors) >= 12
    assert min(errors) > -0.02
    assert abs(errors[len(errors) // 2]) <= 0.02


@pytest.mark.parametrize("log", ["M011", "M012", "M013", "M025", "M028", "M034", "M036", "M037"])
def test_the_kv_cache_of_other_gpus_and_models_is_predicted_within_one_percent(log: str):
    found = next(found for found in STARTED if found.log == log)
    assert found.prediction.kv_gib == pytest.approx(found.kv_gib, rel=0.01)


@pytest.mark.parametrize("found", STARTUPS, ids=lambda found: found.log)
def test_the_verdict_is_the_engines_own(found: StartUp):
    assert found.prediction.fits == (found.outcome == "ok")


def test_weights_of_every_log_are_predicted_within_two_percent():
    for found in STARTED:
        assert found.prediction.weights_gib == pytest.approx(found.weights_gib, rel=0.02), found.log


def test_tokens_are_whole_blocks_of_what_the_cache_holds():
    found = memory.kv_cache_tokens(
        QWEN_7B,
        unmeasured(QWEN_7B, Quantization.NONE),
        catalog.gpus()["A10G"],
        utilization=0.92,
        max_model_len=32_768,
        max_num_seqs=128,
    )
    assert found.kv_tokens == int(found.kv_gib * GIB // (16 * 57_344)) * 16
    assert found.max_concurrency == pytest.approx(found.kv_tokens / 32_768, rel=0.001)


LOADS = st.builds(
    EngineLoad,
    tensor_parallel=st.sampled_from([1, 2, 4, 8]),
    kv_cache_dtype=st.sampled_from(["auto", "fp8"]),
    context_length=st.integers(1, 131_072),
    max_num_seqs=st.integers(1, 1024),
    max_num_batched_tokens=st.integers(1, 16_384),
    compiled=st.booleans(),
)
KNOWN = st.sampled_from(list(MODELS.values()))


def needed(model: Model, asked: EngineLoad) -> float:
    return sum(term.gib for term in memory.gpu_terms(model, model.checkpoints[0], asked))


@given(KNOWN, LOADS, st.integers(0, 65_536))
def test_more_context_never_needs_less(model: Model, asked: EngineLoad, more: int):
    longer = replace(asked, context_length=asked.context_length + more)
    assert needed(model, longer) >= needed(model, asked)


@given(KNOWN, LOADS, st.integers(0, 1024))
def test_more_requests_never_need_less(model: Model, asked: EngineLoad, more: int):
    assert needed(model, replace(asked, max_num_seqs=asked.max_num_seqs + more)) >= needed(model, asked)


@given(KNOWN, LOADS, st.sampled_from(list(catalog.gpus().values())), st.floats(0, 64))
def test_more_gpu_memory_never_holds_less(model: Model, asked: EngineLoad, gpu: Gpu, more: float):
    larger = replace(gpu, memory_gib=gpu.memory_gib + more)
    before = memory.predict(model, model.checkpoints[0], gpu, asked)
    after = memory.predict(model, model.checkpoints[0], larger, asked)
    assert after.kv_tokens >= before.kv_tokens
    assert after.fits or not before.fits


@given(KNOWN, LOADS)
def test_without_windows_the_cache_is_the_textbook_formula(model: Model, asked: EngineLoad):
    attention = replace(model.attention, windowed_layers=0, window=None)
    blocks = -(-asked.context_length // 16)
    heads = max(1, attention.kv_heads // asked.tensor_parallel)
    expected = (
        2 * attention.layers * heads * attention.head_dim * (1 if asked.kv_cache_dtype == "fp8" else 2) * 16 * blocks
    )
    assert memory.kv_bytes_per_request(replace(model, attention=attention), asked) == expected


@given(KNOWN, LOADS)
def test_windows_never_cost_more_than_none(model: Model, asked: EngineLoad):
    plain = replace(model, attention=replace(model.attention, windowed_layers=0, window=None))
    assert memory.kv_bytes_per_request(model, asked) <= memory.kv_bytes_per_request(plain, asked)


@given(KNOWN, LOADS)
def test_splitting_never_needs_more_of_one_gpu_except_for_nccl(model: Model, asked: EngineLoad):
    halved = replace(asked, tensor_parallel=asked.tensor_parallel * 2)
    allowed = memory.NCCL_GIB if asked.tensor_parallel == 1 else 0.0
    # Tiles of split MXFP4 experts may be padded further.
    padding = 1.08 if model.checkpoints[0].quantization is Quantization.MXFP4 else 1.0
    assert needed(model, halved) <= needed(model, asked) * padding + allowed + 1e-9
