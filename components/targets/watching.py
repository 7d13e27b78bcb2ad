"""What a cluster's stack has to watch, from its plan: for the components that install and feed Prometheus. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.gpu_cluster import DEFAULT_STORAGE_CLASS
from components.gpu_runtime import EXPORTER_PODS
from components.gpu_runtime import NAMESPACE as GPU_NAMESPACE
from components.monitoring import MonitoringArgs
from components.scraping import ScrapedPods, ScrapingArgs
from components.serving_deployment import NAME_LABEL, patience_seconds, server_name
from slipway.catalog.types import Market
from slipway.monitoring import DCGM, Watched, WatchedCluster, gateway_target, server_target, watched_server
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload

# Of a platform that brings its own servers, nothing says how long they take.
USUAL_START_SECONDS = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What runs where. `gateway` is the part of the gateway that has metrics; `exporter` whether GPUs report theirs."""

    namespace: str
    workloads: Sequence[Workload]
    secret_name: pulumi.Input[str] | None = None
    exporter: bool = False
    gateway: Workload | None = None
    gateway_namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def monitoring_args(plan: ServingPlan, labels: Mapping[str, str]) -> MonitoringArgs:
    """A Prometheus of the stack's own."""
    wanted = plan.settings.monitoring
    return MonitoringArgs(
        namespace=wanted.namespace,
        storage_class=DEFAULT_STORAGE_CLASS,
        storage_gib=wanted.storage_gib,
        retention_days=wanted.retention_days,
        alertmanager=wanted.alertmanager,
        labels=labels,
    )


def scraping_args(plan: ServingPlan, placed: Placed) -> ScrapingArgs:
    """Its targets and rules, with the labels an existing Prometheus selects by."""
    wanted = plan.settings.monitoring
    return ScrapingArgs(
        scraped=scraped_pods(plan, placed),
        groups=watched(plan, placed).groups,
        namespace=wanted.namespace,
        labels={**placed.labels, **wanted.pod_monitor_labels},
    )


def scraped_pods(plan: ServingPlan, placed: Placed) -> list[ScrapedPods]:
    """Every pod with metrics: servers, the gateway, the exporters beside the GPUs."""
    found = [
        ScrapedPods(
            target=target,
            namespace=placed.namespace,
            pods={NAME_LABEL: server_name(workload)},
            secret_name=placed.secret_name,
        )
        for workload in placed.workloads
        if (target := server_target(workload, plan.platform)) is not None
    ]
    if placed.gateway is not None and (target := gateway_target(placed.gateway)) is not None:
        namespace = placed.gateway_namespace or placed.namespace
        found.append(ScrapedPods(target=target, namespace=namespace, pods={NAME_LABEL: server_name(placed.gateway)}))
    if placed.exporter:
        found.append(ScrapedPods(target=DCGM, namespace=GPU_NAMESPACE, pods=EXPORTER_PODS))
    return found


def watched(plan: ServingPlan, placed: Placed) -> Watched:
    """What the rules are about."""
    starts = {workload.name: patience_seconds(workload) for workload in placed.workloads}
    servers = (watched_server(plan, one, starting_seconds=starts[one.name]) for one in placed.workloads)
    return Watched(
        platform=plan.platform,
        servers=tuple(server for server in servers if server is not None),
        gateway=gateway_target(placed.gateway) if placed.gateway else None,
        gpus=DCGM if placed.exporter else None,
        cluster=WatchedCluster(
            namespaces=tuple(dict.fromkeys(filter(None, (placed.namespace, placed.gateway_namespace)))),
            starting_seconds=max(starts.values(), default=USUAL_START_SECONDS),
            spot=plan.capacity.market is Market.SPOT,
            unscraped=tuple(server_name(one) for one in placed.workloads if one.metrics_path is None),
        ),
    )
