"""The door of a stack on Kubernetes: Caddy and LiteLLM in each of two pods, and a load balancer where one is wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.pod import PodSecurity, Surroundings, config_data, pod_template
from components.scheduling import POOL_LABEL, SYSTEM_POOL
from components.secrets import generated
from components.serving_deployment import (
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    MONITORING_NAMESPACE,
    NAME_LABEL,
    server_name,
)
from components.serving_namespace import NAMESPACE_LABEL, ServingNamespace, ServingNamespaceArgs
from slipway import gateway
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import VolumeKind, Workload
from slipway.settings.models import Exposure, SecretName

apps = kubernetes.apps.v1
core = kubernetes.core.v1
meta = kubernetes.meta.v1
networking = kubernetes.networking.v1

REPLICAS = 2
HTTP_PORT = 80
HTTPS_PORT = 443
FORWARD_PORT = 8080
# Where a load balancer's packets come from inside a VPC: it, or the node they came in by.
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
BALANCER = "service.beta.kubernetes.io/aws-load-balancer-"
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
PATIENCE_SECONDS = 900
# Both containers leave at the same time; this is the address of the one for the other.
SAME_POD = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayArgs:
    """What the gateway stands in front of, and who reaches it."""

    backends: Sequence[gateway.Backend]
    """The servers behind it."""
    backend_namespace: str
    """The namespace they run in."""
    backend_ports: Sequence[int]
    """The ports they answer on."""
    api_key: pulumi.Input[str]
    """The key clients send, and the one the servers ask for."""
    exposure: Exposure = Exposure.CLUSTER
    """Who reaches it: pods, the private network, or the internet."""
    client_cidrs: Sequence[str] = ()
    """Address ranges the load balancer takes requests from."""
    certificate_arn: str | None = None
    """Certificate the load balancer answers with; without it, it speaks plain HTTP."""
    host: str | None = None
    """Name clients use for the load balancer; its own by default."""
    monitoring_namespace: str = MONITORING_NAMESPACE
    """Namespace of Prometheus, the only one that reaches the metrics."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on every object."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.exposure is not Exposure.CLUSTER and not self.client_cidrs:
            problems.append("client_cidrs: got none, and none means everybody")
        if self.exposure is Exposure.PUBLIC and self.certificate_arn is None:
            problems.append("certificate_arn: got none, and the key would cross the internet in clear")
        if self.exposure is Exposure.PUBLIC and any(cidr.endswith("/0") for cidr in self.client_cidrs):
            problems.append("client_cidrs: got the whole internet, expected ranges of your own")
        if problems:
            raise ValueError("; ".join(problems))


