"""All stacks in one table: what runs where, how much of its memory it uses, what it costs, what is wrong with it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from slipway.findings import Finding
from slipway.pipeline import Analysis, Failure
from slipway.planning.types import PlannedModel
from slipway.problems import StackError
from slipway.reports.memory_bar import bar
from slipway.reports.plan_page import SEVERITIES
from slipway.reports.wording import PLATFORMS, TARGETS, count, dollars, gib, machines

_MACHINES, _BAR = "Machines", "bar"
_BAR_CELLS = 10
# What is left out, a step at a time, until the table fits the terminal.
_STEPS: Sequence[frozenset[str]] = (
    frozenset(),
    frozenset({_MACHINES}),
    frozenset({_MACHINES, _BAR}),
    frozenset({_MACHINES, _BAR, "low", "high"}),
)


def table(outcomes: Sequence[Analysis | Failure], console: Console) -> Table:
    """One row per model of each stack; a stack that does not plan says so."""
    drawn = [_table(outcomes, console, dropped) for dropped in _STEPS]
    fitting = (one for one in drawn if one.__rich_measure__(console, console.options).maximum <= console.width)
    return next(fitting, drawn[-1])


def _table(outcomes: Sequence[Analysis | Failure], console: Console, dropped: Collection[str]) -> Table:
    columns = _columns(console, dropped)
    result = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        # Only the model's name may be broken; everything else is a figure or a word.
        result.add_column(
            f"{column.above}\n{column.heading}",
            justify=column.justify,
            style=column.style,
            no_wrap=column.heading != "Model",
            overflow="fold",
        )
    for outcome in outcomes:
        for index in range(1 if isinstance(outcome, Failure) else len(outcome.plan.models)):
            cells = (column.cell(outcome, index) for column in columns)
            result.add_row(*cells)
    return result


@dataclass(frozen=True, slots=True)
class _Column:
    """`of_model` says what stands in each model's row; `of_stack` what is said once per stack, in its first row."""

    heading: str
    of_stack: Callable[[Analysis], RenderableType] | None = None
    of_model: Callable[[PlannedModel], RenderableType] | None = None
    of_failure: Callable[[Failure], RenderableType] = lambda _: ""
    justify: JustifyMethod = "left"
    style: str = ""
    above: str = ""

    def cell(self, outcome: Analysis | Failure, index: int) -> RenderableType:
        if isinstance(outcome, Failure):
            return self.of_failure(outcome)
        if self.of_model:
            return self.of_model(outcome.plan.models[index])
        return self.of_stack(outcome) if self.of_stack and index == 0 else ""


def _columns(console: Console, dropped: Collection[str]) -> list[_Column]:
    def memory(model: PlannedModel) -> Text:
        return _memory(model, console, drawn=_BAR not in dropped)

    def money(case: str) -> _Column:
        def cell(analysis: Analysis) -> str:
            amount = dollars(getattr(analysis.estimate.monthly_usd, case))
            return amount if analysis.estimate.complete else f"{amount}+?"

        middle = case == "typical"
        above, style = ("$/month", "bold") if middle else ("", "")
        return _Column(case, of_stack=cell, justify="right", style=style, above=above)

    columns = [
        _Column("Stack", lambda one: one.name, of_failure=lambda one: one.name, style="bold cyan"),
        _Column("Target", lambda one: TARGETS[one.plan.target]),
        _Column("Platform", lambda one: PLATFORMS[one.plan.platform]),
        _Column("Model", of_model=lambda model: model.name, of_failure=_failed),
        _Column(_MACHINES, lambda one: machines(one.plan)),
        _Column("used/available", of_model=memory, above="Memory, GiB"),
        _Column("Fits", of_model=_fits, of_failure=lambda _: Text("-")),
        money("low"),
        money("typical"),
        money("high"),
        _Column("Findings", lambda one: finding_counts(one.findings)),
    ]
    return [column for column in columns if column.heading not in dropped]


def _fits(model: PlannedModel) -> Text:
    return Text("yes", style="green") if model.memory.fits else Text("no", style="bold red")


def _memory(model: PlannedModel, console: Console, *, drawn: bool) -> Text:
    gpu = model.memory.gpu
    budget = gpu or model.memory.host
    figures = f"{gib(budget.used_gib)}/{gib(budget.available_gib)} {'GPU' if gpu else 'RAM'}"
    return Text.assemble(bar(budget, _BAR_CELLS, console), " ", figures) if drawn else Text(figures)


def _failed(failure: Failure) -> Text:
    error = failure.error
    number = count(len(error.problems), "mistake") if isinstance(error, StackError) else "an error"
    return Text(f"does not plan: {number}", style="red")


def finding_counts(findings: Iterable[Finding]) -> Text:
    """``✗ 1  ! 2``: errors, warnings and remarks; none is said too."""
    numbers = Counter(finding.severity for finding in findings)
    parts = [
        Text(f"{mark} {numbers[severity]}", style=style)
        for severity, (mark, style) in SEVERITIES.items()
        if numbers[severity]
    ]
    return Text("  ").join(parts) if parts else Text("none", style="green")
