"""Prometheus on a cluster, down to the values its chart gets and the objects its operator reads."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from recording import Recording, record
from watched_stacks import STACKS, planned

from components import targets
from components.gpu_runtime import exporter_values
from components.monitoring import MonitoringArgs, values
from components.scheduling import GPU_TAINT
from slipway import platforms
from slipway.settings.models import MonitoringSettings, PrometheusPlace

pytestmark = pytest.mark.unit

ARGS = MonitoringArgs(namespace="monitoring", storage_class="gp3-encrypted", storage_gib=50, retention_days=15)
RELEASE = "kubernetes:helm.sh/v3:Release"
POD_MONITOR = "kubernetes:monitoring.coreos.com/v1:PodMonitor"
PROMETHEUS_RULE = "kubernetes:monitoring.coreos.com/v1:PrometheusRule"


@cache
def recorded(reference: str) -> Recording:
    return watched_by(reference, MonitoringSettings())


def watched_by(reference: str, monitoring: MonitoringSettings) -> Recording:
    plan = planned(reference)
    found = replace(plan, settings=plan.settings.model_copy(update={"monitoring": monitoring}))
    return record(lambda: targets.deploy(found, platforms.workloads(found), {}))


def chart_values(args: MonitoringArgs = ARGS) -> dict[str, Any]:
    return values(args, node_namespace="monitoring-nodes")


def entries(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from entries(item, f"{path}.{key}".lstrip("."))
    else:
        yield path, value


def test_prometheus_sees_objects_without_the_charts_own_labels():
    """With the chart's defaults our PodMonitors and rules are silently ignored."""
    spec = chart_values()["prometheus"]["prometheusSpec"]
    assert {key: value for key, value in spec.items() if key.endswith("SelectorNilUsesHelmValues")} == {
        "serviceMonitorSelectorNilUsesHelmValues": False,
        "podMonitorSelectorNilUsesHelmValues": False,
        "ruleSelectorNilUsesHelmValues": False,
        "probeSelectorNilUsesHelmValues": False,
        "scrapeConfigSelectorNilUsesHelmValues": False,
    }


def test_what_eks_does_not_show_is_not_scraped():
    found = chart_values()
    off = {"kubeEtcd", "kubeScheduler", "kubeControllerManager", "kubeProxy"}
    assert {name for name in off if found[name] == {"enabled": False}} == off


def test_measurements_fit_their_volume():
    spec = chart_values()["prometheus"]["prometheusSpec"]
    assert (spec["retention"], spec["retentionSize"]) == ("15d", "43520MB")
    assert spec["storageSpec"]["volumeClaimTemplate"]["spec"] == {
        "storageClassName": "gp3-encrypted",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "50Gi"}},
    }


def test_grafana_takes_its_password_from_a_secret_and_lets_nobody_look_without_it():
    grafana = chart_values()["grafana"]
    assert grafana["admin"] == {
        "existingSecret": "grafana-admin",
        "userKey": "admin-user",
        "passwordKey": "admin-password",
    }
    assert grafana["grafana.ini"]["auth.anonymous"] == {"enabled": False}
    assert grafana["service"]["type"] == "ClusterIP"
    assert not [path for path, _ in entries(chart_values()) if path.endswith("adminPassword")]


def test_only_the_exporter_of_node_metrics_runs_beside_models():
    found = chart_values()
    assert found["prometheus-node-exporter"]["tolerations"] == [{"operator": "Exists", "effect": "NoSchedule"}]
    assert "nodeSelector" not in found["prometheus-node-exporter"]
    selectors = [value for path, value in entries(found) if path.endswith("nodeSelector.slipway/pool")]
    assert selectors == ["system"] * 6


def test_every_part_of_the_chart_asks_for_memory_and_has_a_limit():
    found = dict(entries(chart_values()))
    asked = {path.removesuffix(".requests.memory") for path in found if path.endswith("requests.memory")}
    assert asked == {path.removesuffix(".limits.memory") for path in found if path.endswith("limits.memory")}
    assert len(asked) == 6


def test_alertmanager_can_be_left_out():
    args = MonitoringArgs(
        namespace="monitoring", storage_class="gp3", storage_gib=1, retention_days=1, alertmanager=False
    )
    assert chart_values(args)["alertmanager"] == {"enabled": False}
    assert chart_values()["alertmanager"]["alertmanagerSpec"]["storage"]["volumeClaimTemplate"]["spec"][
        "resources"
    ] == {"requests": {"storage": "2Gi"}}
    # Below 1 GB the size must not round down to 0, which means no limit.
    assert chart_values(args)["prometheus"]["prometheusSpec"]["retentionSize"] == "870MB"


def test_sizes_below_one_are_refused_all_at_once():
    with pytest.raises(ValueError, match="storage_gib: got 0, expected at least 1; retention_days: got -1, expected"):
        MonitoringArgs(namespace="monitoring", storage_class="gp3", storage_gib=0, retention_days=-1)


def test_the_release_is_pinned_and_rolled_back_when_it_fails():
    release = recorded("prod").named("monitoring-chart")
    assert {key: release.inputs[key] for key in ("chart", "version", "atomic", "cleanupOnFail", "timeout")} == {
        "chart": "kube-prometheus-stack",
        "version": "88.5.3",
        "atomic": True,
        "cleanupOnFail": True,
        "timeout": 900,
    }
    assert release.secrets == frozenset()
    assert release.depends_on >= {"monitoring-namespace", "monitoring-node-namespace", "monitoring-grafana-admin"}


