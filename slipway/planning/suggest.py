"""What would fit instead. Every suggestion is planned before it is made, so that following it works."""

from collections.abc import Callable, Iterator

from slipway import catalog
from slipway.catalog.types import InstanceType, Price, Quantization
from slipway.planning import own_model, precision
from slipway.planning.memory import BYTES_PER_WEIGHT
from slipway.planning.misfit import DoesNotFitError
from slipway.planning.types import ServingPlan
from slipway.problems import StackError
from slipway.settings.models import ServedModel, Settings

Drafter = Callable[[Settings], ServingPlan]

CONTEXT_STEP = 1024
"""Suggested context lengths are whole multiples of this many tokens."""


def hint(settings: Settings, error: DoesNotFitError, draft: Drafter) -> str | None:
    """The ways out that plan, each as the line to write; None where there is none."""
    index = error.misfits[0].index
    ways = [
        way
        for way in (
            _machine(settings, draft),
            _quantization(settings, index, draft),
            _context(settings, index, draft),
            _concurrency(settings, index, draft),
        )
        if way
    ]
    return "; or ".join(ways) or None


def plans(settings: Settings, draft: Drafter) -> bool:
    """Whether this variant of the stack plans."""
    try:
        draft(settings)
    except StackError:
        return False
    return True


def with_machine(settings: Settings, name: str) -> Settings:
    """The same stack on one other instance type."""
    return settings.model_copy(update={"instance_types": (name,)})


def with_model(settings: Settings, index: int, **changes: object) -> Settings:
    """The same stack with one of its models changed."""
    served = settings.served
    changed = tuple(
        model.model_copy(update=changes) if position == index else model for position, model in enumerate(served)
    )
    return settings.model_copy(update={"model": changed[0]} if settings.model else {"models": changed})


def with_demand(settings: Settings, **changes: object) -> Settings:
    """The same stack at another demand."""
    return settings.model_copy(update={"demand": settings.demand.model_copy(update=changes)})


def _machine(settings: Settings, draft: Drafter) -> str | None:
    """The cheapest machine of the region on which the stack plans as it is."""
    for kind, price in _by_price(settings):
        if plans(with_machine(settings, kind.name), draft):
            return (
                f"write `slipway:instanceTypes: [{kind.name}]` ({price.usd_per_hour:.4f} USD an hour on demand in "
                f"{settings.region}; {price.source.name}, {price.source.as_of})"
            )
    return None


def _by_price(settings: Settings) -> Iterator[tuple[InstanceType, Price]]:
    region = settings.region
    if region is None or not settings.instance_types:
        return
    first = catalog.instance_types()[settings.instance_types[0]]
    priced = [
        (kind, price)
        for kind in catalog.instance_types().values()
        if _comparable(kind, first)
        and kind.name not in settings.instance_types
        and (price := catalog.on_demand_price(kind.name, region))
    ]
    yield from sorted(priced, key=lambda pair: (pair[1].usd_per_hour, pair[0].name))


def _comparable(kind: InstanceType, first: InstanceType) -> bool:
    """Same architecture, whole GPUs where there were GPUs, and a size that starts in minutes."""
    whole = kind.gpu is None or kind.gpu.share == 1
    return kind.arch is first.arch and (kind.gpu is None) == (first.gpu is None) and whole and "metal" not in kind.name


def _quantization(settings: Settings, index: int, draft: Drafter) -> str | None:
    """The widest published form that fits the same machine."""
    served = settings.served[index]
    forms = precision.published(own_model.resolve(served), settings.platform)
    for form in sorted(forms, key=lambda form: -BYTES_PER_WEIGHT[form]):
        if form is not served.quantization and plans(with_model(settings, index, quantization=form), draft):
            return _model_line(settings, index, served, form)
    return None


def _model_line(settings: Settings, index: int, served: ServedModel, form: Quantization) -> str:
    if settings.model and served.model_fields_set <= {"name"}:
        return f"write `slipway:model: {{name: {served.name}, quantization: {form.value}}}`"
    return f"write `quantization: {form.value}` {_under(settings, index)}"


def _under(settings: Settings, index: int) -> str:
    return "under slipway:model" if settings.model else f"under slipway:models[{index}]"


def _context(settings: Settings, index: int, draft: Drafter) -> str | None:
    """The longest context that fits, all else equal."""
    served = settings.served[index]
    asked = served.context_length or settings.demand.context_length

    def variant(steps: int) -> Settings:
        length = steps * CONTEXT_STEP
        if served.context_length is not None:
            return with_model(settings, index, context_length=length)
        return with_demand(settings, context_length=length)

    steps = _largest((asked - 1) // CONTEXT_STEP, lambda steps: plans(variant(steps), draft))
    if not steps:
        return None
    where = _under(settings, index) if served.context_length is not None else "under slipway:demand"
    return f"write `contextLength: {steps * CONTEXT_STEP}` {where}"


def _concurrency(settings: Settings, index: int, draft: Drafter) -> str | None:
    """The most requests in flight that fit, all else equal."""
    served = settings.served[index]
    asked = served.concurrency or settings.demand.concurrency

    def variant(requests: int) -> Settings:
        if served.concurrency is not None:
            return with_model(settings, index, concurrency=requests)
        return with_demand(settings, concurrency=requests)

    requests = _largest(asked - 1, lambda requests: plans(variant(requests), draft))
    if not requests:
        return None
    where = _under(settings, index) if served.concurrency is not None else "under slipway:demand"
    return f"write `concurrency: {requests}` {where}"


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, 0 if none; what fits at n fits below n (a property test says so)."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
