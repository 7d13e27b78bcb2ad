"""What is scraped, as data: one target becomes a PodMonitor in a cluster, and a job of a Prometheus elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from slipway.catalog.types import Platform
from slipway.platforms.workload import Port, Workload
from slipway.settings.models import SecretName

ROLE_LABEL = "slipway_role"
SERVER_LABEL = "slipway_server"
METRICS_PORT = "metrics"
INTERVAL_SECONDS = 15
TIMEOUT_SECONDS = 10
# Only LocalAI asks for its key before it shows its metrics; vLLM's key guards its API only.
_ASK_FOR_A_KEY = frozenset({Platform.LOCALAI})


class Role(StrEnum):
    """What a target is; the alerts tell targets apart by it."""

    ENGINE = "engine"
    GATEWAY = "gateway"
    GPU = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeTarget:
    """One metrics endpoint. `secret` names the stack's secret it takes as a bearer token; None where it asks for none.

    `keep_labels` keeps the target's own ``namespace``, ``pod`` and ``container``: an exporter states whose GPU it is.
    """

    name: str
    role: Role
    path: str
    port_name: str
    port: int
    secret: str | None = None
    keep_labels: bool = False

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels on every series of the target, besides Prometheus' own."""
        return {ROLE_LABEL: self.role.value, SERVER_LABEL: self.name}


DCGM = ScrapeTarget(
    name="dcgm-exporter", role=Role.GPU, path="/metrics", port_name="metrics", port=9400, keep_labels=True
)
"""NVIDIA's exporter of GPU metrics, with the port and its name as in its chart."""


def server_target(workload: Workload, platform: Platform) -> ScrapeTarget | None:
    """A model server's endpoint; None where the platform has no metrics."""
    secret = SecretName.API_KEY.value if platform in _ASK_FOR_A_KEY else None
    return _target(workload, Role.ENGINE, secret)


def gateway_target(workload: Workload) -> ScrapeTarget | None:
    """A gateway's endpoint; None where it has no metrics."""
    return _target(workload, Role.GATEWAY, None)


def _target(workload: Workload, role: Role, secret: str | None) -> ScrapeTarget | None:
    if workload.metrics_path is None:
        return None
    port = _metrics_port(workload)
    return ScrapeTarget(
        name=workload.name,
        role=role,
        path=workload.metrics_path,
        port_name=port.name,
        port=port.number,
        secret=secret,
    )


def _metrics_port(workload: Workload) -> Port:
    """A port of its own where there is one, else the one for clients."""
    own = next((port for port in workload.ports if port.name == METRICS_PORT), None)
    return own or next(port for port in workload.ports if port.public)
