"""What Ollama and LocalAI share: one server for all models of a stack, each model run by llama.cpp."""

from math import ceil

from slipway.catalog.types import Arch
from slipway.planning.types import ServingPlan


def accelerator(plan: ServingPlan) -> str:
    """The key of the release's image: ``cuda`` where any model sits on a GPU, ``cpu`` otherwise."""
    return "cuda" if gpus(plan) else "cpu"


def gpus(plan: ServingPlan) -> int:
    """Whole GPUs of the one server: its models share them, so the largest need counts, not the sum."""
    return max(model.gpus for model in plan.models)


def concurrency(plan: ServingPlan) -> int:
    """Requests in flight per loaded model: one figure for the whole server, so the largest of its models."""
    return max(model.concurrency for model in plan.models)


def threads(plan: ServingPlan) -> int | None:
    """Physical cores, which is where llama.cpp is fastest; None on a local host, whose cores the plan does not know."""
    instance_type = plan.instance_type
    if instance_type is None:
        return None
    # x86 vCPUs are hyperthreads, two to a core; Graviton's are cores.
    return max(1, instance_type.vcpus // 2) if instance_type.arch is Arch.AMD64 else instance_type.vcpus


def memory_gib(plan: ServingPlan) -> float:
    """Host memory of all models together, at most what the host offers to containers."""
    needed = sum(model.memory.host.used_gib for model in plan.models)
    return round(min(needed, *(model.memory.host.available_gib for model in plan.models)), 2)


def models_gib(plan: ServingPlan) -> int:
    """Size of the model volume: the stack's own figure, or what the disk proofs of all models add up to."""
    configured = plan.settings.storage.disk_gib
    return configured or ceil(sum(model.memory.disk.used_gib for model in plan.models))


def startup_seconds(plan: ServingPlan) -> float:
    """Predicted start of all models, one after the other; a lower bound where a phase is unknown."""
    return sum(model.cold_start.total_seconds for model in plan.models)
