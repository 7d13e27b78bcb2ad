"""Models: parameter counts follow from the shape; names of checkpoints and tags are well formed."""

import re

import pytest

from slipway import catalog
from slipway.catalog.types import Model, Platform, Quantization

pytestmark = pytest.mark.unit

HUGGING_FACE = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
OLLAMA = re.compile(r"[a-z0-9.-]+:[A-Za-z0-9_.-]+")
MODELS = list(catalog.models().values())


def by_name(model: Model) -> str:
    return model.name


def parameters(model: Model, experts: int) -> float:
    """Billions of parameters of a Llama-like model, from its shape alone; norms and biases are too small to matter."""
    assert model.feed_forward is not None
    shape = model.attention
    attention = model.hidden_size * shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads)
    feed_forward = 3 * model.hidden_size * model.feed_forward.size * experts
    return shape.layers * (attention + feed_forward) / 1e9 + model.embedding_parameters_b + model.vision_parameters_b


def test_at_least_twenty_models_are_known():
    assert len(MODELS) >= 20


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_parameters_follow_from_the_shape(model: Model):
    assert model.feed_forward is not None
    assert model.parameters_b == pytest.approx(parameters(model, model.feed_forward.experts), rel=0.02)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_active_parameters_follow_from_the_shape(model: Model):
    assert model.feed_forward is not None
    if model.feed_forward.experts == 1:
        assert model.active_parameters_b == model.parameters_b
        return
    active = parameters(model, model.feed_forward.active_experts)
    # Publishers count the input embedding or leave it out.
    lowest = active - model.embedding_parameters_b / 2
    assert lowest * 0.98 <= model.active_parameters_b <= active * 1.02


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_embedding_parameters_follow_from_the_vocabulary(model: Model):
    tables = 1 if model.tied_embeddings else 2
    expected = tables * model.vocabulary * model.hidden_size / 1e9
    assert model.embedding_parameters_b == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_attention_is_consistent(model: Model):
    shape = model.attention
    assert shape.heads % shape.kv_heads == 0
    assert 0 <= shape.windowed_layers < shape.layers
    assert (shape.window is None) == (shape.windowed_layers == 0)


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("llama-3.1-8b-instruct", 131072),
        ("qwen2.5-7b-instruct", 57344),
        ("gemma-2-9b-it", 344064),
        ("gpt-oss-20b", 49152),
        ("phi-3-mini-4k-instruct", 393216),
    ],
)
def test_kv_cache_bytes_per_token_in_16_bits(name: str, bytes_per_token: int):
    shape = catalog.models()[name].attention
    assert 2 * shape.layers * shape.kv_heads * shape.head_dim * 2 == bytes_per_token


@pytest.mark.parametrize(
    ("name", "windowed_layers", "window"),
    [("gemma-2-9b-it", 21, 4096), ("gemma-3-27b-it", 52, 1024), ("gpt-oss-120b", 18, 128)],
)
def test_sliding_windows(name: str, windowed_layers: int, window: int):
    shape = catalog.models()[name].attention
    assert (shape.windowed_layers, shape.window) == (windowed_layers, window)


def test_only_gemma_must_not_run_in_float16():
    """vLLM refuses float16 for them, so a T4 would need float32."""
    unsafe = {model.name for model in MODELS if not model.float16_safe}
    assert unsafe == {model.name for model in MODELS if model.name.startswith(("gemma-2-", "gemma-3-"))}


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_names_are_well_formed_and_unique(model: Model):
    assert re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", model.name)
    references = [checkpoint.reference for checkpoint in model.checkpoints]
    assert len(set(references)) == len(references)
    assert len({checkpoint.quantization for checkpoint in model.checkpoints}) == len(references)
    assert all(HUGGING_FACE.fullmatch(reference) for reference in references)
    assert all(OLLAMA.fullmatch(tag) for tag in model.ollama.values())
    for quantization, uri in model.localai.items():
        assert uri.startswith("huggingface://")
        assert uri.lower().endswith(f"{quantization.value}.gguf")


def test_a_name_stands_for_one_model_only():
    names = [tag for model in MODELS for tag in (*model.ollama.values(), *model.localai.values())]
    references = [checkpoint.reference for model in MODELS for checkpoint in model.checkpoints]
    assert len(set(names)) == len(names)
    assert len(set(references)) == len(references)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_measured_weights_are_near_what_the_parameters_weigh(model: Model):
    bits = {Quantization.NONE: 16, Quantization.FP8: 8, Quantization.AWQ: 4, Quantization.GPTQ: 4}
    for checkpoint in model.checkpoints:
        if checkpoint.weights_gib is None or checkpoint.quantization not in bits:
            continue
        inner = (model.parameters_b - model.embedding_parameters_b) * bits[checkpoint.quantization] / 8
        outer = model.embedding_parameters_b * 2
        assert checkpoint.weights_gib == pytest.approx((inner + outer) * 1e9 / 2**30, rel=0.12), checkpoint.reference


@pytest.mark.parametrize("platform", [Platform.OLLAMA, Platform.LOCALAI])
def test_a_laptop_can_run_something_small_on_each_local_platform(platform: Platform):
    small = [model for model in MODELS if model.parameters_b < 1.5]
    names = [model.ollama if platform is Platform.OLLAMA else model.localai for model in small]
    assert sum(Quantization.Q4_K_M in known for known in names) >= 3


def test_tool_call_parsers_are_vllm_s_own():
    parsers = {model.name: model.tool_call_parser for model in MODELS if model.tool_call_parser}
    assert set(parsers.values()) == {"llama3_json", "hermes", "mistral", "openai", "phi4_mini_json"}
    assert parsers["llama-3.1-8b-instruct"] == "llama3_json"
    assert parsers["qwen2.5-7b-instruct"] == "hermes"


def test_checkpoint_finds_a_form_by_quantization():
    model = catalog.models()["llama-3.1-8b-instruct"]
    found = model.checkpoint(Quantization.AWQ)
    assert found is not None
    assert found.reference == "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4"
    assert model.checkpoint(Quantization.MXFP4) is None
