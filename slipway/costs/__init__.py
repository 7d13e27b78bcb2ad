"""The bill of a planned stack, from its graph and nothing else."""

from datetime import UTC, date, datetime

from slipway.costs import free, rules
from slipway.costs.pricing import RULES, Category, Pricing, estimate
from slipway.costs.rates import CatalogRates, Rates
from slipway.costs.types import Estimate, LineItem, Money, Unpriced
from slipway.engine.graph import Graph

__all__ = ["RULES", "Category", "Estimate", "LineItem", "Money", "Unpriced", "price", "rules"]


def price(graph: Graph, *, rates: Rates | None = None, today: date | None = None) -> Estimate:
    """The monthly cost of what the graph plans: USD before tax, 730 hours a month.

    Prices are the catalogue's unless `rates` are given; `today` (UTC by default) decides which Kubernetes versions
    are in extended support.
    """
    region = graph.region()
    pricing = Pricing(
        graph=graph,
        region=region,
        rates=rates or CatalogRates(region),
        today=today or datetime.now(UTC).date(),
    )
    return estimate(pricing, free.reason)
