"""What would fit instead. Every suggestion is planned before it is made, so that following it works."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slipway import catalog
from slipway.catalog.types import InstanceType, Price, Quantization
from slipway.planning import own_model, precision
from slipway.planning.memory import BYTES_PER_WEIGHT
from slipway.planning.misfit import DoesNotFitError
from slipway.planning.types import ServingPlan
from slipway.problems import StackError
from slipway.settings.models import Settings

Drafter = Callable[[Settings], ServingPlan]

CONTEXT_STEP = 1024
"""Suggested context lengths are whole multiples of this many tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way out: the stack that plans, and the words that lead to it."""

    settings: Settings
    words: str


def hint(settings: Settings, error: DoesNotFitError, draft: Drafter) -> str | None:
    """The ways out that plan, each as the line to write; None where there is none."""
    return "; or ".join(way.words for way in ways(settings, error, draft)) or None


def ways(settings: Settings, error: DoesNotFitError, draft: Drafter) -> tuple[Way, ...]:
    """A machine, a quantization, a context length, a number of requests: each alone where it is enough.

    Where no single change of the model fits the same machine, its smallest form is combined with the longest context.
    """
    index = error.misfits[0].index
    alone = (
        _machine(settings, draft),
        _quantization(settings, index, draft),
        _context(settings, index, draft),
        _concurrency(settings, index, draft),
    )
    found = tuple(way for way in alone if way)
    if any(alone[1:]):
        return found
    together = _quantization_and_context(settings, index, draft)
    return (*found, together) if together else found


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


def _machine(settings: Settings, draft: Drafter) -> Way | None:
    """The cheapest machine of the region on which the stack plans as it is."""
    for kind, price in _by_price(settings):
        variant = with_machine(settings, kind.name)
        if plans(variant, draft):
            words = (
                f"write `slipway:instanceTypes: [{kind.name}]` ({price.usd_per_hour:g} USD an hour on demand in "
                f"{settings.region}; {price.source.name}, {price.source.as_of})"
            )
            return Way(settings=variant, words=words)
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


def _forms(settings: Settings, index: int) -> list[Quantization]:
    """The other published forms of a model, widest first."""
    served = settings.served[index]
    forms = precision.published(own_model.resolve(served), settings.platform)
    others = (form for form in forms if form is not served.quantization)
    return sorted(others, key=lambda form: -BYTES_PER_WEIGHT[form])


def _quantization(settings: Settings, index: int, draft: Drafter) -> Way | None:
    """The widest published form that fits the same machine."""
    for form in _forms(settings, index):
        variant = with_model(settings, index, quantization=form)
        if plans(variant, draft):
            return Way(settings=variant, words=f"write {_form_line(settings, index, form)}")
    return None


def _quantization_and_context(settings: Settings, index: int, draft: Drafter) -> Way | None:
    """The widest form that fits at some context length, with the longest such context."""
    for form in _forms(settings, index):
        way = _context(with_model(settings, index, quantization=form), index, draft)
        if way:
            return Way(settings=way.settings, words=f"write {_form_line(settings, index, form)} and {way.words}")
    return None


def _form_line(settings: Settings, index: int, form: Quantization) -> str:
    served = settings.served[index]
    if settings.model and served.model_fields_set <= {"name"}:
        return f"`slipway:model: {{name: {served.name}, quantization: {form.value}}}`"
    return f"`quantization: {form.value}` {_under(settings, index)}"


def _under(settings: Settings, index: int) -> str:
    return "under slipway:model" if settings.model else f"under slipway:models[{index}]"


def _context(settings: Settings, index: int, draft: Drafter) -> Way | None:
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
    return Way(settings=variant(steps), words=f"write `contextLength: {steps * CONTEXT_STEP}` {where}")


def _concurrency(settings: Settings, index: int, draft: Drafter) -> Way | None:
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
    return Way(settings=variant(requests), words=f"write `concurrency: {requests}` {where}")


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, 0 if none; what fits at n fits below n (a property test says so)."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
