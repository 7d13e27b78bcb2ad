"""GPUStack on one machine: server and worker in one container. On Kubernetes it comes as a Helm chart instead."""

import json
import math

from slipway.planning.host import SHARED_MEMORY_GIB, SYSTEM_GIB
from slipway.planning.types import PlannedModel, ServingPlan
from slipway.platforms.workload import (
    HttpCall,
    HttpProbe,
    Port,
    Probes,
    SecretEnv,
    Setup,
    Volume,
    VolumeKind,
    Workload,
)
from slipway.settings.models import SecretName

HTTP_PORT = 80
METRICS_PORT = 10161
DATA = "/var/lib/gpustack"
# PostgreSQL, Prometheus, Grafana and the gateway run inside the server's container; reserve.
SERVER_GIB = 2.0
SERVER_DISK_GIB = 10
DRAIN_SECONDS = 30


def workloads(plan: ServingPlan) -> tuple[Workload, ...]:
    """The one GPUStack container of a stack; models are created through its API once it is ready.

    ``/readyz`` says that the API answers, not that a model is loaded: GPUStack pulls and starts models after that.
    """
    machine = plan.instance_type
    return (
        Workload(
            name="gpustack",
            image=plan.release.images["cuda"],
            args=(),
            env={
                "GPUSTACK_ENABLE_WORKER": "true",
                "GPUSTACK_DISABLE_UPDATE_CHECK": "true",
                "GPUSTACK_DATA_DIR": DATA,
            },
            secret_env=_secrets(plan),
            ports=(
                Port(name="http", number=HTTP_PORT, public=True),
                Port(name="metrics", number=METRICS_PORT, public=False),
            ),
            probes=Probes(
                startup=HttpProbe(path="/readyz", port="http", failures=60),
                readiness=HttpProbe(path="/readyz", port="http"),
                liveness=HttpProbe(path="/healthz", port="http", failures=6),
            ),
            volumes=(
                Volume(name="models", kind=VolumeKind.MODELS, mount_path=DATA, size_gib=_disk_gib(plan)),
                Volume(
                    name="shared-memory",
                    kind=VolumeKind.SHARED_MEMORY,
                    mount_path="/dev/shm",  # noqa: S108 - the kernel's shared memory
                    size_gib=SHARED_MEMORY_GIB,
                ),
            ),
            gpus=machine.gpu_count if machine else 0,
            cpu=2.0,
            memory_gib=_memory_gib(plan),
            user=None,
            drain_seconds=DRAIN_SECONDS,
            served_models=tuple(model.name for model in plan.models),
            metrics_path="/metrics",
            setup=Setup(calls=tuple(model_call(model) for model in plan.models)),
        ),
    )


def _secrets(plan: ServingPlan) -> tuple[SecretEnv, ...]:
    password = SecretEnv(variable="GPUSTACK_BOOTSTRAP_PASSWORD", secret=SecretName.API_KEY.value)
    if SecretName.HF_TOKEN not in plan.settings.secrets:
        return (password,)
    return (password, SecretEnv(variable="HF_TOKEN", secret=SecretName.HF_TOKEN.value))


def _memory_gib(plan: ServingPlan) -> float:
    """The server and all replicas it starts, at most what the machine has beside its system."""
    needed = SERVER_GIB + sum(model.memory.host.used_gib * model.replicas_max for model in plan.models)
    offered = plan.instance_type.memory_gib - SYSTEM_GIB if plan.instance_type else needed
    return math.floor(min(needed, offered) * 4) / 4


def _disk_gib(plan: ServingPlan) -> int:
    configured = plan.settings.storage.disk_gib
    return configured or math.ceil(SERVER_DISK_GIB + sum(model.memory.disk.used_gib for model in plan.models))


def model_call(model: PlannedModel) -> HttpCall:
    """The request that deploys one model. `cluster_id` and `backend` look optional in the schema and are not."""
    reference, *parameters = model.flags
    body = {
        "name": model.name,
        "source": "huggingface",
        "huggingface_repo_id": reference,
        "cluster_id": 1,
        "backend": "vLLM",
        "backend_parameters": backend_parameters(tuple(parameters)),
        "replicas": model.replicas_min,
        "categories": ["llm"],
        "enable_model_route": True,
    }
    return HttpCall(method="POST", path="/v2/models", body=json.dumps(body))


def backend_parameters(flags: tuple[str, ...]) -> list[str]:
    """vLLM's options as GPUStack takes them, ``--name=value``; it sets the served name itself."""
    pairs: list[str] = []
    for word in flags:
        if word.startswith("--"):
            pairs.append(word)
        else:
            pairs[-1] = f"{pairs[-1]}={word}"
    return [pair for pair in pairs if not pair.startswith("--served-model-name")]