def test_the_password_is_made_for_the_stack_and_stands_in_its_secret_only():
    recording = recorded("prod")
    password = "generated-monitoring-grafana-password"
    holders = [found.name for found in recording.resources for _, value in texts(found.inputs) if value == password]
    assert holders == ["monitoring-grafana-admin"]
    assert recording.named("monitoring-grafana-admin").secrets == {"stringData"}


def texts(value: Any) -> Iterator[tuple[str, str]]:
    for path, item in entries(value):
        for text in item if isinstance(item, list) else [item]:
            if isinstance(text, str):
                yield path, text


def test_privileged_pods_have_a_namespace_of_their_own():
    recording = recorded("prod")
    levels = {
        found.inputs["metadata"]["name"]: found.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for found in recording.of_type("kubernetes:core/v1:Namespace")
    }
    assert (levels["monitoring"], levels["monitoring-nodes"], levels["nvidia"]) == (
        "restricted",
        "privileged",
        "privileged",
    )
    chart = recording.named("monitoring-chart").inputs["values"]
    assert chart["prometheus-node-exporter"]["namespaceOverride"] == "monitoring-nodes"


@pytest.mark.parametrize("stack", STACKS)
def test_objects_of_the_operators_kinds_come_after_the_chart_that_brings_them(stack: str):
    recording = recorded(stack)
    objects = [*recording.of_type(POD_MONITOR), *recording.of_type(PROMETHEUS_RULE)]
    assert objects
    # A child is registered after its parent, and the parent after what it depends on.
    assert {found.parent.rpartition("::")[2] for found in objects} == {"scraping"}
    assert "monitoring-chart" in recording.named("scraping").depends_on
    assert all(found.inputs["apiVersion"] == "monitoring.coreos.com/v1" for found in objects)


@pytest.mark.parametrize("stack", STACKS)
def test_no_server_waits_for_prometheus(stack: str):
    """A chart that cannot be had must not keep models from serving."""
    recording = recorded(stack)
    servers = [
        found for kind in ("ServingDeployment", "GpuStack") for found in recording.of_type(f"slipway:index:{kind}")
    ]
    assert servers
    assert all("monitoring-chart" not in server.depends_on for server in servers)


def test_rules_are_those_of_the_plan():
    (rule,) = recorded("prod").of_type(PROMETHEUS_RULE)
    assert rule.inputs["metadata"]["namespace"] == "monitoring"
    assert [group["name"] for group in rule.inputs["spec"]["groups"]][:2] == ["slipway-servers", "slipway-load"]


def test_an_existing_prometheus_gets_objects_with_its_labels_and_nothing_else():
    theirs = MonitoringSettings(
        prometheus=PrometheusPlace.EXISTING, namespace="observability", pod_monitor_labels={"release": "prometheus"}
    )
    recording = watched_by("prod", theirs)
    assert [found.name for found in recording.of_type(RELEASE) if "monitoring" in found.name] == []
    assert recording.of_type("slipway:index:Monitoring") == []
    objects = [*recording.of_type(POD_MONITOR), *recording.of_type(PROMETHEUS_RULE)]
    assert {found.inputs["metadata"]["labels"]["release"] for found in objects} == {"prometheus"}
    assert [found.inputs["metadata"]["namespace"] for found in recording.of_type(PROMETHEUS_RULE)] == ["observability"]


def test_only_the_namespace_of_prometheus_reaches_metrics():
    for namespace in ("monitoring", "observability"):
        recording = watched_by("prod", MonitoringSettings(prometheus=PrometheusPlace.EXISTING, namespace=namespace))
        policy = recording.named("serving-llama-3-1-8b-instruct-way-in").inputs["spec"]
        admitted = [
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for rule in policy["ingress"]
            for peer in rule["from"]
            if "namespaceSelector" in peer
        ]
        assert admitted[-1] == namespace
        assert policy["policyTypes"] == ["Ingress"]


def test_a_stack_can_go_unwatched():
    recording = watched_by("prod", MonitoringSettings(prometheus=PrometheusPlace.NONE))
    made = {found.type for found in recording.resources}
    assert not made & {POD_MONITOR, PROMETHEUS_RULE, "slipway:index:Monitoring", "slipway:index:Scraping"}
    assert "gpu-runtime-exporter" not in {found.name for found in recording.resources}


def test_the_gpu_exporter_runs_where_gpus_are_at_its_pinned_image():
    """Its chart has neither selector nor toleration: it would crash on CPU nodes and never reach tainted ones."""
    found = exporter_values(GPU_TAINT)
    assert found["nodeSelector"] == {"slipway/pool": "serving"}
    assert found["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert found["serviceMonitor"] == {"enabled": False}
    assert found["image"] == {"repository": "nvcr.io/nvidia/k8s/dcgm-exporter", "tag": "4.5.3-4.8.2-distroless"}
    assert exporter_values(None)["tolerations"] == []
    assert recorded("prod").named("gpu-runtime-exporter").inputs["version"] == "4.8.2"
