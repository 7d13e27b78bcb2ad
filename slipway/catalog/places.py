"""Regions, their zones, and which zone offers which instance type."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from slipway.catalog._files import rows


def regions() -> tuple[str, ...]:
    """The AWS regions this catalogue has prices and zones for."""
    return tuple(_letters())


def zones(region: str) -> tuple[str, ...]:
    """Names of a region's availability zones, such as ``us-east-1a``; empty for an unknown region."""
    return _names(region, _letters().get(region, ""))


def zones_offering(instance_type: str, region: str) -> tuple[str, ...]:
    """Names of the zones of `region` that offer `instance_type`; empty where none does or the region is unknown."""
    return _names(region, _offerings().get(instance_type, {}).get(region, ""))


def _names(region: str, letters: str) -> tuple[str, ...]:
    return tuple(f"{region}{letter}" for letter in letters)


@cache
def _letters() -> Mapping[str, str]:
    return MappingProxyType({row["region"]: row["zones"] for row in rows("zones.csv")})


@cache
def _offerings() -> Mapping[str, Mapping[str, str]]:
    return {row.pop("instance_type"): row for row in rows("offerings.csv")}
