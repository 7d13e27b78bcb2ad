"""Rules about a cluster, by kube-state-metrics, the kubelet and node-exporter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway import labels
from slipway.labels import Rung
from slipway.monitoring.rules import Alert, Group, Rule, Severity

LOW_SHARE = 0.10
RESTARTS_AN_HOUR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedCluster:
    """Where a stack's servers run. `unscraped` are Deployments whose servers have no metrics of their own.

    `starting_seconds` is how long a replica may take, with a machine that has to boot first.
    """

    namespaces: tuple[str, ...]
    starting_seconds: int
    spot: bool = False
    unscraped: tuple[str, ...] = ()


def cluster_group(cluster: WatchedCluster) -> Group:
    """Whether pods run, find room, and have disk left; and whether spot nodes are gone."""
    where = f"namespace=~{_any(cluster.namespaces)}"
    rules = [
        *_outages(cluster, where),
        *_pods(cluster, where),
        *_disks(where),
        *([_spot(where)] if cluster.spot else []),
    ]
    return Group(name="slipway-cluster", rules=tuple(rules))


def node_label(name: str) -> str:
    """A node's label as kube-state-metrics names it; it shows only labels it is told to."""
    return "label_" + "".join(letter if letter.isalnum() else "_" for letter in name)


def _outages(cluster: WatchedCluster, where: str) -> Iterator[Rule]:
    if not cluster.unscraped:
        return
    found = f"kube_deployment_status_replicas_available{{{where}, deployment=~{_any(cluster.unscraped)}}}"
    yield Alert(
        name="ServerUnavailable",
        severity=Severity.CRITICAL,
        expression=f"{found} == 0 and max_over_time({found}[1h]) > 0",
        for_seconds=180,
        summary="No replica of {{ $labels.deployment }} is ready",
        description="Replicas of {{ $labels.namespace }}/{{ $labels.deployment }} were ready within the last hour, and "
        "now none is.",
    )


def _pods(cluster: WatchedCluster, where: str) -> Iterator[Rule]:
    wanted, available = "kube_deployment_spec_replicas", "kube_deployment_status_replicas_available"
    yield Alert(
        name="ReplicasMissing",
        severity=Severity.WARNING,
        expression=f"{wanted}{{{where}}} - {available}{{{where}}} > 0",
        for_seconds=cluster.starting_seconds,
        summary="Replicas of {{ $labels.deployment }} are missing",
        description="{{ $value }} replicas of {{ $labels.namespace }}/{{ $labels.deployment }} are not available, for "
        "longer than a machine, the image and the weights may take.",
    )
    yield Alert(
        name="PodRestarting",
        severity=Severity.WARNING,
        expression=f"increase(kube_pod_container_status_restarts_total{{{where}}}[1h]) > {RESTARTS_AN_HOUR}",
        for_seconds=0,
        summary="{{ $labels.pod }} keeps restarting",
        description="Container {{ $labels.container }} restarted {{ $value | humanize }} times within an hour.",
    )
    yield Alert(
        name="PodPending",
        severity=Severity.WARNING,
        expression=f'kube_pod_status_phase{{{where}, phase="Pending"}} == 1',
        for_seconds=1200,
        summary="{{ $labels.pod }} finds no node",
        description="It has been pending for 20 minutes: no node with room, or a volume or an image that is missing.",
    )


def _disks(where: str) -> Iterator[Rule]:
    volume = "kubelet_volume_stats_{}_bytes{{{}}}"
    yield Alert(
        name="VolumeNearlyFull",
        severity=Severity.WARNING,
        expression=f"{volume.format('available', where)} / {volume.format('capacity', where)} < {LOW_SHARE}",
        for_seconds=600,
        summary="Volume {{ $labels.persistentvolumeclaim }} is nearly full",
        description="{{ $value | humanizePercentage }} of it is free.",
    )
    root = '{mountpoint="/", fstype!="tmpfs"}'
    yield Alert(
        name="NodeDiskNearlyFull",
        severity=Severity.WARNING,
        expression=f"node_filesystem_avail_bytes{root} / node_filesystem_size_bytes{root} < {LOW_SHARE}",
        for_seconds=600,
        summary="The disk of {{ $labels.instance }} is nearly full",
        description="{{ $value | humanizePercentage }} of it is free; the kubelet evicts pods before it is full.",
    )


def _spot(where: str) -> Alert:
    nodes = f'kube_node_labels{{{node_label(labels.RUNG)}="{Rung.SPOT.value}"}}'
    missing = f"sum(kube_deployment_status_replicas_unavailable{{{where}}}) > 0"
    return Alert(
        name="SpotCapacityLost",
        severity=Severity.WARNING,
        # Fewer spot nodes alone are a quiet hour; together with missing replicas they were taken away.
        expression=f"count({nodes} offset 15m) - (count({nodes}) or vector(0)) > 0 and on () ({missing})",
        for_seconds=300,
        summary="Spot nodes were taken away",
        description="{{ $value }} spot nodes fewer than 15 minutes ago, and replicas are missing.",
    )


def _any(names: Sequence[str]) -> str:
    """A matcher's value for any of some DNS labels, which need no escape."""
    return f'"{"|".join(names)}"'
