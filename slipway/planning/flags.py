"""The vLLM command line that follows from a plan. Every flag exists in the pinned release; a test proves it."""

from slipway.catalog.types import Checkpoint, EngineRelease, Model
from slipway.planning.memory import EngineLoad
from slipway.settings.models import ServedModel

QUIET_ENDPOINTS = "/health,/metrics,/ping"


def vllm_flags(
    served: ServedModel,
    model: Model,
    checkpoint: Checkpoint,
    load: EngineLoad,
    utilization: float | None,
    *,
    release: EngineRelease,
    drain_seconds: int,
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
    flags += _tool_calling(served, model, release)
    flags += _adapters(served, load)
    if shared_files:
        flags += ["--safetensors-load-strategy", "prefetch"]
    flags += [
        "--shutdown-timeout",
        str(drain_seconds),
        "--disable-access-log-for-endpoints",
        QUIET_ENDPOINTS,
    ]
    return tuple(flags)


def _tool_calling(served: ServedModel, model: Model, release: EngineRelease) -> list[str]:
    """The model's own parser, and the chat template vLLM's image brings where the model's own does not suit it."""
    parser = model.tool_call_parser
    if not served.tool_calling or parser is None:
        return []
    template = release.tool_templates.get(parser)
    return [
        "--enable-auto-tool-choice",
        "--tool-call-parser",
        parser,
        *(["--chat-template", template] if template else []),
    ]


def _adapters(served: ServedModel, load: EngineLoad) -> list[str]:
    """LoRA adapters, each under a name of its own; all of them can be in one batch."""
    slots = load.adapters
    if slots is None:
        return []
    modules = [f"{adapter.name}={adapter.repo}" for adapter in served.lora_adapters]
    return [
        "--enable-lora", "--max-loras", str(slots.count), "--max-lora-rank", str(slots.rank), "--lora-modules", *modules
    ]  # fmt: skip
