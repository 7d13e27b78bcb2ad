"""Scrape targets: the same data as a PodMonitor and as a job of a plain Prometheus."""

import pytest
from watched_stacks import PROJECT, placed, planned

from components.targets.watching import scraped_pods
from slipway.catalog.types import Platform
from slipway.gateway.servers import METRICS_PORT
from slipway.monitoring import (
    DCGM,
    Role,
    ScrapeTarget,
    configuration,
    gateway_target,
    pod_monitor,
    scrape_job,
    server_target,
)

pytestmark = pytest.mark.unit

CHAT = ScrapeTarget(name="chat", role=Role.ENGINE, path="/metrics", port_name="http", port=8000)
GUARDED = ScrapeTarget(name="localai", role=Role.ENGINE, path="/metrics", port_name="http", port=8080, secret="apiKey")


def test_a_pod_monitor_scrapes_one_port_and_says_whose_series_they_are():
    assert pod_monitor(CHAT, {"app.kubernetes.io/name": "chat"}) == {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "chat"}},
        "podMetricsEndpoints": [
            {
                "port": "http",
                "path": "/metrics",
                "interval": "15s",
                "scrapeTimeout": "10s",
                "honorLabels": False,
                "relabelings": [
                    {"action": "replace", "targetLabel": "slipway_role", "replacement": "engine"},
                    {"action": "replace", "targetLabel": "slipway_server", "replacement": "chat"},
                ],
            }
        ],
    }


def test_a_key_is_referred_to_and_never_written_down():
    (endpoint,) = pod_monitor(GUARDED, {"app": "x"}, secret_name="stack-secrets")["podMetricsEndpoints"]
    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "stack-secrets", "key": "apiKey"},
    }
    job = scrape_job(GUARDED, ["10.0.0.1:8080"], key_file="/run/secrets/key")
    assert job["authorization"] == {"type": "Bearer", "credentials_file": "/run/secrets/key"}


def test_a_target_that_needs_a_key_is_refused_without_one():
    with pytest.raises(ValueError, match="secret_name: localai asks for apiKey"):
        pod_monitor(GUARDED, {"app": "x"})
    with pytest.raises(ValueError, match="key_file: localai asks for apiKey"):
        scrape_job(GUARDED, ["10.0.0.1:8080"])


def test_a_plain_prometheus_gets_the_same_labels():
    job = scrape_job(CHAT, ["10.0.0.1:8000"])
    assert configuration([job], rule_files=["rules.yml"]) == {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {
                "job_name": "chat",
                "metrics_path": "/metrics",
                "scrape_interval": "15s",
                "scrape_timeout": "10s",
                "honor_labels": False,
                "static_configs": [
                    {"targets": ["10.0.0.1:8000"], "labels": {"slipway_role": "engine", "slipway_server": "chat"}}
                ],
            }
        ],
    }


def test_an_exporter_keeps_the_names_of_the_pods_it_reports_about():
    """Otherwise every GPU would seem to belong to the exporter's own pod."""
    (endpoint,) = pod_monitor(DCGM, {"app": "x"})["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True


@pytest.mark.parametrize(
    ("stack", "secret"), [("prod", None), ("examples/localai-cluster.yaml", "apiKey")], ids=["vllm", "localai"]
)
def test_only_localai_asks_for_its_key(stack: str, secret: str | None):
    (workload,) = placed(stack).workloads
    target = server_target(workload, planned(stack).platform)
    assert target is not None
    assert (target.secret, target.path, target.role) == (secret, "/metrics", Role.ENGINE)


def test_ollama_has_no_metrics():
    (workload,) = placed("examples/ollama-cluster.yaml").workloads
    assert server_target(workload, Platform.OLLAMA) is None


def test_the_gateway_is_scraped_on_the_port_it_has_for_that():
    router = placed("prod").gateway
    assert router is not None
    target = gateway_target(router)
    assert target is not None
    assert (target.port_name, target.port, target.role) == ("metrics", METRICS_PORT, Role.GATEWAY)


def test_every_pod_with_metrics_is_scraped_where_it_runs():
    found = {
        pods.target.name: (pods.namespace, dict(pods.pods)) for pods in scraped_pods(planned("prod"), placed("prod"))
    }
    assert found == {
        "llama-3-1-8b-instruct": ("serving", {"app.kubernetes.io/name": "llama-3-1-8b-instruct"}),
        "router": ("gateway", {"app.kubernetes.io/name": "router"}),
        "dcgm-exporter": ("nvidia", {"app.kubernetes.io/name": "dcgm-exporter"}),
    }


def test_what_is_watched_is_pure():
    """Other rooms read these rules without an engine."""
    imported = [
        line
        for file in (PROJECT / "slipway/monitoring").glob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith(("import", "from"))
    ]
    assert imported
    assert not any("pulumi" in line or "components" in line for line in imported)
