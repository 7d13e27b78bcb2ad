"""What stands behind the gateway: one entry per server and model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from slipway.catalog.types import Platform
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload
from slipway.settings.models import SecretName, Target

ENGINE_KEY_VARIABLE = "ENGINE_API_KEY"
"""The router's environment variable with the key of the servers behind it."""


class Provider(StrEnum):
    """How LiteLLM speaks to a server."""

    VLLM = "hosted_vllm"
    OPENAI = "openai"


# Ollama is spoken to through its OpenAI-compatible API: LiteLLM's own Ollama client has no embeddings and no plain
# completions, and asks the server about the model's abilities before it sends tools.
_PROVIDERS = {Platform.VLLM: Provider.VLLM, Platform.LOCALAI: Provider.OPENAI, Platform.OLLAMA: Provider.OPENAI}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One server that answers for one model. Several with the same `model` share its requests.

    `model` is the name clients ask for and the server knows; `base_url` ends in ``/v1``. `key_variable` names the
    environment variable with the server's key, None where it asks for none. `weight` is relative to the other servers
    of the model; None: all alike.
    """

    server: str
    model: str
    provider: Provider
    base_url: str
    key_variable: str | None
    weight: int | None = None


def fronts(plan: ServingPlan) -> bool:
    """Whether the gateway stands in front of this stack's servers. GPUStack brings a gateway of its own."""
    return plan.target is Target.CLUSTER and plan.platform in _PROVIDERS


def backends(
    plan: ServingPlan, workloads: Iterable[Workload], address: Callable[[Workload], str]
) -> tuple[Backend, ...]:
    """Every server of a stack with each of its models; `address` gives a server's ``http://host:port``."""
    provider = _PROVIDERS[plan.platform]
    return tuple(
        Backend(
            server=workload.name,
            model=model,
            provider=provider,
            base_url=f"{address(workload)}/v1",
            key_variable=ENGINE_KEY_VARIABLE if _asks_for_key(workload) else None,
        )
        for workload in workloads
        for model in workload.served_models
    )


def _asks_for_key(workload: Workload) -> bool:
    return any(entry.secret == SecretName.API_KEY.value for entry in workload.secret_env)
