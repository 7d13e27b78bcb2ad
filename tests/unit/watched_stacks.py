"""What real stacks have to watch, with a gateway and GPU metrics."""

from functools import cache
from pathlib import Path

from components.targets.watching import Placed, watched
from slipway import platforms
from slipway.catalog.types import Platform
from slipway.gateway import Backend, Provider, gateway
from slipway.monitoring import Watched
from slipway.planning import plan
from slipway.planning.types import ServingPlan
from slipway.settings import read_stack

PROJECT = Path(__file__).parents[2]
STACKS = ("prod", "fleet", *(f"examples/{name}-cluster.yaml" for name in ("gpustack", "localai", "ollama")))
STACKS = (*STACKS, "examples/vllm-two-models.yaml")
BACKEND = Backend(
    server="chat", model="chat", provider=Provider.VLLM, base_url="http://chat.serving.svc:8000/v1", key_variable=None
)


@cache
def planned(reference: str) -> ServingPlan:
    return plan(read_stack(reference, PROJECT).settings)


@cache
def placed(reference: str) -> Placed:
    found = planned(reference)
    own = found.platform is Platform.GPUSTACK
    return Placed(
        namespace="gpustack-system" if own else "serving",
        workloads=() if own else platforms.workloads(found),
        secret_name="stack-secrets",
        exporter=True,
        gateway=gateway([BACKEND], router_host="router").router,
        gateway_namespace="gateway",
        labels={"app.kubernetes.io/part-of": "slipway"},
    )


def watched_in(reference: str) -> Watched:
    return watched(planned(reference), placed(reference))
