"""What Slipway knows before it looks at a stack: dated, sourced facts, loaded when first asked for."""

from slipway.catalog.hardware import gpus, instance_types, quota_code, quotas
from slipway.catalog.language_models import models
from slipway.catalog.places import regions, zones, zones_offering
from slipway.catalog.prices import on_demand_price, service_rate, service_rates, spot_price
from slipway.catalog.releases import kubernetes_versions, pins, release, releases

__all__ = [
    "gpus",
    "instance_types",
    "kubernetes_versions",
    "models",
    "on_demand_price",
    "pins",
    "quota_code",
    "quotas",
    "regions",
    "release",
    "releases",
    "service_rate",
    "service_rates",
    "spot_price",
    "zones",
    "zones_offering",
]
