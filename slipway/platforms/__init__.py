"""What a server needs, wherever it runs: one module a platform, loaded when asked for."""

from importlib import import_module

from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload

__all__ = ["Workload", "workloads"]


def workloads(plan: ServingPlan) -> tuple[Workload, ...]:
    """The servers of a stack: one per model on vLLM, one for all models on the other platforms."""
    found: tuple[Workload, ...] = import_module(f"{__name__}.{plan.platform.value}").workloads(plan)
    return found
