"""The vLLM command line that follows from a plan. Every flag exists in the pinned release; a test proves it."""

from slipway.catalog.types import Checkpoint, Model
from slipway.planning.memory import EngineLoad
from slipway.settings.models import ServedModel

DRAIN_SECONDS = 90
"""How long running requests get on SIGTERM: with 15 s of preStop, below the two minutes of a spot notice."""

QUIET_ENDPOINTS = "/health,/metrics,/ping"


def vllm_flags(
    served: ServedModel,
    model: Model,
    checkpoint: Checkpoint,
    load: EngineLoad,
    utilization: float | None,
    *,
    shared_files: bool = False,
) -> tuple[str, ...]:
    """Arguments of ``vllm serve``, model first; `utilization` is None on a CPU, where the cache has a size instead.

    `shared_files`: weights lie on a network file system, where reading mapped pages one by one is very slow; files are
    read from end to end into the page cache first (LoadConfig.safetensors_load_strategy, vLLM PR 24469).
    The quantization is read from the checkpoint's own config.json, so no flag names it.
    """
    flags = [checkpoint.reference, "--served-model-name", served.name]
    if served.revision:
        flags += ["--revision", served.revision, "--tokenizer-revision", served.revision]
    flags += [
        "--max-model-len",
        str(load.context_length),
        "--max-num-seqs",
        str(load.max_num_seqs),
        "--max-num-batched-tokens",
        str(load.max_num_batched_tokens),
        "--dtype",
        load.dtype,
    ]
    if utilization is not None:
        flags += ["--gpu-memory-utilization", f"{utilization:g}"]
    if load.tensor_parallel > 1:
        flags += ["--tensor-parallel-size", str(load.tensor_parallel)]
    if load.kv_cache_dtype != "auto":
        flags += ["--kv-cache-dtype", load.kv_cache_dtype]
    if served.tool_calling and model.tool_call_parser:
        flags += ["--enable-auto-tool-choice", "--tool-call-parser", model.tool_call_parser]
    if shared_files:
        flags += ["--safetensors-load-strategy", "prefetch"]
    flags += [
        "--shutdown-timeout",
        str(DRAIN_SECONDS),
        "--disable-access-log-for-endpoints",
        QUIET_ENDPOINTS,
    ]
    return tuple(flags)
