"""A cluster's own Prometheus, Alertmanager and Grafana: chart kube-prometheus-stack, values from pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.releases import pinned_chart, release
from components.scheduling import POOL_LABEL, SYSTEM_POOL
from components.secrets import generated
from slipway import labels as node_labels

core = kubernetes.core.v1
meta = kubernetes.meta.v1

RELEASE_NAME = "monitoring"
GRAFANA_SERVICE = f"{RELEASE_NAME}-grafana"
GRAFANA_PORT = 80
GRAFANA_SECRET = "grafana-admin"  # noqa: S105 - the Secret's name
GRAFANA_USER = "admin"
NODE_NAMESPACE_SUFFIX = "-nodes"
# Blocks are deleted as a whole and rewritten beside the old ones: the rest of the volume is for that.
USABLE_SHARE = 0.85
ALERTMANAGER_GIB = 2
TIMEOUT_SECONDS = 900
# Served by EKS, which shows none of their metrics, or listens on the node's loopback only.
NOT_ON_EKS = ("kubeEtcd", "kubeScheduler", "kubeControllerManager", "kubeProxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringArgs:
    """How much is kept, and where."""

    namespace: str
    """Its namespace; the one with the exporter of node metrics is named after it."""
    storage_class: str
    """StorageClass of its volumes."""
    storage_gib: int
    """Volume for measurements."""
    retention_days: int
    """Days they are kept, if the volume holds as much."""
    alertmanager: bool = True
    """Whether alerts are grouped and passed on."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on our own objects."""

    def __post_init__(self) -> None:
        problems = [
            f"{name}: got {value}, expected at least 1"
            for name, value in (("storage_gib", self.storage_gib), ("retention_days", self.retention_days))
            if value < 1
        ]
        if problems:
            raise ValueError("; ".join(problems))


class Monitoring(pulumi.ComponentResource):
    """Prometheus sees the PodMonitors and rules of every namespace; Grafana is for users with its password only.

    All of it runs under Pod Security `restricted`, except the exporter of node metrics: it reads the node's files, and
    has a namespace of its own.
    """

    namespace: str
    """The namespace whose pods scrape."""
    grafana_password: pulumi.Output[str]
    """Password of the user ``admin``, a secret."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:Monitoring", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.namespace = args.namespace
        self.grafana_password = generated(f"{name}-grafana-password", self._child)
        nodes = f"{args.namespace}{NODE_NAMESPACE_SUFFIX}"
        namespaces = [
            self._namespace("namespace", args.namespace, "restricted"),
            self._namespace("node-namespace", nodes, "privileged"),
        ]
        after = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=namespaces))
        secret = core.Secret(
            f"{name}-grafana-admin",
            metadata=meta.ObjectMetaArgs(name=GRAFANA_SECRET, namespace=args.namespace, labels=dict(args.labels)),
            type="Opaque",
            string_data={"admin-user": GRAFANA_USER, "admin-password": pulumi.Output.secret(self.grafana_password)},
            opts=after,
        )
        release(
            f"{name}-chart",
            chart=pinned_chart("kube-prometheus-stack"),
            release_name=RELEASE_NAME,
            namespace=args.namespace,
            values=values(args, node_namespace=nodes),
            timeout_seconds=TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions.merge(after, pulumi.ResourceOptions(depends_on=[secret])),
        )
        self.register_outputs({"namespace": self.namespace})

    def _namespace(self, suffix: str, name: str, level: str) -> core.Namespace:
        return core.Namespace(
            f"{self._name}-{suffix}",
            metadata=meta.ObjectMetaArgs(
                name=name, labels={**self._args.labels, "pod-security.kubernetes.io/enforce": level}
            ),
            opts=self._child,
        )


def values(args: MonitoringArgs, *, node_namespace: str) -> dict[str, Any]:
    """Values of kube-prometheus-stack. No secret stands in them: Grafana reads its password from a Secret."""
    return {
        "fullnameOverride": RELEASE_NAME,
        **{part: {"enabled": False} for part in NOT_ON_EKS},
        # Their own alerts fire where there is nothing to scrape.
        "defaultRules": {
            "rules": {"etcd": False, "kubeProxy": False, "kubeSchedulerAlerting": False, "kubeControllerManager": False}
        },
        "prometheusOperator": {
            "nodeSelector": _system(),
            "resources": _resources("50m", "128Mi"),
            "admissionWebhooks": {"patch": {"nodeSelector": _system()}},
        },
        "prometheus": {"prometheusSpec": _prometheus(args)},
        "alertmanager": _alertmanager(args) if args.alertmanager else {"enabled": False},
        "grafana": _grafana(),
        "kube-state-metrics": {
            "nodeSelector": _system(),
            "resources": _resources("20m", "128Mi"),
            # Labels are left out unless named; the alert about lost spot nodes needs to know which those are.
            "metricLabelsAllowlist": [f"nodes=[{node_labels.POOL},{node_labels.RUNG}]"],
        },
        "prometheus-node-exporter": {
            "namespaceOverride": node_namespace,
            # On every node, whatever keeps other pods off it.
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "resources": _resources("20m", "64Mi"),
        },
    }


def _prometheus(args: MonitoringArgs) -> dict[str, Any]:
    # By default each kind is only seen with the chart's own labels.
    kinds = ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
    return {
        **{f"{kind}SelectorNilUsesHelmValues": False for kind in kinds},
        "retention": f"{args.retention_days}d",
        "retentionSize": f"{int(args.storage_gib * 1024 * USABLE_SHARE)}MB",
        "storageSpec": _claim(args.storage_class, args.storage_gib),
        "nodeSelector": _system(),
        "resources": _resources("200m", "1Gi", limit="2Gi"),
    }


def _alertmanager(args: MonitoringArgs) -> dict[str, Any]:
    return {
        "alertmanagerSpec": {
            "storage": _claim(args.storage_class, ALERTMANAGER_GIB),
            "nodeSelector": _system(),
            "resources": _resources("20m", "64Mi"),
        }
    }


def _grafana() -> dict[str, Any]:
    return {
        "admin": {"existingSecret": GRAFANA_SECRET, "userKey": "admin-user", "passwordKey": "admin-password"},
        "grafana.ini": {
            "auth.anonymous": {"enabled": False},
            "users": {"allow_sign_up": False},
            "analytics": {"reporting_enabled": False, "check_for_updates": False},
        },
        "sidecar": {"dashboards": {"enabled": True, "label": "grafana_dashboard", "searchNamespace": "ALL"}},
        "service": {"type": "ClusterIP", "port": GRAFANA_PORT},
        "nodeSelector": _system(),
        "resources": _resources("50m", "256Mi"),
    }


def _claim(storage_class: str, gib: int) -> dict[str, Any]:
    spec = {
        "storageClassName": storage_class,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{gib}Gi"}},
    }
    return {"volumeClaimTemplate": {"spec": spec}}


def _system() -> dict[str, str]:
    """GPU nodes are for models."""
    return {POOL_LABEL: SYSTEM_POOL}


def _resources(cpu: str, memory: str, *, limit: str | None = None) -> dict[str, Any]:
    """Requests, and a limit on memory only: without cores a scrape is late, without memory the node is in trouble."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit or memory}}
