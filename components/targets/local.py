"""Target `local`: Docker on this machine."""

from collections.abc import Mapping, Sequence

import pulumi

from components.docker_host import DockerHost, DockerHostArgs
from components.targets import Deployed
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload


def deploy(plan: ServingPlan, workloads: Sequence[Workload], secrets: Mapping[str, pulumi.Output[str]]) -> Deployed:
    """One container per server."""
    host = DockerHost("host", DockerHostArgs(plan=plan, workloads=workloads, secrets=secrets))
    return Deployed(endpoints=host.endpoints, models=host.models)
