"""Planning: does it fit, with which flags, on how many machines. Never imports pulumi."""

from slipway.planning.memory import EngineLoad, Prediction, kv_cache_tokens, predict
from slipway.planning.planner import plan
from slipway.planning.types import ServingPlan

__all__ = ["EngineLoad", "Prediction", "ServingPlan", "kv_cache_tokens", "plan", "predict"]
