"""vLLM: one server per model, every flag computed by planning. Runs as a user of its own, without a shell."""

import math
import re

from slipway.planning.drain import drain_seconds
from slipway.planning.host import COMPILE_CACHE_GIB, SHARED_MEMORY_GIB
from slipway.planning.types import PlannedModel, ServingPlan
from slipway.platforms.workload import (
    ExecProbe,
    HttpProbe,
    Port,
    Probes,
    SecretEnv,
    Volume,
    VolumeKind,
    Workload,
)
from slipway.settings.models import CachePlace, SecretName

PORT = 8000
USER = (2000, 0)
"""The image's own user ``vllm``; group 0 may write where it must."""
HOME = "/home/vllm"
MODELS = "/models"

PROBE_PERIOD_SECONDS = 10
# What no source gives a figure for: compiling, and a download slower than the machine's own network. Ten minutes is
# the allowance of vLLM's production stack; known phases count twice on top.
STARTUP_ALLOWANCE_SECONDS = 600
SCRATCH_GIB = 2
# Left to DaemonSets on a node: CNI, device plugin, exporters, agents.
RESERVED_CPU = 0.6


def workloads(plan: ServingPlan) -> tuple[Workload, ...]:
    """One server per model; it is ready once ``/health`` answers, which is after load and compile."""
    return tuple(_workload(plan, model) for model in plan.models)


def _workload(plan: ServingPlan, model: PlannedModel) -> Workload:
    startup_seconds = startup_budget_seconds(model)
    return Workload(
        name=server_name(model.name),
        image=plan.release.images["cuda" if model.gpus else "cpu"],
        args=model.flags,  # follows the image's entry point, `vllm serve`
        env=_environment(plan, model, startup_seconds),
        secret_env=_secrets(plan),
        ports=(Port(name="http", number=PORT, public=True),),
        probes=_probes(startup_seconds),
        volumes=_volumes(model),
        gpus=model.gpus,
        cpu=_cpu(plan, model),
        memory_gib=_memory_gib(model),
        user=USER if model.gpus else None,  # the image for CPUs has no user but root
        drain_seconds=drain_seconds(plan.capacity.market),
        served_models=model.served_names,
        metrics_path="/metrics",
        container_health=ExecProbe(
            command=("curl", "--fail", "--silent", "--output", "/dev/null", f"http://127.0.0.1:{PORT}/health")
        ),
    )


def server_name(model: str) -> str:
    """A DNS label for the model's server. Never ``vllm``: a Service of that name sets VLLM_PORT, which breaks vLLM."""
    label = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:50].strip("-")
    return label if label[:1].isalpha() and label != "vllm" else f"model-{label}"


def startup_budget_seconds(model: PlannedModel) -> int:
    """How long a first start may take before it counts as failed: twice what is known, and an allowance."""
    return math.ceil(2 * model.cold_start.total_seconds + STARTUP_ALLOWANCE_SECONDS)


def _environment(plan: ServingPlan, model: PlannedModel, startup_seconds: int) -> dict[str, str]:
    environment = {
        # What vLLM's own entry point for such users sets: libraries ask for a name that the image may not know.
        "HOME": HOME,
        "USER": "vllm",
        "LOGNAME": "vllm",
        **_hugging_face(plan.settings.storage.cache),
        "TRITON_CACHE_DIR": f"{HOME}/.cache/triton",
        "VLLM_CACHE_ROOT": f"{HOME}/.cache/vllm",
        # vLLM's own statistics, and those of Hugging Face's library, which heeds the same word.
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # One request may ask for this many answers; the default of 16384 lets one client take the server down.
        "VLLM_MAX_N_SEQUENCES": "64",
        # An image's address that answers with a redirect would reach what the address itself may not name.
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_ENGINE_READY_TIMEOUT_S": str(startup_seconds),
    }
    if not model.gpus:
        kv_cache = next(term.gib for term in model.memory.host.terms if term.name == "kv cache")
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(math.ceil(kv_cache))
    return environment


def _hugging_face(cache: CachePlace) -> dict[str, str]:
    """Where Hugging Face's library keeps what. Servers that share share the hub's files, which it locks, and no more.

    The rest of its home, such as a model's own Python modules, stays in the pod, and so do the chunks of a download,
    which would fill it and are of no use once the files are there.
    """
    if cache is not CachePlace.SHARED:
        return {"HF_HOME": MODELS}
    return {
        "HF_HOME": f"{HOME}/.cache/huggingface",
        "HF_HUB_CACHE": f"{MODELS}/hub",
        "HF_XET_CACHE": "/tmp/xet",  # noqa: S108 - the pod's own scratch volume
        "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0",
    }


def _secrets(plan: ServingPlan) -> tuple[SecretEnv, ...]:
    api_key = SecretEnv(variable="VLLM_API_KEY", secret=SecretName.API_KEY.value)
    if SecretName.HF_TOKEN not in plan.settings.secrets:
        return (api_key,)
    return (api_key, SecretEnv(variable="HF_TOKEN", secret=SecretName.HF_TOKEN.value))


def _probes(startup_seconds: int) -> Probes:
    return Probes(
        startup=HttpProbe(
            path="/health",
            port="http",
            period_seconds=PROBE_PERIOD_SECONDS,
            failures=math.ceil(startup_seconds / PROBE_PERIOD_SECONDS),
        ),
        readiness=HttpProbe(path="/health", port="http"),
        # Liveness is slower to judge: a long prefill must not look like a dead engine.
        liveness=HttpProbe(path="/health", port="http", timeout_seconds=10, failures=6),
    )


def _volumes(model: PlannedModel) -> tuple[Volume, ...]:
    return (
        Volume(
            name="models",
            kind=VolumeKind.MODELS,
            mount_path=MODELS,
            size_gib=math.ceil(model.memory.disk.available_gib),
        ),
        # The image's files stay read-only. Beside their caches, programs write to their home (.config, .triton, .nv).
        Volume(name="home", kind=VolumeKind.SCRATCH, mount_path=HOME, size_gib=1),
        Volume(name="cache", kind=VolumeKind.CACHE, mount_path=f"{HOME}/.cache", size_gib=COMPILE_CACHE_GIB),
        Volume(
            name="shared-memory",
            kind=VolumeKind.SHARED_MEMORY,
            mount_path="/dev/shm",  # noqa: S108 - the kernel's shared memory
            size_gib=SHARED_MEMORY_GIB,
        ),
        Volume(name="temporary", kind=VolumeKind.SCRATCH, mount_path="/tmp", size_gib=SCRATCH_GIB),  # noqa: S108 - a volume of its own
    )


def _cpu(plan: ServingPlan, model: PlannedModel) -> float:
    """Cores to request: the replica's part of the smallest node, less what agents take, in steps of 0.1."""
    if not plan.instance_types:
        return 1.0
    machine = min(plan.instance_types, key=lambda kind: kind.vcpus)
    allocatable = (machine.allocatable_cpu_milli or machine.vcpus * 1000) / 1000
    part = model.gpus / machine.gpu_count if machine.gpu_count else 1 / len(plan.models)
    return max(0.5, math.floor((allocatable - RESERVED_CPU) * part * 10) / 10)


def _memory_gib(model: PlannedModel) -> float:
    """Request and limit: what the proof needs in steps of 0.25, never above what the node offers this replica."""
    host = model.memory.host
    return min(math.ceil(host.used_gib * 4) / 4, math.floor(host.available_gib * 4) / 4)
