"""The `cluster` target's way to run any Workload: one Deployment behind one Service inside the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from components.model_cache import CacheKind, ModelCache, ModelCacheArgs
from components.naming import PACKAGE, dns_label
from components.pod import Surroundings, config_data, pod_template
from components.serving_namespace import NAMESPACE_LABEL
from slipway.planning.types import UpdateKind
from slipway.platforms.workload import Workload

apps = kubernetes.apps.v1
core = kubernetes.core.v1
meta = kubernetes.meta.v1
networking = kubernetes.networking.v1

NAME_LABEL = "app.kubernetes.io/name"
GATEWAY_NAMESPACE = "gateway"
GATEWAY_NAME = "gateway"
MONITORING_NAMESPACE = "monitoring"
# A node that boots and pulls an image of 20 GB takes up to 10 minutes before the server even starts.
BEFORE_START_SECONDS = 900
# A Service named `vllm` sets VLLM_PORT in pods that take service links, and vLLM refuses to start.
RESERVED_NAMES = frozenset({"vllm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingDeploymentArgs:
    """One server and its surroundings."""

    workload: Workload
    """The server."""
    namespace: str
    """Namespace to run in; it denies all traffic by default, and must be there first."""
    replicas: int
    """Replicas from the start."""
    cache: CacheKind
    """Where weights lie."""
    update: UpdateKind
    """How pods are replaced."""
    node_selector: Mapping[str, str]
    """Nodes the server may run on."""
    tolerations: Sequence[core.TolerationArgs] = ()
    """Taints it is let past."""
    monitoring_namespace: str = MONITORING_NAMESPACE
    """Namespace whose pods may read the server's metrics."""
    secret_name: pulumi.Input[str] | None = None
    """Kubernetes Secret with the stack's secrets; needed when the workload refers to any."""
    protect: bool = False
    """Refuse to delete the volume that holds weights."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on every object."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.replicas < 1:
            problems.append(f"replicas: got {self.replicas}, expected at least 1")
        if self.replicas > 1 and self.cache is CacheKind.CLAIM:
            problems.append("cache: a claim attaches to one node, expected another kind for several replicas")
        if self.cache is CacheKind.CLAIM and self.update is not UpdateKind.RECREATE:
            problems.append("update: a claim attaches to one node, expected recreate")
        if self.workload.secret_env and self.secret_name is None:
            problems.append(f"secret_name: {self.workload.name} refers to secrets")
        if not any(port.public for port in self.workload.ports):
            problems.append(f"workload: {self.workload.name} has no public port")
        if problems:
            raise ValueError("; ".join(problems))


class ServingDeployment(pulumi.ComponentResource):
    """A server with what belongs to it: an identity without a token, volumes, a Service, and policies around it."""

    service_name: str
    """The Service's name."""
    endpoint: str
    """OpenAI-compatible base URL, inside the cluster."""
    port: int
    """The Service's port for clients."""

    def __init__(self, name: str, args: ServingDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:ServingDeployment", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._server = server_name(args.workload)
        self._match = {NAME_LABEL: self._server}
        self._labels = {**args.labels, **self._match}
        self.port = next(port.number for port in args.workload.ports if port.public)
        account = core.ServiceAccount(
            f"{name}-account", metadata=self._metadata(), automount_service_account_token=False, opts=self._child
        )
        cache = ModelCache(
            f"{name}-cache",
            ModelCacheArgs(
                namespace=args.namespace,
                workload=args.workload,
                kind=args.cache,
                protect=args.protect,
                labels=self._labels,
            ),
            opts=self._child,
        )
        self._make_service()
        self._make_disruption_budget()
        self._make_deployment(cache, after=[account, self._make_network_policy()])
        self.service_name = self._server
        self.endpoint = f"http://{self._server}.{args.namespace}.svc:{self.port}/v1"
        self.register_outputs({"service_name": self.service_name, "endpoint": self.endpoint})

    def _metadata(self, annotations: Mapping[str, str] | None = None) -> meta.ObjectMetaArgs:
        return meta.ObjectMetaArgs(
            name=self._server,
            namespace=self._args.namespace,
            labels=self._labels,
            annotations=dict(annotations) if annotations else None,
        )

    def _selector(self) -> meta.LabelSelectorArgs:
        return meta.LabelSelectorArgs(match_labels=self._match)

    def _make_deployment(self, cache: ModelCache, after: Sequence[pulumi.Resource]) -> None:
        args = self._args
        around = Surroundings(
            volumes=cache.volumes,
            ephemeral_storage_gib=cache.ephemeral_storage_gib,
            secret_name=args.secret_name,
            files_name=self._make_files(),
            node_selector=args.node_selector,
            tolerations=args.tolerations,
            labels=self._labels,
            service_account=self._server,
            spread=args.cache is not CacheKind.CLAIM,
        )
        patience = patience_seconds(args.workload)
        apps.Deployment(
            f"{self._name}-server",
            metadata=self._metadata(),
            spec=apps.DeploymentSpecArgs(
                replicas=args.replicas,
                selector=self._selector(),
                strategy=strategy(args.update),
                progress_deadline_seconds=patience,
                revision_history_limit=3,
                template=pod_template(args.workload, around),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=list(after),
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{patience}s", update=f"{patience}s"),
                ),
            ),
        )

    def _make_files(self) -> pulumi.Output[str] | None:
        """Immutable and renamed when its content changes, so that pods that have read it are replaced."""
        data = config_data(self._args.workload)
        if not data:
            return None
        files = core.ConfigMap(
            f"{self._name}-files",
            metadata=meta.ObjectMetaArgs(namespace=self._args.namespace, labels=self._labels),
            immutable=True,
            data=data,
            opts=self._child,
        )
        return files.metadata.name

    def _make_service(self) -> None:
        core.Service(
            f"{self._name}-service",
            # Its endpoints are the Deployment's ready pods, which are waited for there and with more patience.
            metadata=self._metadata({"pulumi.com/skipAwait": "true"}),
            spec=core.ServiceSpecArgs(
                type="ClusterIP",
                selector=self._match,
                ports=[
                    core.ServicePortArgs(name=port.name, port=port.number, target_port=port.name, protocol="TCP")
                    for port in self._args.workload.ports
                    if port.public
                ],
            ),
            opts=self._child,
        )

    def _make_disruption_budget(self) -> None:
        """One replica at a time, a single one included: a budget that forbade that would keep nodes from leaving."""
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{self._name}-disruption",
            metadata=self._metadata(),
            spec=kubernetes.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=self._selector(),
                # A pod that is loading, or never will be ready, serves nobody: it may go at any time.
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=self._child,
        )

    def _make_network_policy(self) -> pulumi.Resource:
        """Only the gateway reaches public ports, whatever else asks for a model; monitoring reaches all ports."""
        ports = self._args.workload.ports
        public = [networking.NetworkPolicyPortArgs(port=port.number, protocol="TCP") for port in ports if port.public]
        every = [networking.NetworkPolicyPortArgs(port=port.number, protocol="TCP") for port in ports]
        gateway = networking.NetworkPolicyPeerArgs(
            namespace_selector=meta.LabelSelectorArgs(match_labels={NAMESPACE_LABEL: GATEWAY_NAMESPACE}),
            pod_selector=meta.LabelSelectorArgs(match_labels={NAME_LABEL: GATEWAY_NAME}),
        )
        return networking.NetworkPolicy(
            f"{self._name}-way-in",
            metadata=self._metadata(),
            spec=networking.NetworkPolicySpecArgs(
                pod_selector=self._selector(),
                policy_types=["Ingress"],
                ingress=[
                    networking.NetworkPolicyIngressRuleArgs(from_=[gateway], ports=public),
                    networking.NetworkPolicyIngressRuleArgs(
                        from_=[_namespace(self._args.monitoring_namespace)], ports=every
                    ),
                ],
            ),
            opts=self._child,
        )


def server_name(workload: Workload) -> str:
    """The name of a server's objects, which is also its Service's host name."""
    label = dns_label(workload.name)
    return f"{label}-server" if label in RESERVED_NAMES or label[0].isdigit() else label


def strategy(kind: UpdateKind) -> apps.DeploymentStrategyArgs:
    """How pods are replaced, as planned."""
    if kind is UpdateKind.RECREATE:
        return apps.DeploymentStrategyArgs(type="Recreate")
    surge = kind is UpdateKind.SURGE
    rolling = apps.RollingUpdateDeploymentArgs(max_surge=int(surge), max_unavailable=int(not surge))
    return apps.DeploymentStrategyArgs(type="RollingUpdate", rolling_update=rolling)


def patience_seconds(workload: Workload) -> int:
    """How long a rollout may take before it has failed: a new node, the image, and all that starting may take."""
    probe = workload.probes.startup
    return BEFORE_START_SECONDS + probe.failures * probe.period_seconds


def _namespace(name: str) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(
        namespace_selector=meta.LabelSelectorArgs(match_labels={NAMESPACE_LABEL: name})
    )
