"""The three places a stack can run in, each one function, loaded when asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import pulumi

from components.secrets import StackSecrets, StackSecretsArgs
from slipway import gateway
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload
from slipway.settings.models import SecretName

__all__ = ["Deployed", "deploy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What a target tells about what it runs. `more` holds outputs that only this target has."""

    endpoints: pulumi.Output[dict[str, str]]
    """OpenAI-compatible base URL by server."""
    models: pulumi.Output[list[str]]
    """Names of the models that answer."""
    connect: pulumi.Output[dict[str, str]] | None = None
    """Command that brings a server to this machine, by server; None where it is there already."""
    more: Mapping[str, pulumi.Output[str]] = field(default_factory=dict[str, pulumi.Output[str]])


def deploy(
    plan: ServingPlan, workloads: Sequence[Workload], secrets: Mapping[str, pulumi.Input[str]]
) -> dict[str, pulumi.Input[object]]:
    """Run a stack where its plan says, and give its outputs. `secrets` are those of the stack file, by name."""
    needed = {entry.secret for workload in workloads for entry in workload.secret_env}
    if gateway.fronts(plan):
        needed.add(SecretName.API_KEY.value)  # even where the servers ask for none
    stack_secrets = StackSecrets("secrets", StackSecretsArgs(needed=sorted(needed), given=secrets))
    deployed: Deployed = import_module(f"{__name__}.{plan.target.value}").deploy(plan, workloads, stack_secrets.values)
    outputs: dict[str, pulumi.Input[object]] = {
        "endpoint": deployed.endpoints.apply(lambda found: next(iter(found.values()))),
        "endpoints": deployed.endpoints,
        "models": deployed.models,
        **deployed.more,
    }
    if deployed.connect is not None:
        outputs["connect"] = deployed.connect
    api_key = stack_secrets.values.get(SecretName.API_KEY.value)
    if api_key is not None:
        outputs["api_key"] = api_key
    return outputs