class Gateway(pulumi.ComponentResource):
    """One OpenAI-compatible address for every model of the stack, in a namespace of its own.

    Pods of the gateway reach names and the servers behind it, nothing else. What reaches them is decided by Caddy's
    allowlist (`slipway.gateway.door`). A load balancer is made by the controller that is part of EKS's control plane,
    so that no add-on with rights of its own is needed.
    """

    endpoint: pulumi.Output[str]
    """OpenAI-compatible base URL, as clients use it."""
    space: ServingNamespace
    """Its namespace."""
    watched: Workload
    """What of it has metrics, under the name of its pods."""
    forward: str
    """Command that brings it to this machine, whoever else reaches it."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:Gateway", name, {}, opts)
        self._name = name
        self._args = args
        self._servers = gateway.gateway(args.backends, router_host=SAME_POD)
        self._match = {NAME_LABEL: GATEWAY_NAME}
        self._labels = {**args.labels, **self._match}
        self.watched = replace(self._servers.router, name=GATEWAY_NAME)
        space = self.space = ServingNamespace(
            f"{name}-space",
            ServingNamespaceArgs(
                namespace=GATEWAY_NAMESPACE,
                pod_security=PodSecurity.RESTRICTED,
                secrets={SecretName.API_KEY.value: args.api_key, gateway.ROUTER_KEY: self._router_key()},
                internet=False,
                labels=args.labels,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[space])
        account = core.ServiceAccount(
            f"{name}-account", metadata=self._metadata(), automount_service_account_token=False, opts=self._child
        )
        self._make_disruption_budget()
        self._make_deployment(space, after=[account, *self._make_network_policies()])
        self._make_service()
        inside = f"http://{GATEWAY_NAME}.{GATEWAY_NAMESPACE}.svc/v1"
        balancer = None if args.exposure is Exposure.CLUSTER else self._make_balancer()
        self.endpoint = self._address(balancer) if balancer else pulumi.Output.from_input(inside)
        self.forward = (
            f"kubectl --namespace {GATEWAY_NAMESPACE} port-forward service/{GATEWAY_NAME} {FORWARD_PORT}:{HTTP_PORT}"
        )
        self.register_outputs({"endpoint": self.endpoint})

    def _router_key(self) -> pulumi.Output[str]:
        """Known to the two containers of a pod only: who holds the clients' key is nobody to LiteLLM."""
        key = generated(f"{self._name}-router-key", pulumi.ResourceOptions(parent=self))
        return pulumi.Output.concat(gateway.ROUTER_KEY_PREFIX, key)

    def _metadata(self, suffix: str = "", annotations: Mapping[str, str] | None = None) -> meta.ObjectMetaArgs:
        return meta.ObjectMetaArgs(
            name=f"{GATEWAY_NAME}{suffix}",
            namespace=GATEWAY_NAMESPACE,
            labels=self._labels,
            annotations=dict(annotations) if annotations else None,
        )

    def _selector(self) -> meta.LabelSelectorArgs:
        return meta.LabelSelectorArgs(match_labels=self._match)

    def _make_deployment(self, space: ServingNamespace, after: Sequence[pulumi.Resource]) -> None:
        door, router = self._servers.door, self._servers.router
        scratch = [volume for each in (door, router) for volume in each.volumes if volume.kind is VolumeKind.SCRATCH]
        around = Surroundings(
            volumes=[
                core.VolumeArgs(
                    name=volume.name, empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=f"{volume.size_gib}Gi")
                )
                for volume in scratch
            ],
            ephemeral_storage_gib=1,
            secret_name=space.secret_name,
            files_name=self._make_files(),
            node_selector={POOL_LABEL: SYSTEM_POOL},
            labels=self._labels,
            service_account=GATEWAY_NAME,
            spread=True,
        )
        patience = f"{PATIENCE_SECONDS}s"
        apps.Deployment(
            f"{self._name}-server",
            metadata=self._metadata(),
            spec=apps.DeploymentSpecArgs(
                replicas=REPLICAS,
                selector=self._selector(),
                # There is room for a third on the system nodes: the door is never half closed.
                strategy=apps.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                progress_deadline_seconds=PATIENCE_SECONDS,
                revision_history_limit=3,
                template=pod_template(door, around, beside=[router]),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=list(after),
                    custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience),
                ),
            ),
        )

    def _make_files(self) -> pulumi.Output[str]:
        """Immutable and renamed when its content changes, so that pods that have read it are replaced."""
        files = core.ConfigMap(
            f"{self._name}-files",
            metadata=meta.ObjectMetaArgs(namespace=GATEWAY_NAMESPACE, labels=self._labels),
            immutable=True,
            data=config_data(self._servers.door, [self._servers.router]),
            opts=self._child,
        )
        return files.metadata.name

    def _make_service(self) -> None:
        core.Service(
            f"{self._name}-service",
            # Its endpoints are the Deployment's ready pods, which are waited for there.
            metadata=self._metadata(annotations={"pulumi.com/skipAwait": "true"}),
            spec=core.ServiceSpecArgs(type="ClusterIP", selector=self._match, ports=[_port("http", HTTP_PORT)]),
            opts=self._child,
        )

    def _make_balancer(self) -> core.Service:
        """A Service of its own, so that pods find the same address whether there is a load balancer or not."""
        args = self._args
        port = _port("https", HTTPS_PORT) if args.certificate_arn else _port("http", HTTP_PORT)
        return core.Service(
            f"{self._name}-balancer",
            metadata=self._metadata("-balancer", balancer_annotations(args.exposure, args.certificate_arn)),
            spec=core.ServiceSpecArgs(
                type="LoadBalancer",
                selector=self._match,
                ports=[port],
                load_balancer_source_ranges=list(args.client_cidrs),
            ),
            opts=self._child,
        )

    def _address(self, balancer: core.Service) -> pulumi.Output[str]:
        scheme = "https" if self._args.certificate_arn else "http"
        if self._args.host is not None:
            return pulumi.Output.from_input(f"{scheme}://{self._args.host}/v1")
        return balancer.status.apply(lambda status: f"{scheme}://{_host(status)}/v1")

    def _make_disruption_budget(self) -> None:
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{self._name}-disruption",
            metadata=self._metadata(),
            spec=kubernetes.policy.v1.PodDisruptionBudgetSpecArgs(max_unavailable=1, selector=self._selector()),
            opts=self._child,
        )

    def _make_network_policies(self) -> list[pulumi.Resource]:
        """In: clients to the door, monitoring to the metrics; LiteLLM's own port is open to nobody."""
        servers = self._servers
        clients = [networking.NetworkPolicyPeerArgs(namespace_selector=meta.LabelSelectorArgs())]
        if self._args.exposure is not Exposure.CLUSTER:
            clients += [_addresses(cidr) for cidr in PRIVATE_RANGES]
        metrics = [port for port in servers.router.ports if port.name == "metrics"]
        way_in = networking.NetworkPolicySpecArgs(
            pod_selector=self._selector(),
            policy_types=["Ingress"],
            ingress=[
                networking.NetworkPolicyIngressRuleArgs(
                    from_=clients, ports=_tcp(port.number for port in servers.door.ports if port.public)
                ),
                networking.NetworkPolicyIngressRuleArgs(
                    from_=[_namespace(self._args.monitoring_namespace)], ports=_tcp(port.number for port in metrics)
                ),
            ],
        )
        way_out = networking.NetworkPolicySpecArgs(
            pod_selector=self._selector(),
            policy_types=["Egress"],
            egress=[
                networking.NetworkPolicyEgressRuleArgs(
                    to=[_namespace(self._args.backend_namespace)], ports=_tcp(sorted(set(self._args.backend_ports)))
                )
            ],
        )
        return [
            networking.NetworkPolicy(
                f"{self._name}-{suffix}", metadata=self._metadata(f"-{suffix}"), spec=spec, opts=self._child
            )
            for suffix, spec in (("way-in", way_in), ("way-out", way_out))
        ]


