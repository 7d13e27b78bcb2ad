"""What to scrape and when to raise an alarm, as data: for a cluster's operator and for a plain Prometheus alike."""

from slipway.monitoring.clusters import WatchedCluster, node_label
from slipway.monitoring.engines import WatchedServer
from slipway.monitoring.forms import (
    API_VERSION,
    POD_MONITOR,
    PROMETHEUS_RULE,
    configuration,
    pod_monitor,
    prometheus_rule,
    scrape_job,
)
from slipway.monitoring.rules import Alert, Group, Record, Severity, rule_file, runbook
from slipway.monitoring.series import known_series
from slipway.monitoring.targets import DCGM, Role, ScrapeTarget, gateway_target, server_target
from slipway.monitoring.watch import Watched, targets, watched_server

__all__ = [
    "API_VERSION",
    "DCGM",
    "POD_MONITOR",
    "PROMETHEUS_RULE",
    "Alert",
    "Group",
    "Record",
    "Role",
    "ScrapeTarget",
    "Severity",
    "Watched",
    "WatchedCluster",
    "WatchedServer",
    "configuration",
    "gateway_target",
    "known_series",
    "node_label",
    "pod_monitor",
    "prometheus_rule",
    "rule_file",
    "runbook",
    "scrape_job",
    "server_target",
    "targets",
    "watched_server",
]
