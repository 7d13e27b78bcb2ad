"""The namespace of a stack's servers: Pod Security, secrets, and no traffic but what is let through."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.pod import PodSecurity

core = kubernetes.core.v1
meta = kubernetes.meta.v1
networking = kubernetes.networking.v1

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
# Model hubs and registries are on the internet; nothing private needs to be asked for. The link-local range holds the
# instance metadata with the node's credentials.
NOT_THE_INTERNET = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingNamespaceArgs:
    """A namespace for servers."""

    namespace: str
    """Its name."""
    pod_security: PodSecurity
    """The level the API server enforces."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """The secrets the servers refer to, by name."""
    internet: bool = True
    """Whether pods reach the internet by HTTPS, as servers that download models must."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on every object."""


class ServingNamespace(pulumi.ComponentResource):
    """Nothing comes in and nothing goes out, except names and HTTPS to the internet. Servers open their own ports.

    The Secret is immutable and has a name of its own each time: a changed secret is a new object, and the pods that
    refer to it are replaced.
    """

    namespace: str
    """The namespace's name."""
    secret_name: pulumi.Output[str] | None
    """Kubernetes Secret with the stack's secrets; None when there are none."""

    def __init__(self, name: str, args: ServingNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:ServingNamespace", name, {}, opts)
        self._name = name
        self.namespace = args.namespace
        self._labels = dict(args.labels)
        namespace = core.Namespace(
            f"{name}-namespace",
            metadata=meta.ObjectMetaArgs(
                name=args.namespace, labels={**self._labels, **_pod_security(args.pod_security)}
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        self._policy(
            "deny-all", networking.NetworkPolicySpecArgs(pod_selector=_all(), policy_types=["Ingress", "Egress"])
        )
        self._policy(
            "way-out",
            networking.NetworkPolicySpecArgs(
                pod_selector=_all(),
                policy_types=["Egress"],
                egress=[_names(), _https_to_the_internet()] if args.internet else [_names()],
            ),
        )
        self.secret_name = self._secret(args.secrets) if args.secrets else None
        self.register_outputs({"namespace": self.namespace, "secret_name": self.secret_name})

    def _policy(self, suffix: str, spec: networking.NetworkPolicySpecArgs) -> None:
        networking.NetworkPolicy(
            f"{self._name}-{suffix}",
            metadata=meta.ObjectMetaArgs(name=suffix, namespace=self.namespace, labels=self._labels),
            spec=spec,
            opts=self._child,
        )

    def _secret(self, secrets: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
        secret = core.Secret(
            f"{self._name}-secrets",
            metadata=meta.ObjectMetaArgs(namespace=self.namespace, labels=self._labels),
            type="Opaque",
            immutable=True,
            string_data={key: pulumi.Output.secret(value) for key, value in sorted(secrets.items())},
            opts=self._child,
        )
        return secret.metadata.name


def _pod_security(level: PodSecurity) -> dict[str, str]:
    """Enforce the level; warn about, and record, what the strictest one would refuse."""
    strictest = PodSecurity.RESTRICTED.value
    return {
        "pod-security.kubernetes.io/enforce": level.value,
        "pod-security.kubernetes.io/audit": strictest,
        "pod-security.kubernetes.io/warn": strictest,
    }


def _all() -> meta.LabelSelectorArgs:
    return meta.LabelSelectorArgs()


def _names() -> networking.NetworkPolicyEgressRuleArgs:
    return networking.NetworkPolicyEgressRuleArgs(
        to=[
            networking.NetworkPolicyPeerArgs(
                namespace_selector=meta.LabelSelectorArgs(match_labels={NAMESPACE_LABEL: "kube-system"}),
                pod_selector=meta.LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
            )
        ],
        ports=[networking.NetworkPolicyPortArgs(port=53, protocol=protocol) for protocol in ("UDP", "TCP")],
    )


def _https_to_the_internet() -> networking.NetworkPolicyEgressRuleArgs:
    outside = networking.IPBlockArgs(cidr="0.0.0.0/0", except_=list(NOT_THE_INTERNET))
    return networking.NetworkPolicyEgressRuleArgs(
        to=[networking.NetworkPolicyPeerArgs(ip_block=outside)],
        ports=[networking.NetworkPolicyPortArgs(port=443, protocol="TCP")],
    )
