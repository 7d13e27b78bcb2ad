"""The one place where pricing asks for prices: the catalogue's, in exact decimals, for one region."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from slipway import catalog
from slipway.catalog.types import Service, Source
from slipway.costs.types import Money


@dataclass(frozen=True, slots=True)
class MachineRate:
    """USD an hour of one Linux machine; a range over the region's zones where it is spot."""

    usd: Money
    estimated: bool
    source: Source


@dataclass(frozen=True, slots=True)
class FlatRate:
    """USD for one `unit`; `estimated` where another region's price stands in."""

    usd: Decimal
    unit: str
    estimated: bool
    source: Source


class Support(StrEnum):
    """Where a Kubernetes version stands on a given day."""

    STANDARD = "standard"
    EXTENDED = "extended"
    ENDED = "ended"
    UNLISTED = "unlisted"


class Rates(Protocol):
    """Prices of one region; None means that there is no price, which is never the same as zero."""

    def machine(self, instance_type: str, *, spot: bool) -> MachineRate | None:
        """USD an hour of one instance type."""
        ...

    def service(self, service: Service) -> FlatRate | None:
        """USD for one unit of a service."""
        ...

    def kubernetes_support(self, version: str, today: date) -> Support:
        """Which support fee an EKS version is charged on a day."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogRates:
    """The catalogue's prices for one region; a graph without a region has none."""

    region: str | None

    def machine(self, instance_type: str, *, spot: bool) -> MachineRate | None:
        """USD an hour of one instance type; spot as the range over the region's zones."""
        if self.region is None:
            return None
        if not spot:
            price = catalog.on_demand_price(instance_type, self.region)
            return price and MachineRate(Money.flat(_exact(price.usd_per_hour)), False, price.source)
        found = catalog.spot_price(instance_type, self.region)
        if found is None:
            return None
        usd = Money(low=_exact(found.low), typical=_exact(found.typical), high=_exact(found.high))
        return MachineRate(usd, found.estimated, found.source)

    def service(self, service: Service) -> FlatRate | None:
        """USD for one unit of a service."""
        if self.region is None:
            return None
        found = catalog.service_rate(service, self.region)
        return FlatRate(_exact(found.usd), found.unit, found.estimated, found.source)

    def kubernetes_support(self, version: str, today: date) -> Support:
        """Which support fee an EKS version is charged on a day."""
        found = catalog.kubernetes_versions().get(version)
        if found is None:
            return Support.UNLISTED
        if found.in_standard_support(today):
            return Support.STANDARD
        return Support.EXTENDED if today <= found.extended_support_ends else Support.ENDED


def _exact(usd: float) -> Decimal:
    """The decimal a price was written as, not the binary fraction a float holds."""
    return Decimal(str(usd))
