"""What pricing gives: line items with their source, what is not priced, and three totals."""

from dataclasses import dataclass
from decimal import Decimal

from slipway.catalog.types import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """USD a month as a range: `low` at minimum capacity and cheapest spot zone, `high` at maximum capacity and dearest.

    `typical` is desired capacity at typical prices.
    """

    low: Decimal
    typical: Decimal
    high: Decimal

    def __add__(self, other: "Money") -> "Money":
        return Money(low=self.low + other.low, typical=self.typical + other.typical, high=self.high + other.high)

    def __mul__(self, factor: int) -> "Money":
        return Money(low=self.low * factor, typical=self.typical * factor, high=self.high * factor)

    @staticmethod
    def flat(usd: Decimal) -> "Money":
        """The same figure at every capacity."""
        return Money(low=usd, typical=usd, high=usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """One priced part of one resource. `how` shows the multiplication, such as ``730 h x 0.8048 USD x 1..4``."""

    resource: str
    type: str
    category: str
    monthly_usd: Money
    how: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """A resource, or a part of it, with no price: never counted as zero. `reason` says why.

    `machines` marks whole machines without a price: a total without them says little.
    """

    resource: str
    type: str
    reason: str
    machines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The bill of one stack."""

    stack: str
    region: str | None
    items: tuple[LineItem, ...]
    unpriced: tuple[Unpriced, ...]

    @property
    def monthly_usd(self) -> Money:
        """Sum of all line items."""
        total = Money.flat(Decimal(0))
        for item in self.items:
            total = total + item.monthly_usd
        return total

    @property
    def complete(self) -> bool:
        """Whether every machine of the stack has a price."""
        return not any(entry.machines for entry in self.unpriced)

    @property
    def by_category(self) -> dict[str, Money]:
        """The same sum by category, in the order of their first line items."""
        totals: dict[str, Money] = {}
        for item in self.items:
            totals[item.category] = totals.get(item.category, Money.flat(Decimal(0))) + item.monthly_usd
        return totals