def gateway_args(
    plan: ServingPlan,
    workloads: Sequence[Workload],
    namespace: str,
    secrets: Mapping[str, pulumi.Input[str]],
    labels: Mapping[str, str],
) -> GatewayArgs:
    """The gateway of a plan whose `workloads` run in `namespace`."""
    wanted = plan.settings.gateway
    return GatewayArgs(
        backends=gateway.backends(
            plan, workloads, lambda server: f"http://{server_name(server)}.{namespace}.svc:{_client_port(server)}"
        ),
        backend_namespace=namespace,
        backend_ports=[_client_port(workload) for workload in workloads],
        api_key=secrets[SecretName.API_KEY.value],
        exposure=wanted.exposure,
        client_cidrs=() if wanted.exposure is Exposure.CLUSTER else wanted.source_cidrs or private_clients(plan),
        certificate_arn=wanted.certificate_arn,
        host=wanted.host,
        monitoring_namespace=plan.settings.monitoring.namespace,
        labels=labels,
    )


def private_clients(plan: ServingPlan) -> tuple[str, ...]:
    """The stack's own VPC; an adopted one's range is not known, so every private one."""
    network = plan.settings.network
    return PRIVATE_RANGES if network.vpc_id else (network.cidr,)


def balancer_annotations(exposure: Exposure, certificate_arn: str | None) -> dict[str, str]:
    """A network load balancer, as both EKS's own controller and the AWS Load Balancer Controller understand it.

    Without the mark `internal`, EKS's own one would face the internet. Its targets are the system nodes only: GPU nodes
    come and go, spot ones with the connections that run over them.
    """
    public = exposure is Exposure.PUBLIC
    annotations = {
        f"{BALANCER}type": "nlb",
        f"{BALANCER}scheme": "internet-facing" if public else "internal",
        f"{BALANCER}target-node-labels": f"{POOL_LABEL}={SYSTEM_POOL}",
    }
    if not public:
        annotations[f"{BALANCER}internal"] = "true"
    if certificate_arn is not None:
        annotations |= {
            f"{BALANCER}ssl-cert": certificate_arn,
            f"{BALANCER}ssl-ports": str(HTTPS_PORT),
            f"{BALANCER}ssl-negotiation-policy": TLS_POLICY,
            f"{BALANCER}backend-protocol": "tcp",
        }
    return annotations


def _host(status: Any) -> str:
    """The load balancer's name, once it has one."""
    ingress = status.load_balancer.ingress if status and status.load_balancer else None
    first = ingress[0] if ingress else None
    return (first and (first.hostname or first.ip)) or "pending"


def _client_port(workload: Workload) -> int:
    return next(port.number for port in workload.ports if port.public)


def _port(name: str, number: int) -> core.ServicePortArgs:
    return core.ServicePortArgs(name=name, port=number, target_port="http", protocol="TCP")


def _tcp(numbers: Any) -> list[networking.NetworkPolicyPortArgs]:
    return [networking.NetworkPolicyPortArgs(port=number, protocol="TCP") for number in numbers]


def _addresses(cidr: str) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(ip_block=networking.IPBlockArgs(cidr=cidr))


def _namespace(name: str) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(
        namespace_selector=meta.LabelSelectorArgs(match_labels={NAMESPACE_LABEL: name})
    )
