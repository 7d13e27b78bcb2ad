"""What AWS charges: instances on demand and spot, and the services around them. US dollars before tax."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from slipway.catalog._files import rows, source
from slipway.catalog.types import Price, Rate, Service, SpotRange

_BASE_REGION = "us-east-1"

# Measured against 76 regions with quotes per zone: of their cheapest zones 92 % lie above half of the Spot Advisor's
# figure, of their dearest 87 % below double of it.
_ESTIMATE_LOW = 0.5
_ESTIMATE_HIGH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Advice:
    """What the Spot Advisor says of one type in one region; `saving` is a share of the on-demand price."""

    saving: float
    interruption: str


def on_demand_price(instance_type: str, region: str) -> Price | None:
    """The Linux on-demand price in USD an hour; None where the type is not offered or the price not known."""
    return _on_demand().get((instance_type, region))


def spot_price(instance_type: str, region: str) -> SpotRange | None:
    """Spot prices over the zones of `region` in USD an hour, never above on-demand; None where nothing is known."""
    quoted = _spot_quotes().get((instance_type, region))
    if quoted:
        return quoted
    on_demand = on_demand_price(instance_type, region)
    advice = _spot_advice().get((instance_type, region))
    return _estimated(on_demand.usd_per_hour, advice) if on_demand and advice else None


def service_rate(service: Service, region: str) -> Rate:
    """The price of one unit of `service` in `region`.

    Where no source states the region's own price, it is the one of us-east-1 with `estimated` set.
    """
    known = _service_rates()
    found = known.get((service, region))
    if found:
        return found
    base = known[service, _BASE_REGION]
    return Rate(service=service, usd=base.usd, unit=base.unit, estimated=True, source=base.source)


def service_rates(region: str) -> Mapping[Service, Rate]:
    """The rates of all services in `region`."""
    return {service: service_rate(service, region) for service in Service}


def _estimated(on_demand_usd: float, advice: _Advice) -> SpotRange:
    def capped(share: float) -> float:
        # EC2 never charges more than on-demand for spot, though the advisor's figure may have been above it.
        return min(round(on_demand_usd * (1 - advice.saving) * share, 4), on_demand_usd)

    return SpotRange(
        low=capped(_ESTIMATE_LOW),
        typical=capped(1),
        high=capped(_ESTIMATE_HIGH),
        estimated=True,
        interruption=advice.interruption,
        source=source("spot-advisor"),
    )


@cache
def _on_demand() -> Mapping[tuple[str, str], Price]:
    return {
        _place(row): Price(usd_per_hour=float(row["usd_per_hour"]), source=source(row["source"]))
        for row in rows("on_demand.csv")
    }


@cache
def _spot_quotes() -> Mapping[tuple[str, str], SpotRange]:
    return {_place(row): _quoted(row) for row in rows("spot_quotes.csv")}


def _quoted(row: dict[str, str]) -> SpotRange:
    advice = _spot_advice().get(_place(row))
    return SpotRange(
        low=float(row["low"]),
        typical=float(row["typical"]),
        high=float(row["high"]),
        estimated=False,
        interruption=advice.interruption if advice else None,
        source=source("skypilot"),
    )


@cache
def _spot_advice() -> Mapping[tuple[str, str], _Advice]:
    return {
        _place(row): _Advice(saving=int(row["savings_percent"]) / 100, interruption=row["interruption"])
        for row in rows("spot_savings.csv")
    }


def _place(row: dict[str, str]) -> tuple[str, str]:
    return row["instance_type"], row["region"]


@cache
def _service_rates() -> Mapping[tuple[Service, str], Rate]:
    return {
        (Service(row["service"]), row["region"]): Rate(
            service=Service(row["service"]),
            usd=float(row["usd"]),
            unit=row["unit"],
            estimated=row["estimated"] == "yes",
            source=source(row["source"]),
        )
        for row in rows("service_rates.csv")
    }
