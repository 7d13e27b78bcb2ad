"""How figures are written, the same everywhere."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from slipway.catalog.types import Market, Platform, Source
from slipway.costs.types import Estimate, LineItem
from slipway.planning.types import Capacity, ServingPlan, UpdateKind
from slipway.settings.models import Target

PLATFORMS: Mapping[Platform, str] = {
    Platform.VLLM: "vLLM",
    Platform.GPUSTACK: "GPUStack",
    Platform.LOCALAI: "LocalAI",
    Platform.OLLAMA: "Ollama",
}
TARGETS: Mapping[Target, str] = {Target.LOCAL: "Docker", Target.INSTANCE: "EC2", Target.CLUSTER: "EKS"}
UPDATES: Mapping[UpdateKind, str] = {
    UpdateKind.RECREATE: "old pods go, then new ones come",
    UpdateKind.ONE_BY_ONE: "one pod at a time goes before its successor comes",
    UpdateKind.SURGE: "each new pod comes before an old one goes",
}
NBSP = "\N{NO-BREAK SPACE}"


def usd(amount: Decimal) -> str:
    """Dollars and cents: ``$1,234.50``."""
    return f"${amount:,.2f}"


def dollars(amount: Decimal) -> str:
    """Whole dollars: ``$1,235``."""
    return f"${amount.quantize(Decimal(1), rounding=ROUND_HALF_UP):,}"


def gib(amount: float) -> str:
    """One decimal: enough to see what fits, and no more than is known; small terms two, so that they are not 0.0."""
    return f"{amount:.2f}" if 0 < abs(amount) < 0.1 else f"{amount:,.1f}"  # noqa: PLR2004


def duration(seconds: float) -> str:
    """``45 s`` or ``4 min 10 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def span(low: int, high: int) -> str:
    """``2`` or ``1..4``."""
    return str(low) if low == high else f"{low}..{high}"


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 mistake``, ``3 mistakes``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def server(plan: ServingPlan) -> str:
    """The platform and its pinned version."""
    return f"{PLATFORMS[plan.platform]} {plan.release.version}"


def market(capacity: Capacity) -> str:
    """How the machines are bought."""
    if capacity.market is Market.ON_DEMAND:
        return "on demand"
    return f"spot, {capacity.on_demand_base} on demand" if capacity.on_demand_base else "spot"


def machines(plan: ServingPlan) -> str:
    """How many machines of which type, bought how; the local host for the local target."""
    if plan.instance_type is None:
        return "this machine"
    number = span(plan.capacity.minimum, plan.capacity.maximum)
    return f"{number} {plan.instance_type.name}, {market(plan.capacity)}"


def price_sources(estimates: Iterable[Estimate]) -> tuple[Source, ...]:
    """The sources of all line items, newest first."""
    found = {item.source for estimate in estimates for item in estimate.items}
    return tuple(sorted(found, key=lambda source: (source.as_of, source.name), reverse=True))


def biggest(estimate: Estimate, number: int) -> tuple[LineItem, ...]:
    """The line items that cost most in the typical case."""
    return tuple(sorted(estimate.items, key=lambda item: item.monthly_usd.typical, reverse=True)[:number])


def age(source: Source, today: date) -> str:
    """``2026-07-20 (126 days old)``."""
    return f"{source.as_of.isoformat()} ({count((today - source.as_of).days, 'day')} old)"


def service_and_kind(type_token: str) -> tuple[str, str]:
    """``aws:ec2/subnet:Subnet`` is a Subnet of ``aws ec2``; Kubernetes and Docker are one service each."""
    provider, _, rest = type_token.partition(":")
    module, _, kind = rest.rpartition(":")
    if provider == "aws":
        return f"aws {module.partition('/')[0]}", kind
    return provider, kind
