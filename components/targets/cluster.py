"""Target `cluster`: EKS with GPU nodes, and on it the stack's servers, or a platform that brings its own chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.autoscaler import ClusterAutoscaler, ClusterAutoscalerArgs
from components.gateway import Gateway, gateway_args
from components.gpu_cluster import SYSTEM_NODES, GpuCluster, GpuClusterArgs
from components.gpu_node_group import GpuNodeGroup, GpuNodeGroupArgs, GroupSize, group_sizes
from components.gpu_runtime import GpuRuntime, GpuRuntimeArgs
from components.gpustack import GATEWAY_PORT, GATEWAY_SERVICE, GpuStack, GpuStackArgs
from components.gpustack import NAMESPACE as GPUSTACK_NAMESPACE
from components.karpenter import Karpenter, KarpenterArgs
from components.model_cache import CacheKind, choose_cache
from components.monitoring import Monitoring
from components.naming import dns_label, stack_tags
from components.network import Nat, Network, NetworkArgs
from components.pod import pod_security
from components.scheduling import GPU_TAINT, SERVING_POOL, Taint, serving_selector
from components.scraping import Scraping
from components.serving_deployment import ServingDeployment, ServingDeploymentArgs, server_name
from components.serving_namespace import ServingNamespace, ServingNamespaceArgs
from components.shared_cache import SharedCache, SharedCacheArgs
from components.targets import Deployed
from components.targets.networks import network_of, region_of
from components.targets.watching import Placed, monitoring_args, scraping_args
from slipway import catalog
from slipway.catalog.types import Platform
from slipway.labels import Rung
from slipway.planning.types import ServingPlan, UpdateKind
from slipway.platforms.workload import Workload
from slipway.settings.models import Autoscaler, CachePlace, PrometheusPlace, SecretName

SERVING_NAMESPACE = "serving"
EKS_ZONES = 2
# The control plane refuses the zone behind use1-az3, which is us-east-1e for most accounts (EKS network requirements).
NOT_FOR_EKS = frozenset({"us-east-1e"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNeeds:
    """What a platform asks of the cluster it runs on."""

    taint: Taint | None = GPU_TAINT
    """Taint of GPU nodes; None where the platform's own DaemonSets do not tolerate one."""
    device_plugin: bool = True
    """Whether NVIDIA's device plugin hands out the GPUs."""
    own_chart: bool = False
    """Whether the platform installs itself; otherwise its Workloads are deployed."""
    system_instance_types: tuple[str, ...] = ("m7i.large", "m6i.large", "t3.large")
    """Machines for what is not a model, the first that the region offers."""


NEEDS: Mapping[Platform, ClusterNeeds] = {
    Platform.GPUSTACK: ClusterNeeds(
        taint=None,
        device_plugin=False,
        own_chart=True,
        # Server, gateway and operator ask for 3 cores and 10 GiB beside what every cluster runs.
        system_instance_types=("m7i.xlarge", "m6i.xlarge", "t3.xlarge"),
    )
}


def deploy(plan: ServingPlan, workloads: Sequence[Workload], secrets: Mapping[str, pulumi.Output[str]]) -> Deployed:
    """Network, cluster, nodes, GPU runtime, servers: each waits for the whole of what it stands on."""
    return _ClusterStack(plan, workloads, secrets).deploy()


