"""Pinned releases: the serving platforms, what stands around them, and EKS versions."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from slipway.catalog._files import as_date, document, rows, source
from slipway.catalog.types import Chart, EngineRelease, ImageSize, KubernetesVersion, Pin, Platform

# What Prometheus clients append to the name of a metric family of each kind; creation times are left out.
_SUFFIXES = {
    "gauge": ("",),
    "info": ("_info",),
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def release(platform: Platform, version: str | None = None) -> EngineRelease:
    """The release of `platform` to run: the newest one pinned, or the one named.

    Raises KeyError for a version that is not pinned.
    """
    known = releases(platform)
    return known[version] if version else next(iter(known.values()))


@cache
def releases(platform: Platform) -> Mapping[str, EngineRelease]:
    """All pinned releases of `platform` by version, the default first."""
    entries = _engines()["platforms"][platform.value]
    return MappingProxyType({entry["version"]: _release(platform, entry) for entry in entries})


@cache
def pins() -> Mapping[str, Pin]:
    """Pinned images and charts of everything that is not a serving platform, by name."""
    return MappingProxyType({name: _pin(entry) for name, entry in _engines()["pins"].items()})


@cache
def kubernetes_versions() -> Mapping[str, KubernetesVersion]:
    """EKS versions, newest first."""
    return MappingProxyType({row["version"]: _kubernetes_version(row) for row in rows("kubernetes_versions.csv")})


@cache
def _engines() -> dict[str, Any]:
    return document("engines.yaml")


def _release(platform: Platform, entry: dict[str, Any]) -> EngineRelease:
    version: str = entry["version"]
    major, minor = entry["minimum_compute_capability"].split(".")
    return EngineRelease(
        platform=platform,
        version=version,
        images=MappingProxyType(entry["images"]),
        image_gib=MappingProxyType(entry.get("image_gib", {})),
        known_images=MappingProxyType({name: _size(found) for name, found in entry.get("known_images", {}).items()}),
        flags=_flags(platform, version),
        minimum_compute_capability=(int(major), int(minor)),
        minimum_driver=entry.get("minimum_driver"),
        metrics=_metrics(platform, version),
        chart=_chart(entry.get("chart")),
        lora_ranks=tuple(entry.get("lora_ranks", ())),
        tool_templates=MappingProxyType(entry.get("tool_templates", {})),
        source=source(entry["source"]),
    )


def _size(entry: dict[str, Any]) -> ImageSize:
    return ImageSize(gib=entry["gb"] * 1e9 / 1024**3, version=entry["version"], source=source(entry["source"]))


def _flags(platform: Platform, version: str) -> frozenset[str]:
    return frozenset(row["flag"] for row in rows("flags.csv") if _applies(row, platform, version))


def _metrics(platform: Platform, version: str) -> frozenset[str]:
    found = (row for row in rows("metrics.csv") if _applies(row, platform, version))
    return frozenset(row["family"] + suffix for row in found for suffix in _SUFFIXES[row["kind"]])


def _applies(row: dict[str, str], platform: Platform, version: str) -> bool:
    """Whether a row is true of one release; no versions means all that are pinned."""
    return row["platform"] == platform.value and (not row["versions"] or version in row["versions"].split())


def _pin(entry: dict[str, Any]) -> Pin:
    return Pin(
        version=str(entry["version"]),
        image=entry.get("image"),
        chart=_chart(entry.get("chart")),
        source=source(entry["source"]),
        images=MappingProxyType(entry.get("images", {})),
    )


def _chart(entry: dict[str, str] | None) -> Chart | None:
    return Chart(**entry) if entry else None


def _kubernetes_version(row: dict[str, str]) -> KubernetesVersion:
    return KubernetesVersion(
        version=row["version"],
        released=as_date(row["released"]),
        standard_support_ends=as_date(row["standard_support_ends"]),
        extended_support_ends=as_date(row["extended_support_ends"]),
        estimated=row["estimated"] == "yes",
        source=source(row["source"]),
    )
