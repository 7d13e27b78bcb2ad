"""Stacks for the planning tests: the production path with one thing changed at a time."""

from datetime import date
from typing import Any

from slipway.planning import ServingPlan, plan
from slipway.problems import Problem, StackError
from slipway.settings.models import Settings

TODAY = date(2026, 11, 23)


def stack(**changes: Any) -> Settings:
    """vLLM with Llama 3.1 8B on L4 spot machines, over one that always runs."""
    keys: dict[str, Any] = {
        "stack": "prod",
        "region": "us-east-1",
        "target": "cluster",
        "platform": "vllm",
        "instanceTypes": ("g6.xlarge", "g6.2xlarge"),
        "model": {"name": "llama-3.1-8b-instruct", "quantization": "fp8"},
        "capacity": {"market": "spot", "onDemandBase": 1, "max": 4},
        "demand": {"concurrency": 32, "contextLength": 8192},
    }
    return Settings.model_validate({key: value for key, value in (keys | changes).items() if value is not None})


def planned(**changes: Any) -> ServingPlan:
    return plan(stack(**changes), today=TODAY)


def refused(**changes: Any) -> tuple[Problem, ...]:
    """The problems of a stack that must not plan."""
    try:
        planned(**changes)
    except StackError as error:
        return error.problems
    raise AssertionError("this stack should not plan")


ONE_MACHINE = {"target": "instance", "capacity": None}
