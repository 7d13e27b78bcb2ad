"""Everything that is watched in one stack, and all the rules for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway.catalog.types import Platform
from slipway.monitoring.clusters import WatchedCluster, cluster_group
from slipway.monitoring.engines import WatchedServer, engine_groups
from slipway.monitoring.gateways import gateway_group
from slipway.monitoring.gpus import gpu_group
from slipway.monitoring.rules import Group
from slipway.monitoring.targets import ScrapeTarget, server_target
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a stack has to watch; what it has not is left out, and so are the alerts about it."""

    platform: Platform
    servers: tuple[WatchedServer, ...] = ()
    gateway: ScrapeTarget | None = None
    gpus: ScrapeTarget | None = None
    cluster: WatchedCluster | None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        """The rules, ready to be written."""
        return tuple(_groups(self))


def watched_server(plan: ServingPlan, workload: Workload, *, starting_seconds: int) -> WatchedServer | None:
    """A server with what the plan expects of it; None where it has no metrics."""
    target = server_target(workload, plan.platform)
    if target is None:
        return None
    served = {model.name: model.concurrency for model in plan.models if model.name in workload.served_models}
    return WatchedServer(target=target, concurrency=served, starting_seconds=starting_seconds)


def targets(watched: Watched) -> Sequence[ScrapeTarget]:
    """Every endpoint to scrape."""
    others = (watched.gateway, watched.gpus)
    return [*(server.target for server in watched.servers), *(target for target in others if target)]


def _groups(watched: Watched) -> Iterator[Group]:
    yield from engine_groups(watched.servers, watched.platform)
    if watched.gateway:
        yield gateway_group(watched.gateway)
    if watched.gpus:
        yield gpu_group()
    if watched.cluster:
        yield cluster_group(watched.cluster)
