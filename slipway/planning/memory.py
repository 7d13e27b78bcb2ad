"""How much GPU memory vLLM needs, term by term. Pure functions; memory is GiB on each GPU.

The engine takes ``memory x utilization`` of each GPU, subtracts the weights, the peak of one profiling step, its CUDA
graphs and its own runtime, and makes the KV cache of what is left. The terms here have the same physical form. Only
the constants below are measured: fitted on 82 published start-ups of vLLM 0.22 on one A10G and checked against other
GPUs, models and tensor parallel sizes (docs/planning.md has the errors and the sources).
"""

import math
from dataclasses import dataclass, replace

from slipway.catalog.types import Attention, Checkpoint, Gpu, Model, Quantization
from slipway.planning import lora
from slipway.planning.types import MemoryTerm

GIB = 1024**3
MIB = 1024**2

# vLLM's own default is 0.92. Its profiling does not see everything that is allocated later: sampling buffers at full
# batch, cuBLAS workspaces, fragmentation. Published start-ups at 0.94 and above ran out of memory after the KV cache
# was made, so a plan nobody has run yet keeps 2 % more in hand.
DEFAULT_UTILIZATION = 0.90

BLOCK_TOKENS = 16
"""vLLM's default KV block: a request occupies whole blocks."""

# Measured constants; the physical factor they multiply is in the function that uses them.
RUNTIME_GIB = 0.13
NCCL_GIB = 0.12
LAYER_OVERLAP = 1.05
GRAPH_MIB_PER_LAYER_AND_SIZE = 0.34
# vLLM's VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE is 394 MiB; the fit gives 0.39 GiB.
FLASHINFER_WORKSPACE_GIB = 0.39
# vLLM's default: capture batch sizes up to twice --max-num-seqs, never above 512.
LARGEST_GRAPH = 512

# The MXFP4 kernels pad each expert's matrices to whole tiles. Published logs: 13.72 GiB for the 12.80 GiB of
# gpt-oss-20b on one GPU, 17.22 GiB for the 15.19 GiB a GPU of gpt-oss-120b on four.
MXFP4_HIDDEN_TILE = 256
MXFP4_INNER_TILE = 128

# Bytes a weight. Four-bit groups of 128 add a 16-bit scale and a 4-bit zero point: 0.5 + 20/8/128 = 0.52. MXFP4 has an
# 8-bit scale for 32 weights. GGUF: size of published llama.cpp files of Llama 3.1 8B over its parameters.
BYTES_PER_WEIGHT = {
    Quantization.NONE: 2.0,
    Quantization.FP8: 1.0,
    Quantization.AWQ: 0.52,
    Quantization.GPTQ: 0.52,
    Quantization.MXFP4: 0.53125,
    Quantization.Q8_0: 1.0625,
    Quantization.Q4_K_M: 0.613,
}
# These quantize the linear layers only; GGUF files quantize the embeddings too.
LINEAR_LAYERS_ONLY = frozenset({Quantization.FP8, Quantization.AWQ, Quantization.GPTQ})

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBehaviour:
    """What changed between vLLM versions: bytes the sampler holds per logit, and what counts against the budget.

    `compiler_copies_embedding`: the first compilation holds a second copy of the embedding matrix while it is measured.
    `whole_prompts`: a step is as long as the longest prompt, because prompts were not yet cut into chunks.
    """

    sampler_bytes_per_logit: float
    counts_graphs: bool
    compiler_copies_embedding: bool
    whole_prompts: bool = False


CURRENT = EngineBehaviour(sampler_bytes_per_logit=14.2, counts_graphs=True, compiler_copies_embedding=True)
"""vLLM 0.21 and later; every release Slipway runs. The older ones only serve to check the model against old logs."""
BEFORE_0_21 = EngineBehaviour(sampler_bytes_per_logit=14.2, counts_graphs=False, compiler_copies_embedding=False)
# Sorting all logits with 64-bit indices, replaced by kernels that do not sort.
SORTING_SAMPLER = EngineBehaviour(sampler_bytes_per_logit=38.0, counts_graphs=False, compiler_copies_embedding=False)

BEFORE_0_8 = replace(SORTING_SAMPLER, whole_prompts=True)
# Above this length the engine before 0.8 did cut prompts, into steps of 512 tokens.
LONGEST_WHOLE_PROMPT = 32_768
CHUNK_BEFORE_0_8 = 512


