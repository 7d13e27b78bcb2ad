"""Every series the rules may use, with its labels: from the catalogue for engines, from a small table for exporters."""

import csv
from collections.abc import Iterator, Mapping
from importlib import resources
from types import MappingProxyType

from slipway import catalog
from slipway.catalog.types import Platform
from slipway.monitoring.targets import ROLE_LABEL, SERVER_LABEL

_TABLE = "exporters.csv"
# Added by Prometheus, by its operator, and by our targets.
_TARGET = frozenset({"job", "instance", "namespace", "pod", "container", "endpoint", ROLE_LABEL, SERVER_LABEL})
_DCGM = frozenset({"gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION"})
_VLLM = frozenset({"model_name", "engine"})
_VLLM_MORE: Mapping[str, frozenset[str]] = {
    "vllm:request_success_total": frozenset({"finished_reason"}),
    "vllm:num_requests_waiting_by_reason": frozenset({"reason"}),
    "vllm:admission_rejections_total": frozenset({"reason"}),
}


def known_series(platform: Platform) -> Mapping[str, frozenset[str]]:
    """Labels by series: what the platform's pinned release, the gateway and the exporters of a cluster show.

    Labels of vLLM's series are those of its v1 metrics module; other platforms' are not known, so no rule uses them.
    """
    return MappingProxyType({**dict(_exporters()), **dict(_engine(platform))})


def _engine(platform: Platform) -> Iterator[tuple[str, frozenset[str]]]:
    if platform is not Platform.VLLM:
        return
    for name in catalog.release(platform).metrics:
        if name.startswith("vllm:"):
            bounds = {"le"} if name.endswith("_bucket") else set[str]()
            yield name, _TARGET | _VLLM | _VLLM_MORE.get(name, frozenset()) | bounds


def _exporters() -> Iterator[tuple[str, frozenset[str]]]:
    text = resources.files("slipway.monitoring").joinpath(_TABLE).read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        more = _DCGM if row["exporter"] == "dcgm-exporter" else frozenset[str]()
        yield row["series"], _TARGET | more | frozenset(row["labels"].split())
