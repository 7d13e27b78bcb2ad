"""Memory of llama.cpp, the engine inside Ollama and LocalAI. Weights and KV cache are computed; the rest is a reserve.

There is no calibration data for it, so its proofs carry no error band.
"""

from dataclasses import dataclass

from slipway.catalog.types import Checkpoint, Model
from slipway.planning.memory import GIB, computed_weights_bytes
from slipway.planning.types import MemoryTerm

KV_BYTES = 2  # f16 cache, the default of both servers
# llama.cpp computes prompts in micro-batches of 512 tokens and keeps their logits and layer buffers in 32 bits.
MICRO_BATCH = 512
FLOAT32 = 4
# CUDA context and kernels; reserve.
CUDA_GIB = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """`parallel` requests of `context_length` tokens each; both servers multiply the two when they allocate."""

    parallel: int
    context_length: int


def weights_gib(model: Model, checkpoint: Checkpoint) -> float:
    """GiB of the GGUF file, which is mapped as it is."""
    if checkpoint.weights_gib is not None:
        return checkpoint.weights_gib
    return computed_weights_bytes(model, checkpoint.quantization, model.native_dtype, 1) / GIB


def kv_gib(model: Model, slots: Slots) -> float:
    """GiB of the whole cache: windowed layers keep the window and one micro-batch per request."""
    attention = model.attention
    windowed = slots.context_length
    if attention.window is not None:
        windowed = min(slots.context_length, attention.window + MICRO_BATCH)
    full_layers = attention.layers - attention.windowed_layers
    layer_tokens = full_layers * slots.context_length + attention.windowed_layers * windowed
    return slots.parallel * layer_tokens * 2 * attention.kv_heads * attention.head_dim * KV_BYTES / GIB


def compute_gib(model: Model) -> float:
    """GiB of one micro-batch's buffers: logits, and a few hidden states."""
    return MICRO_BATCH * (model.vocabulary + 8 * model.hidden_size) * FLOAT32 / GIB


def terms(model: Model, checkpoint: Checkpoint, slots: Slots, *, gpus: int) -> tuple[MemoryTerm, ...]:
    """The terms on each of `gpus` GPUs, layers spread evenly; with 0 GPUs all of it is host memory."""
    parts = max(1, gpus)
    spread = f", spread over {gpus} GPUs" if gpus > 1 else ""
    weights = weights_gib(model, checkpoint)
    found = [
        MemoryTerm(
            name="weights",
            gib=weights / parts,
            how=f"{model.parameters_b:g} billion parameters as {checkpoint.quantization.value}{spread}",
        ),
        MemoryTerm(
            name="kv cache",
            gib=kv_gib(model, slots) / parts,
            how=f"{slots.parallel} requests x {slots.context_length} tokens in f16{spread}",
        ),
        MemoryTerm(
            name="activations", gib=compute_gib(model), how=f"micro-batch of {MICRO_BATCH} tokens; not measured"
        ),
    ]
    if gpus:
        found.append(MemoryTerm(name="runtime", gib=CUDA_GIB, how="CUDA context; reserve"))
    return tuple(found)
