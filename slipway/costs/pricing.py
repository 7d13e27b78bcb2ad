"""Prices a planned graph: one small rule per resource type, and a list of what is free and why."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from slipway.catalog.types import Service, Source
from slipway.costs.rates import MachineRate, Rates
from slipway.costs.types import Estimate, LineItem, Money, Unpriced
from slipway.engine.graph import Graph, Resource
from slipway.engine.reading import leaving

HOURS_A_MONTH = Decimal(730)
CENT = Decimal("0.01")


class Category(StrEnum):
    """The rows of a comparison, in its order."""

    ON_DEMAND = "compute on demand"
    SPOT = "compute spot"
    DISK = "disk"
    NETWORK = "network"
    CONTROL_PLANE = "control plane"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are at minimum, desired and maximum capacity."""

    low: int
    typical: int
    high: int

    @staticmethod
    def flat(number: int) -> "Count":
        """The same number at every capacity."""
        return Count(number, number, number)

    def __mul__(self, factor: int) -> "Count":
        return Count(self.low * factor, self.typical * factor, self.high * factor)

    def __str__(self) -> str:
        return _triple(str(self.low), str(self.typical), str(self.high))


ONE = Count.flat(1)


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a rule may look at: the whole graph, the region's rates and the day."""

    graph: Graph
    region: str | None
    rates: Rates
    today: date

    def hourly(
        self, resource: Resource, service: Service, category: Category, what: str, count: Count = ONE
    ) -> Iterator[LineItem | Unpriced]:
        """`count` pieces of something sold by the hour."""
        yield from self._service(resource, service, category, what, count, hours=HOURS_A_MONTH)

    def monthly(
        self, resource: Resource, service: Service, category: Category, what: str, count: Count = ONE, *, each: int = 1
    ) -> Iterator[LineItem | Unpriced]:
        """`count` things sold by the month, with `each` units in one."""
        yield from self._service(resource, service, category, what, count, each=each)

    def _service(
        self,
        resource: Resource,
        service: Service,
        category: Category,
        what: str,
        count: Count,
        *,
        hours: Decimal | None = None,
        each: int = 1,
    ) -> Iterator[LineItem | Unpriced]:
        rate = self.rates.service(service)
        if rate is None:
            yield self.unpriced(resource, f"{what}: no price in {self.place}")
        elif count.high:
            usd = Money.flat(rate.usd * each)
            note = ", estimated" if rate.estimated else ""
            how = _how(hours, Money.flat(rate.usd), each, count, what + note)
            yield _item(resource, category, how=how, usd=usd, hours=hours, count=count, source=rate.source)

    def machines(
        self, resource: Resource, category: Category, rate: MachineRate, count: Count, what: str
    ) -> Iterator[LineItem]:
        """`count` machines at a range of hourly prices."""
        if count.high:
            how = _how(HOURS_A_MONTH, rate.usd, 1, count, what)
            yield _item(resource, category, how=how, usd=rate.usd, hours=HOURS_A_MONTH, count=count, source=rate.source)

    def usage(self, resource: Resource, what: str, *services: Service) -> Unpriced:
        """What is billed by use, with the rates the user can multiply."""
        known = [rate for rate in map(self.rates.service, services) if rate]
        rates = ", ".join(f"{plain(rate.usd)} USD per {rate.unit}" for rate in known)
        sources = "; ".join(dict.fromkeys(dated(rate.source) for rate in known))
        return self.unpriced(resource, f"{what}, by use: {rates} ({sources})" if known else f"{what}, by use")

    def unpriced(self, resource: Resource, reason: str, *, machines: bool = False) -> Unpriced:
        """Names what is not in the total, and why; `machines` where whole machines are missing."""
        return Unpriced(resource=resource.name, type=resource.type, reason=reason, machines=machines)

    @property
    def place(self) -> str:
        """The region, in words."""
        return self.region or "a stack without an AWS region"


Rule = Callable[[Resource, Pricing], Iterator[LineItem | Unpriced]]
RULES: dict[str, Rule] = {}


def rule(*types: str) -> Callable[[Rule], Rule]:
    """Registers the pricing of some resource types."""

    def register(function: Rule) -> Rule:
        for token in types:
            if token in RULES:
                raise ValueError(f"two pricing rules for {token}")
            RULES[token] = function
        return function

    return register


def estimate(pricing: Pricing, free: Callable[[str], str | None]) -> Estimate:
    """The bill: every real resource is priced by its rule, free with a reason, or listed as not priced."""
    items: list[LineItem] = []
    unpriced: list[Unpriced] = []
    for resource in pricing.graph.resources:
        for line in _lines(resource, pricing, free):
            if isinstance(line, LineItem):
                items.append(line)
            else:
                unpriced.append(line)
    return Estimate(stack=pricing.graph.stack, region=pricing.region, items=tuple(items), unpriced=tuple(unpriced))


def _lines(resource: Resource, pricing: Pricing, free: Callable[[str], str | None]) -> Iterator[LineItem | Unpriced]:
    if not resource.custom or resource.type.startswith("pulumi:") or leaving(resource):
        return
    if found := RULES.get(resource.type):
        yield from found(resource, pricing)
    elif free(resource.type) is None:
        yield pricing.unpriced(resource, "no pricing rule for this resource type")


def _item(
    resource: Resource,
    category: Category,
    *,
    how: str,
    usd: Money,
    hours: Decimal | None,
    count: Count,
    source: Source,
) -> LineItem:
    factor = hours or Decimal(1)
    bill = Money(
        low=cents(usd.low * count.low * factor),
        typical=cents(usd.typical * count.typical * factor),
        high=cents(usd.high * count.high * factor),
    )
    return LineItem(
        resource=resource.name, type=resource.type, category=category, monthly_usd=bill, how=how, source=source
    )


def _how(hours: Decimal | None, usd: Money, each: int, count: Count, what: str) -> str:
    parts = [
        f"{hours} h" if hours else "",
        f"{_triple(plain(usd.low), plain(usd.typical), plain(usd.high))} USD",
        str(each) if each != 1 else "",
        f"{count} ({what})",
    ]
    return " x ".join(part for part in parts if part)


def cents(usd: Decimal) -> Decimal:
    """USD rounded to the cent, halves up, so that the lines a user sees add up to the total they see."""
    return usd.quantize(CENT, rounding=ROUND_HALF_UP)


def plain(number: Decimal) -> str:
    """A decimal without trailing zeros and without an exponent."""
    return f"{number.normalize():f}"


def dated(source: Source) -> str:
    """A source with its date."""
    return f"{source.name}, {source.as_of.isoformat()}"


def _triple(low: str, typical: str, high: str) -> str:
    return low if low == typical == high else f"{low}/{typical}/{high}"
