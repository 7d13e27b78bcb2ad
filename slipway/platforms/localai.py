"""LocalAI: one server for all models of the stack, each described in YAML, downloaded and loaded before it is ready."""

import json
from math import ceil
from typing import Any

import yaml

from slipway.planning.types import PlannedModel, ServingPlan
from slipway.platforms import llamacpp
from slipway.platforms.workload import (
    ExecProbe,
    HttpProbe,
    Port,
    Probes,
    SecretEnv,
    Setup,
    Volume,
    VolumeKind,
    Workload,
)

PORT = 8080
MODELS_FILE = "/etc/localai/models.yaml"
BACKEND = "llama-cpp"
STARTUP_PERIOD_SECONDS = 10
# The image's own health check gives downloads an hour (LocalAI v4.9.0, Dockerfile).
SHORTEST_STARTUP_SECONDS = 3600
# The backend is an image of its own, unpacked at first start: CUDA libraries included.
BACKENDS_GIB = {"cuda": 10, "cpu": 2}
ALL_LAYERS = 999  # more than any model has: llama.cpp offloads what there is


def workloads(plan: ServingPlan) -> tuple[Workload, ...]:
    """The one LocalAI server of a stack.

    Downloads and loading run before its port opens, so readiness means that every model is in memory.
    """
    accelerator = llamacpp.accelerator(plan)
    names = tuple(model.name for model in plan.models)
    return (
        Workload(
            name="localai",
            image=plan.release.images[accelerator],
            args=(),
            env=_environment(plan, names),
            secret_env=(SecretEnv(variable="LOCALAI_API_KEY", secret="apiKey"),),  # noqa: S106 - the secret's name
            ports=(Port(name="http", number=PORT, public=True),),
            probes=Probes(
                startup=HttpProbe(
                    path="/readyz",
                    port="http",
                    period_seconds=STARTUP_PERIOD_SECONDS,
                    failures=_startup_failures(plan),
                ),
                readiness=HttpProbe(path="/readyz", port="http"),
                liveness=HttpProbe(path="/healthz", port="http"),
            ),
            volumes=_volumes(plan, accelerator),
            gpus=llamacpp.gpus(plan),
            cpu=float(llamacpp.threads(plan) or 1),
            memory_gib=llamacpp.memory_gib(plan),
            user=None,
            drain_seconds=30,
            served_models=names,
            metrics_path="/metrics",  # asks for the API key
            setup=Setup(files=_files(plan)),
            container_health=ExecProbe(
                command=("curl", "--fail", "--silent", "--output", "/dev/null", f"http://127.0.0.1:{PORT}/readyz")
            ),
        ),
    )


def _environment(plan: ServingPlan, names: tuple[str, ...]) -> dict[str, str]:
    environment = {
        "LOCALAI_ADDRESS": f":{PORT}",
        "LOCALAI_MODELS_PATH": "/models",
        "LOCALAI_BACKENDS_PATH": "/backends",
        "LOCALAI_CONFIG_DIR": "/configuration",
        "LOCALAI_GENERATED_CONTENT_PATH": "/data/generated",
        "LOCALAI_EXTERNAL_BACKENDS": BACKEND,  # fetched at start, not at the first request
        "LOCALAI_LOAD_TO_MEMORY": ",".join(names),
        "LOCALAI_MAX_ACTIVE_BACKENDS": str(len(names)),
        "LOCALAI_DISABLE_WEBUI": "true",
        "LOCALAI_LOG_LEVEL": "info",
    }
    if any(_is_location(model) for model in plan.models):
        environment["LOCALAI_MODELS_CONFIG_FILE"] = MODELS_FILE
    gallery = [_gallery_request(plan, model) for model in plan.models if not _is_location(model)]
    if gallery:
        environment["LOCALAI_PRELOAD_MODELS"] = json.dumps(gallery)
    return environment


def _files(plan: ServingPlan) -> dict[str, str]:
    """The models that come from a location; those from LocalAI's gallery bring a description of their own."""
    described = [_description(plan, model) for model in plan.models if _is_location(model)]
    return {MODELS_FILE: yaml.safe_dump(described, sort_keys=False, width=120)} if described else {}


def _description(plan: ServingPlan, model: PlannedModel) -> dict[str, Any]:
    location = model.checkpoint.reference
    file = _file_name(model)
    return {
        "name": model.name,
        "backend": BACKEND,
        "parameters": {"model": file},
        "download_files": [{"filename": file, "uri": location}],
        "known_usecases": ["chat", "completion"],
        # The chat template is the one inside the GGUF file.
        "template": {"use_tokenizer_template": True},
        **_sizing(plan, model),
    }


def _sizing(plan: ServingPlan, model: PlannedModel) -> dict[str, Any]:
    sizing: dict[str, Any] = {
        # llama.cpp shares one context between its slots, so every request in flight gets its full length.
        "context_size": model.context_length * model.concurrency,
        "f16": True,
        "mmap": True,
        "gpu_layers": ALL_LAYERS if model.gpus else 0,
        # No prompt cache in host memory: by default it takes 8 GiB that the memory proof does not count.
        "options": [f"parallel:{model.concurrency}", "cache_ram:0", "use_jinja:true"],
    }
    threads = llamacpp.threads(plan)
    return sizing if threads is None else {**sizing, "threads": threads}


def _gallery_request(plan: ServingPlan, model: PlannedModel) -> dict[str, Any]:
    """LocalAI's gallery knows the file, its sha256 and its template; the plan knows the sizes."""
    return {
        "id": f"localai@{model.checkpoint.reference}",
        "name": model.name,
        "overrides": {"backend": BACKEND, **_sizing(plan, model)},
    }


def _is_location(model: PlannedModel) -> bool:
    """Whether the reference is a URI such as ``huggingface://owner/repository/file.gguf``, not a gallery name."""
    return "://" in model.checkpoint.reference


def _file_name(model: PlannedModel) -> str:
    last = model.checkpoint.reference.rpartition("/")[2]
    return last if last.endswith(".gguf") else f"{model.name.replace('/', '--')}.gguf"


def _startup_failures(plan: ServingPlan) -> int:
    """Twice the predicted start, which is a lower bound, and never less than the image's own patience."""
    seconds = max(SHORTEST_STARTUP_SECONDS, 2 * llamacpp.startup_seconds(plan))
    return ceil(seconds / STARTUP_PERIOD_SECONDS)


def _volumes(plan: ServingPlan, accelerator: str) -> tuple[Volume, ...]:
    return (
        Volume(name="models", kind=VolumeKind.MODELS, mount_path="/models", size_gib=llamacpp.models_gib(plan)),
        Volume(name="backends", kind=VolumeKind.CACHE, mount_path="/backends", size_gib=BACKENDS_GIB[accelerator]),
        Volume(name="configuration", kind=VolumeKind.CACHE, mount_path="/configuration", size_gib=1),
        Volume(name="data", kind=VolumeKind.CACHE, mount_path="/data", size_gib=1),
    )
