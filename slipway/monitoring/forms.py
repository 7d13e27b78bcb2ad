"""Targets and rules in the forms their readers take: the Prometheus operator's objects, or files of a Prometheus."""

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.monitoring.rules import Group, rule_file
from slipway.monitoring.targets import INTERVAL_SECONDS, TIMEOUT_SECONDS, ScrapeTarget

API_VERSION = "monitoring.coreos.com/v1"
POD_MONITOR = "PodMonitor"
PROMETHEUS_RULE = "PrometheusRule"


def pod_monitor(target: ScrapeTarget, pods: Mapping[str, str], *, secret_name: Any = None) -> dict[str, Any]:
    """The ``spec`` of a PodMonitor for the pods with the labels `pods`, in its own namespace.

    `secret_name` is the Kubernetes Secret that holds the stack's secrets. Raises ValueError where the target needs one
    and there is none.
    """
    endpoint: dict[str, Any] = {
        "port": target.port_name,
        "path": target.path,
        "interval": f"{INTERVAL_SECONDS}s",
        "scrapeTimeout": f"{TIMEOUT_SECONDS}s",
        "honorLabels": target.keep_labels,
        "relabelings": [
            {"action": "replace", "targetLabel": label, "replacement": value} for label, value in target.labels.items()
        ],
    }
    if target.secret is not None:
        if secret_name is None:
            raise ValueError(f"secret_name: {target.name} asks for {target.secret}")
        endpoint["authorization"] = {"type": "Bearer", "credentials": {"name": secret_name, "key": target.secret}}
    return {"selector": {"matchLabels": dict(pods)}, "podMetricsEndpoints": [endpoint]}


def prometheus_rule(groups: Sequence[Group]) -> dict[str, Any]:
    """The ``spec`` of a PrometheusRule."""
    return rule_file(groups)


def scrape_job(target: ScrapeTarget, addresses: Sequence[str], *, key_file: str | None = None) -> dict[str, Any]:
    """A job of a Prometheus that finds nothing by itself: `addresses` are ``host:port``.

    `key_file` holds the key, so that it stands in no configuration. Raises ValueError where the target asks for one and
    there is none.
    """
    job: dict[str, Any] = {
        "job_name": target.name,
        "metrics_path": target.path,
        "scrape_interval": f"{INTERVAL_SECONDS}s",
        "scrape_timeout": f"{TIMEOUT_SECONDS}s",
        "honor_labels": target.keep_labels,
        "static_configs": [{"targets": list(addresses), "labels": dict(target.labels)}],
    }
    if target.secret is not None:
        if key_file is None:
            raise ValueError(f"key_file: {target.name} asks for {target.secret}")
        job["authorization"] = {"type": "Bearer", "credentials_file": key_file}
    return job


def configuration(jobs: Sequence[Mapping[str, Any]], *, rule_files: Sequence[str]) -> dict[str, Any]:
    """``prometheus.yml`` of a Prometheus outside a cluster."""
    return {
        "global": {"scrape_interval": f"{INTERVAL_SECONDS}s", "evaluation_interval": f"{INTERVAL_SECONDS}s"},
        "rule_files": list(rule_files),
        "scrape_configs": [dict(job) for job in jobs],
    }
