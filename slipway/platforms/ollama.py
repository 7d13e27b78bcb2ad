"""Ollama: one server for all models of the stack, its environment explicit, its models made through its API."""

import json

from slipway.planning.types import PlannedModel, ServingPlan
from slipway.platforms import llamacpp
from slipway.platforms.workload import (
    ExecProbe,
    HttpCall,
    HttpProbe,
    Port,
    Probes,
    Setup,
    Volume,
    VolumeKind,
    Workload,
)

PORT = 11434


def workloads(plan: ServingPlan) -> tuple[Workload, ...]:
    """The one Ollama server of a stack.

    Every model answers under its name in the plan: a copy of the pulled one that carries its own context length, so
    that models with different context lengths share a server and each keeps the KV cache that was proven.
    """
    return (
        Workload(
            name="ollama",
            image=plan.release.images[llamacpp.accelerator(plan)],
            args=("serve",),
            env=_environment(plan),
            secret_env=(),  # Ollama has no authentication of its own
            ports=(Port(name="http", number=PORT, public=True),),
            probes=Probes(
                # The server is up in seconds; models come later, through its API.
                startup=HttpProbe(path="/api/version", port="http", period_seconds=2, failures=60),
                readiness=HttpProbe(path="/api/version", port="http"),
                liveness=HttpProbe(path="/api/version", port="http"),
            ),
            volumes=(
                Volume(
                    name="models",
                    kind=VolumeKind.MODELS,
                    mount_path="/root/.ollama",
                    size_gib=llamacpp.models_gib(plan),
                ),
            ),
            gpus=llamacpp.gpus(plan),
            cpu=float(llamacpp.threads(plan) or 1),
            memory_gib=llamacpp.memory_gib(plan),
            user=None,
            drain_seconds=30,
            served_models=tuple(model.name for model in plan.models),
            metrics_path=None,  # Ollama has no metrics of its own
            setup=Setup(calls=tuple(call for model in plan.models for call in _calls(model))),
            container_health=ExecProbe(command=("ollama", "list")),  # the image has no HTTP client
        ),
    )


def _environment(plan: ServingPlan) -> dict[str, str]:
    return {
        "OLLAMA_HOST": f"0.0.0.0:{PORT}",
        # Explicit, because the default follows the GPU's memory; models carry their own value on top.
        "OLLAMA_CONTEXT_LENGTH": str(max(model.context_length for model in plan.models)),
        "OLLAMA_NUM_PARALLEL": str(llamacpp.concurrency(plan)),
        "OLLAMA_MAX_LOADED_MODELS": str(len(plan.models)),
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_KV_CACHE_TYPE": "f16",  # what the memory proof counts
        "OLLAMA_NO_CLOUD": "1",
    }


def _calls(model: PlannedModel) -> tuple[HttpCall, ...]:
    """Pull, name, load: each may be repeated. Ollama verifies every layer's sha256 as it pulls."""
    return (
        _post("/api/pull", {"model": model.checkpoint.reference, "stream": False}),
        _post(
            "/api/create",
            {
                "model": model.name,
                "from": model.checkpoint.reference,
                "parameters": {"num_ctx": model.context_length},
                "stream": False,
            },
        ),
        _post("/api/generate", {"model": model.name, "keep_alive": -1, "stream": False}),
    )


def _post(path: str, body: dict[str, object]) -> HttpCall:
    return HttpCall(method="POST", path=path, body=json.dumps(body))