def behaviour(version: str) -> EngineBehaviour:
    """How a vLLM version such as ``0.11.2`` accounts for memory. Between 0.13 and 0.17 no log shows the sampler."""
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < (0, 8):
        return BEFORE_0_8
    if (major, minor) < (0, 14):
        return SORTING_SAMPLER
    return BEFORE_0_21 if (major, minor) < (0, 21) else CURRENT


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """What one replica is asked to do, and how its tensors are stored.

    `dtype` is that of weights and activations, `kv_cache_dtype` is ``auto`` (the same) or ``fp8``. `compiled` is False
    under ``--enforce-eager``. `flashinfer` says that the FlashInfer attention kernels serve, which hold a workspace.
    `largest_graph` is the biggest batch captured as a CUDA graph; None: vLLM's default. `adapters` is room for LoRA.
    """

    tensor_parallel: int = 1
    dtype: str = "bfloat16"
    kv_cache_dtype: str = "auto"
    context_length: int
    max_num_seqs: int
    max_num_batched_tokens: int
    compiled: bool = True
    flashinfer: bool = False
    largest_graph: int | None = None
    adapters: lora.LoraSlots | None = None
    engine: EngineBehaviour = CURRENT

    @property
    def kv_bytes(self) -> int:
        """Bytes of one element of the KV cache."""
        return DTYPE_BYTES[self.dtype if self.kv_cache_dtype == "auto" else "fp8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the engine's start-up log will say, per GPU; `kv_gib` is negative when the weights alone are too much.

    `max_concurrency` is the number of requests of full context length that fit, as the log prints it.
    """

    weights_gib: float
    overhead_gib: float
    kv_gib: float
    kv_tokens: int
    max_concurrency: float

    @property
    def fits(self) -> bool:
        """Whether the engine starts: at least one request of full length finds room."""
        return self.max_concurrency >= 1


def default_max_num_seqs(gpu: Gpu) -> int:
    """vLLM's default batch: 1024 sequences on GPUs from 70 GiB except A100, else 256 (vllm/engine/arg_utils.py)."""
    return 1024 if _large(gpu) else 256


def default_max_num_batched_tokens(gpu: Gpu, *, engine: EngineBehaviour = CURRENT, context_length: int = 0) -> int:
    """vLLM's default step: 2048 tokens, 8192 on H100 and H200, 16384 from 160 GiB (vllm/engine/arg_utils.py)."""
    if engine.whole_prompts:
        return CHUNK_BEFORE_0_8 if context_length > LONGEST_WHOLE_PROMPT else max(2048, context_length)
    if gpu.memory_gib >= 160:  # noqa: PLR2004 - the engine's own threshold
        return 16384
    return 8192 if _large(gpu) else 2048


def _large(gpu: Gpu) -> bool:
    return gpu.memory_gib >= 70 and not gpu.name.startswith("A100")  # noqa: PLR2004 - the engine's own threshold


def kv_heads_per_gpu(attention: Attention, tensor_parallel: int) -> int:
    """KV heads each GPU holds; with more GPUs than KV heads, heads are replicated."""
    return max(1, attention.kv_heads // tensor_parallel)


def kv_bytes_per_layer_token(attention: Attention, tensor_parallel: int, element_bytes: int) -> int:
    """Bytes one token takes in one layer on each GPU: a key and a value per KV head."""
    return 2 * kv_heads_per_gpu(attention, tensor_parallel) * attention.head_dim * element_bytes


def kv_bytes_per_token(model: Model, *, tensor_parallel: int = 1, element_bytes: int = 2) -> int:
    """Bytes one token takes over all layers on each GPU: 2 x layers x KV heads x head size x bytes."""
    return model.attention.layers * kv_bytes_per_layer_token(model.attention, tensor_parallel, element_bytes)


def kv_bytes_per_request(model: Model, load: EngineLoad) -> int:
    """Bytes one request of full context length takes on each GPU, in whole blocks.

    A windowed layer keeps the window and the step being computed, plus one block because a window need not begin at a
    block's edge (vllm/v1/kv_cache_interface.py, SlidingWindowSpec).
    """
    attention = model.attention
    full_tokens = _whole_blocks(load.context_length)
    windowed_tokens = full_tokens
    if attention.window is not None:
        kept = min(attention.window - 1 + load.max_num_batched_tokens, load.context_length)
        windowed_tokens = min(full_tokens, _whole_blocks(kept) + BLOCK_TOKENS)
    full_layers = attention.layers - attention.windowed_layers
    layer_tokens = full_layers * full_tokens + attention.windowed_layers * windowed_tokens
    return layer_tokens * kv_bytes_per_layer_token(attention, load.tensor_parallel, load.kv_bytes)


def _whole_blocks(tokens: int) -> int:
    return math.ceil(tokens / BLOCK_TOKENS) * BLOCK_TOKENS


def weights_gib(model: Model, checkpoint: Checkpoint, *, dtype: str = "bfloat16", tensor_parallel: int = 1) -> float:
    """GiB of weights on each GPU: all experts of a mixture; KV projections beyond the number of heads are copies."""
    quantization = checkpoint.quantization
    total = computed_weights_bytes(model, quantization, dtype, tensor_parallel)
    if checkpoint.weights_gib is not None:
        # Measured on one GPU in the native dtype: keep what splitting or a wider dtype changes.
        total *= checkpoint.weights_gib * GIB / computed_weights_bytes(model, quantization, model.native_dtype, 1)
    return (total / tensor_parallel + _replicated_bytes(model, quantization, dtype, tensor_parallel)) / GIB


def checkpoint_gib(model: Model, checkpoint: Checkpoint) -> float:
    """GiB the checkpoint takes on disk; a little more than published where the engine's padding was measured."""
    if checkpoint.weights_gib is not None:
        return checkpoint.weights_gib
    return computed_weights_bytes(model, checkpoint.quantization, model.native_dtype, 1) / GIB


def computed_weights_bytes(model: Model, quantization: Quantization, dtype: str, tensor_parallel: int) -> float:
    """Bytes of all weights on all GPUs together, from the parameters and the format."""
    wide = DTYPE_BYTES[dtype]
    per_weight = wide if quantization is Quantization.NONE else BYTES_PER_WEIGHT[quantization]
    if quantization in LINEAR_LAYERS_ONLY:
        narrow_b = model.parameters_b - model.embedding_parameters_b - model.vision_parameters_b
    elif quantization is Quantization.MXFP4:
        narrow_b = _expert_parameters_b(model)
        per_weight *= _mxfp4_padding(model, tensor_parallel)
    else:
        narrow_b = model.parameters_b
    return (narrow_b * per_weight + (model.parameters_b - narrow_b) * wide) * 1e9


def _expert_parameters_b(model: Model) -> float:
    """Billions of parameters in experts; without the shape, all but the embeddings."""
    block = model.feed_forward
    if block is None:
        return model.parameters_b - model.embedding_parameters_b
    return 3 * model.hidden_size * block.size * block.experts * model.attention.layers / 1e9


def _mxfp4_padding(model: Model, tensor_parallel: int) -> float:
    if model.feed_forward is None:
        return 1.0
    inner = model.feed_forward.size / tensor_parallel
    return _padded(model.hidden_size, MXFP4_HIDDEN_TILE) * _padded(inner, MXFP4_INNER_TILE)


def _padded(size: float, tile: int) -> float:
    return math.ceil(size / tile) * tile / size


def _replicated_bytes(model: Model, quantization: Quantization, dtype: str, tensor_parallel: int) -> float:
    """Bytes each GPU holds beyond its share, because there are fewer KV heads than GPUs."""
    attention = model.attention
    surplus_heads = kv_heads_per_gpu(attention, tensor_parallel) - attention.kv_heads / tensor_parallel
    linear_layers_narrow = quantization not in {Quantization.NONE, Quantization.MXFP4}
    per_weight = BYTES_PER_WEIGHT[quantization] if linear_layers_narrow else DTYPE_BYTES[dtype]
    return 2 * attention.layers * model.hidden_size * attention.head_dim * max(0.0, surplus_heads) * per_weight


def block_width(model: Model) -> float:
    """Width of one feed-forward block: of one expert, where there are several."""
    return model.feed_forward.size if model.feed_forward else intermediate_size(model)


def intermediate_size(model: Model) -> float:
    """Width of the feed-forward block one token passes through, all its active experts together.

    Without the shape it follows from the parameters: a layer holds the attention projections and three matrices of
    hidden x intermediate.
    """
    if model.feed_forward is not None:
        return model.feed_forward.size * model.feed_forward.active_experts
    attention = model.attention
    projections = model.hidden_size * attention.head_dim * 2 * (attention.heads + attention.kv_heads)
    per_layer = (model.active_parameters_b - model.embedding_parameters_b) * 1e9 / attention.layers
    return max(0.0, per_layer - projections) / (3 * model.hidden_size)


def activations_gib(model: Model, load: EngineLoad) -> float:
    """Peak of one step: the widest layer at full step, or the sampler at full batch, or the compiler's copy.

    They do not add up: the layer's buffers are free before sampling. The layer holds gate, up and their product beside
    two hidden states; the sampler holds the logits in several forms on every GPU; the first compilation copies the
    embedding matrix, so a start with a warm compile cache needs less than this.
    """
    element = DTYPE_BYTES[load.dtype]
    experts = model.feed_forward.active_experts if model.feed_forward else 1
    hidden_states = 2 if experts == 1 else 2 + experts  # each active expert writes a hidden state of its own
    wide = 3 * intermediate_size(model) / load.tensor_parallel + hidden_states * model.hidden_size
    layer = LAYER_OVERLAP * load.max_num_batched_tokens * wide * element
    sampled = min(load.max_num_seqs, load.max_num_batched_tokens)
    sampler = load.engine.sampler_bytes_per_logit * sampled * model.vocabulary
    copy = (
        model.vocabulary * model.hidden_size * element / load.tensor_parallel
        if load.compiled and load.engine.compiler_copies_embedding
        else 0
    )
    return max(layer, sampler, copy) / GIB


def graph_sizes(load: EngineLoad) -> int:
    """How many batch sizes vLLM captures as CUDA graphs: 1, 2, 4, then steps of 8, from 256 steps of 16."""
    largest = load.largest_graph or min(2 * load.max_num_seqs, LARGEST_GRAPH)
    small = sum(size <= largest for size in (1, 2, 4))
    return small + len(range(8, min(largest, 255) + 1, 8)) + len(range(256, largest + 1, 16))


def graphs_gib(model: Model, load: EngineLoad) -> float:
    """CUDA graphs, which the engine counts against its share since 0.21: per layer and captured batch size."""
    if not (load.compiled and load.engine.counts_graphs):
        return 0.0
    captures = graph_sizes(load) * (2 if load.adapters else 1)  # once more for batches that use an adapter
    workspace = FLASHINFER_WORKSPACE_GIB if load.flashinfer else 0.0
    return GRAPH_MIB_PER_LAYER_AND_SIZE * model.attention.layers * captures / 1024 + workspace


def adapters_gib(model: Model, load: EngineLoad) -> float:
    """The buffers vLLM keeps for LoRA adapters on each GPU, used or not."""
    if load.adapters is None:
        return 0.0
    return lora.slots_gib(
        model,
        load.adapters,
        tensor_parallel=load.tensor_parallel,
        inner=block_width(model),
        element_bytes=DTYPE_BYTES[load.dtype],
    )


def runtime_gib(load: EngineLoad) -> float:
    """What lives outside PyTorch's allocator: the CUDA context's workspaces, and NCCL's buffers between GPUs."""
    return RUNTIME_GIB + (NCCL_GIB if load.tensor_parallel > 1 else 0.0)


def gpu_terms(model: Model, checkpoint: Checkpoint, load: EngineLoad) -> tuple[MemoryTerm, ...]:
    """The budget's terms on each GPU, at the asked context length and batch."""
    per_request = kv_bytes_per_request(model, load)
    split = f", split over {load.tensor_parallel} GPUs" if load.tensor_parallel > 1 else ""
    known = "measured size" if checkpoint.weights_gib is not None else f"{model.parameters_b:g} billion parameters"
    return (
        MemoryTerm(
            name="weights",
            gib=weights_gib(model, checkpoint, dtype=load.dtype, tensor_parallel=load.tensor_parallel),
            how=f"{known} as {_stored(checkpoint, load)}{split}; {model.source.name}, {model.source.as_of}",
        ),
        MemoryTerm(
            name="kv cache",
            gib=load.max_num_seqs * per_request / GIB,
            how=f"{load.max_num_seqs} requests x {load.context_length} tokens, {per_request / MIB:.0f} MiB each{split}",
        ),
        MemoryTerm(
            name="activations",
            gib=activations_gib(model, load),
            how=f"peak of a step of {load.max_num_batched_tokens} tokens; calibrated, docs/planning.md",
        ),
        MemoryTerm(
            name="cuda graphs",
            gib=graphs_gib(model, load),
            how=f"{graph_sizes(load)} batch sizes captured; calibrated, docs/planning.md",
        ),
        MemoryTerm(name="runtime", gib=runtime_gib(load), how="CUDA and NCCL buffers; calibrated, docs/planning.md"),
        *_adapter_terms(model, load),
    )


def _adapter_terms(model: Model, load: EngineLoad) -> tuple[MemoryTerm, ...]:
    slots = load.adapters
    if slots is None:
        return ()
    how = f"buffers of rank {slots.rank} for {slots.count} adapters, computed from vLLM's shapes; not calibrated"
    return (MemoryTerm(name="lora adapters", gib=adapters_gib(model, load), how=how),)


def _stored(checkpoint: Checkpoint, load: EngineLoad) -> str:
    return load.dtype if checkpoint.quantization is Quantization.NONE else checkpoint.quantization.value


def overhead_gib(model: Model, load: EngineLoad) -> float:
    """Everything that is neither weights nor KV cache, on each GPU."""
    return activations_gib(model, load) + graphs_gib(model, load) + runtime_gib(load) + adapters_gib(model, load)


def predict(
    model: Model,
    checkpoint: Checkpoint,
    gpu: Gpu,
    load: EngineLoad,
    *,
    utilization: float = DEFAULT_UTILIZATION,
) -> Prediction:
    """What vLLM will report at start-up on this GPU: weights, KV cache and how many requests it holds."""
    weights = weights_gib(model, checkpoint, dtype=load.dtype, tensor_parallel=load.tensor_parallel)
    overhead = overhead_gib(model, load)
    kv_gib = gpu.memory_gib * utilization - weights - overhead
    requests = max(0.0, kv_gib) * GIB / kv_bytes_per_request(model, load)
    return Prediction(
        weights_gib=weights,
        overhead_gib=overhead,
        kv_gib=kv_gib,
        kv_tokens=_tokens(model, load, kv_gib, requests),
        max_concurrency=requests,
    )


def _tokens(model: Model, load: EngineLoad, kv_gib: float, requests: float) -> int:
    """Tokens the log prints: whole blocks; for windowed models requests times context length, as vLLM derives it."""
    if model.attention.windowed_layers:
        return int(requests * load.context_length)
    block = BLOCK_TOKENS * kv_bytes_per_token(model, tensor_parallel=load.tensor_parallel, element_bytes=load.kv_bytes)
    return int(max(0.0, kv_gib) * GIB // block) * BLOCK_TOKENS


def kv_cache_tokens(
    model: Model,
    checkpoint: Checkpoint,
    gpu: Gpu,
    *,
    utilization: float = DEFAULT_UTILIZATION,
    max_model_len: int,
    tensor_parallel: int = 1,
    dtype: str = "bfloat16",
    kv_cache_dtype: str = "auto",
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    enforce_eager: bool = False,
    engine_version: str | None = None,
) -> Prediction:
    """`predict` for a bare engine: what is not given is vLLM's own default for the GPU, in its current version."""
    engine = behaviour(engine_version) if engine_version else CURRENT
    step = default_max_num_batched_tokens(gpu, engine=engine, context_length=max_model_len)
    load = EngineLoad(
        tensor_parallel=tensor_parallel,
        dtype=dtype,
        kv_cache_dtype=kv_cache_dtype,
        context_length=max_model_len,
        max_num_seqs=max_num_seqs or default_max_num_seqs(gpu),
        max_num_batched_tokens=max_num_batched_tokens or step,
        compiled=not enforce_eager,
        flashinfer=kv_cache_dtype != "auto" and not gpu.supports((9, 0)),
        engine=engine,
    )
    return predict(model, checkpoint, gpu, load, utilization=utilization)