class _ClusterStack:
    """The parts of one stack, put together in order."""

    def __init__(
        self, plan: ServingPlan, workloads: Sequence[Workload], secrets: Mapping[str, pulumi.Output[str]]
    ) -> None:
        self._plan = plan
        self._needs = NEEDS.get(plan.platform, ClusterNeeds())
        self._workloads = () if self._needs.own_chart else workloads
        self._secrets = secrets
        self._caches = caches_of(plan, self._workloads)
        self._taint = self._needs.taint if _has_gpu(plan) else None
        self._plugin = self._needs.device_plugin and _has_gpu(plan)
        self._watching = plan.settings.monitoring.prometheus is not PrometheusPlace.NONE
        self._space: ServingNamespace | None = None
        self._door: Gateway | None = None
        self._labels = {"app.kubernetes.io/part-of": f"slipway-{dns_label(plan.stack, longest=50)}"}

    def deploy(self) -> Deployed:
        plan = self._plan
        network = Network("network", network_args(plan))
        cluster = GpuCluster(
            "cluster", cluster_args(plan, self._needs, network), pulumi.ResourceOptions(depends_on=[network])
        )
        ready: list[pulumi.Resource] = [cluster, *self._node_groups(network, cluster)]
        ready += self._autoscaler(network, cluster, ready)
        if self._plugin:
            runtime = GpuRuntime(
                "gpu-runtime", GpuRuntimeArgs(taint=self._taint, exporter=self._watching), _on(cluster, ready)
            )
            ready = [*ready, runtime]
        if CacheKind.SHARED in self._caches.values():
            shared = SharedCache("shared-cache", self._shared_cache_args(network, cluster), _on(cluster, ready))
            ready = [*ready, shared]
        endpoints, forwards = (self._chart if self._needs.own_chart else self._servers)(_on(cluster, ready))
        self._watch(cluster, ready)
        access = f"aws eks update-kubeconfig --region {plan.region} --name "
        return Deployed(
            endpoints=pulumi.Output.all(**endpoints),
            models=pulumi.Output.from_input([name for model in plan.models for name in model.served_names]),
            connect=cluster.cluster_name.apply(
                lambda name: {server: f"{access}{name} && {forward}" for server, forward in forwards.items()}
            ),
            more={"cluster_name": cluster.cluster_name, "kubeconfig": cluster.kubeconfig},
        )

    def _node_groups(self, network: Network, cluster: GpuCluster) -> list[GpuNodeGroup]:
        """The managed groups of GPU nodes."""
        plan = self._plan
        return [
            GpuNodeGroup(
                f"{SERVING_POOL}-{size.name}",
                GpuNodeGroupArgs(
                    cluster_name=cluster.cluster_name,
                    kubernetes_version=plan.settings.kubernetes.version,
                    subnet_ids=self._subnets(network, size),
                    instance_types=plan.instance_types[:1] if self._reserved(size) else plan.instance_types,
                    size=size,
                    autoscaled=plan.capacity.autoscaler is Autoscaler.CLUSTER_AUTOSCALER,
                    reservation=plan.capacity.reservation if self._reserved(size) else None,
                    disk_gib=plan.root_disk_gib,
                    throughput_mib_s=plan.settings.storage.throughput_mib_s,
                    taint=self._taint,
                    tags=stack_tags(plan.stack, plan.settings.tags),
                ),
                pulumi.ResourceOptions(depends_on=[cluster]),
            )
            for size in group_sizes(plan.capacity)
        ]

    def _autoscaler(
        self, network: Network, cluster: GpuCluster, ready: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Who adds nodes: there before the servers, whose pods may wait for a node."""
        plan = self._plan
        if plan.capacity.autoscaler is Autoscaler.KARPENTER:
            return [Karpenter("karpenter", self._karpenter_args(network, cluster), _on(cluster, ready))]
        if plan.capacity.autoscaler is Autoscaler.NONE:
            return []
        args = ClusterAutoscalerArgs(
            cluster_name=cluster_name(plan),
            region=plan.region or "",
            kubernetes_version=plan.settings.kubernetes.version,
            pools={SERVING_POOL: group_sizes(plan.capacity)},
            nodes_max=SYSTEM_NODES + plan.capacity.maximum,
            tags=stack_tags(plan.stack, plan.settings.tags),
        )
        return [ClusterAutoscaler("autoscaler", args, _on(cluster, ready))]

    def _karpenter_args(self, network: Network, cluster: GpuCluster) -> KarpenterArgs:
        plan = self._plan
        return KarpenterArgs(
            cluster_name=cluster_name(plan),
            region=plan.region or "",
            kubernetes_version=plan.settings.kubernetes.version,
            subnet_ids=self._subnets(network),
            security_group_id=cluster.security_group_id,
            instance_types=plan.instance_types,
            market=plan.capacity.market,
            nodes_max=plan.capacity.maximum - plan.capacity.guaranteed,
            disk_gib=plan.root_disk_gib,
            throughput_mib_s=plan.settings.storage.throughput_mib_s,
            taint=self._taint,
            reservation=plan.capacity.reservation,
            tags=stack_tags(plan.stack, plan.settings.tags),
        )

    def _reserved(self, size: GroupSize) -> bool:
        return self._plan.capacity.reservation is not None and size.rung is Rung.BASE

    def _subnets(self, network: Network, size: GroupSize | None = None) -> list[pulumi.Output[str]]:
        """Where GPU nodes go: zones that offer the machine, which are the plan's; a reservation's only in its zone.

        One zone where weights lie on a volume that stays: it cannot follow a node into another zone.
        """
        capacity = self._plan.settings.capacity
        zones = self._plan.zones
        if capacity.reservation_zone and (CacheKind.CLAIM in self._caches.values() or (size and self._reserved(size))):
            zones = (capacity.reservation_zone,)
        subnets = network.private_subnet_ids(zones)
        return subnets[:1] if CacheKind.CLAIM in self._caches.values() else subnets

    def _shared_cache_args(self, network: Network, cluster: GpuCluster) -> SharedCacheArgs:
        plan = self._plan
        return SharedCacheArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids(),
            client_security_group_id=cluster.security_group_id,
            user=shared_user(self._workloads),
            protect=plan.settings.protect,
            tags=stack_tags(plan.stack, plan.settings.tags),
        )

    def _servers(self, opts: pulumi.ResourceOptions) -> "_Placed":
        """Every Workload as a Deployment in one namespace, and the gateway in front of them in another."""
        plan = self._plan
        labels = self._labels
        space = self._space = ServingNamespace(
            "serving",
            ServingNamespaceArgs(
                namespace=SERVING_NAMESPACE,
                pod_security=pod_security(self._workloads),
                secrets={name: self._secrets[name] for name in secret_names(self._workloads)},
                labels=labels,
            ),
            opts,
        )
        inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[space]))
        for workload in self._workloads:
            ServingDeployment(
                f"serving-{server_name(workload)}",
                ServingDeploymentArgs(
                    workload=workload,
                    namespace=space.namespace,
                    replicas=replicas(plan, workload)[0],
                    cache=self._caches[server_name(workload)],
                    update=update_kind(plan, workload),
                    node_selector=serving_selector(),
                    tolerations=[self._taint.toleration()] if self._taint else [],
                    secret_name=space.secret_name,
                    monitoring_namespace=plan.settings.monitoring.namespace,
                    protect=plan.settings.protect,
                    labels=labels,
                ),
                inside,
            )
        # Beside the servers, not after them: one that does not start must not keep the others' clients out.
        args = gateway_args(plan, self._workloads, SERVING_NAMESPACE, self._secrets, labels)
        door = self._door = Gateway("gateway", args, opts)
        return {"gateway": door.endpoint}, {"gateway": door.forward}

    def _watch(self, cluster: GpuCluster, ready: Sequence[pulumi.Resource]) -> None:
        """Prometheus and what it reads. No server waits for it, and it waits for no server."""
        if not self._watching:
            return
        before = [*ready]
        if self._plan.settings.monitoring.prometheus is PrometheusPlace.INSTALL:
            args = monitoring_args(self._plan, self._labels)
            before.append(Monitoring("monitoring", args, _on(cluster, ready)))
        space = self._space
        placed = Placed(
            namespace=space.namespace if space else GPUSTACK_NAMESPACE,
            workloads=self._workloads,
            secret_name=space.secret_name if space else None,
            exporter=self._plugin,
            gateway=self._door.watched if self._door else None,
            gateway_namespace=self._door.space.namespace if self._door else None,
            labels=self._labels,
        )
        spaces = [found for found in (space, self._door and self._door.space) if found]
        Scraping("scraping", scraping_args(self._plan, placed), _on(cluster, [*before, *spaces]))

    def _chart(self, opts: pulumi.ResourceOptions) -> "_Placed":
        """The platform's own chart."""
        stack = GpuStack(
            "gpustack",
            GpuStackArgs(
                release=self._plan.release,
                admin_password=self._secrets[SecretName.API_KEY.value],
                hugging_face_token=self._secrets.get(SecretName.HF_TOKEN.value),
            ),
            opts,
        )
        forward = f"kubectl --namespace {GPUSTACK_NAMESPACE} port-forward service/{GATEWAY_SERVICE} 8080:{GATEWAY_PORT}"
        return {"gpustack": stack.endpoint}, {"gpustack": forward}


_Placed = tuple[dict[str, pulumi.Input[str]], dict[str, str]]
"""Endpoints and forwarding commands, by server."""


def secret_names(workloads: Sequence[Workload]) -> list[str]:
    """The secrets that servers refer to."""
    return sorted({entry.secret for workload in workloads for entry in workload.secret_env})


def _on(cluster: GpuCluster, ready: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(providers=[cluster.provider], depends_on=list(ready))


def _has_gpu(plan: ServingPlan) -> bool:
    return plan.instance_type is not None and plan.instance_type.gpu is not None


def caches_of(plan: ServingPlan, workloads: Sequence[Workload]) -> dict[str, CacheKind]:
    """Where the weights of each server lie, by server."""
    return {
        server_name(workload): choose_cache(
            workload,
            replicas_max=replicas(plan, workload)[1],
            instance_types=plan.instance_types,
            root_disk_gib=plan.root_disk_gib,
            place=plan.settings.storage.cache,
        )
        for workload in workloads
    }


def shared_user(workloads: Sequence[Workload]) -> tuple[int, int]:
    """The one user all servers run as; root where an image says nothing else."""
    users = {workload.user or (0, 0) for workload in workloads}
    if len(users) != 1:
        raise ValueError(f"workloads: run as {len(users)} users, expected one that owns the shared files")
    return users.pop()


def network_args(plan: ServingPlan) -> NetworkArgs:
    """A VPC over the plan's zones, topped up to the two that EKS asks for; or the adopted one."""
    zones = cluster_zones(plan.zones, catalog.zones(region_of(plan)))
    return network_of(plan, zones=zones, nat=Nat.PER_ZONE if plan.settings.network.nat_per_zone else Nat.SINGLE)


def cluster_zones(serving: Sequence[str], region: Sequence[str]) -> tuple[str, ...]:
    """Zones of the cluster's subnets: those of the GPU nodes first, then others of the region until there are two."""
    spare = [zone for zone in region if zone not in serving and zone not in NOT_FOR_EKS]
    return (*serving, *spare[: max(0, EKS_ZONES - len(serving))])


def cluster_name(plan: ServingPlan) -> str:
    """The cluster's name in EKS."""
    return f"slipway-{dns_label(plan.stack, longest=80)}"


def cluster_args(plan: ServingPlan, needs: ClusterNeeds, network: Network) -> GpuClusterArgs:
    """The cluster of a plan."""
    region, settings = region_of(plan), plan.settings
    return GpuClusterArgs(
        cluster_name=cluster_name(plan),
        region=region,
        kubernetes_version=settings.kubernetes.version,
        subnet_ids=network.private_subnet_ids(),
        system_instance_type=system_instance_type(needs, region),
        storage_throughput_mib_s=settings.storage.throughput_mib_s,
        shared_files=settings.storage.cache is CachePlace.SHARED,
        api_access_cidrs=settings.network.api_access_cidrs,
        extended_support=settings.kubernetes.extended_support,
        admin_role_arns=settings.kubernetes.admin_role_arns,
        protect=settings.protect,
        tags=stack_tags(plan.stack, settings.tags),
    )


def system_instance_type(needs: ClusterNeeds, region: str) -> str:
    """The first of the platform's choices that the region offers in enough zones."""
    offered = (name for name in needs.system_instance_types if len(catalog.zones_offering(name, region)) >= EKS_ZONES)
    found = next(offered, None)
    if found is None:
        raise ValueError(f"{region} offers none of {', '.join(needs.system_instance_types)}")
    return found


def replicas(plan: ServingPlan, workload: Workload) -> tuple[int, int]:
    """Fewest and most replicas of a server: those of its models, which are equal where it has several."""
    served = [model for model in plan.models if model.name in workload.served_models]
    return max(model.replicas_min for model in served), max(model.replicas_max for model in served)


def update_kind(plan: ServingPlan, workload: Workload) -> UpdateKind:
    """How a server's pods are replaced: as planned for its models, which is the same for all of one server."""
    planned = next(model.update for model in plan.models if model.name in workload.served_models)
    if planned is None:
        raise ValueError(f"plan: says nothing of how {workload.name} is updated")
    return planned.kind
