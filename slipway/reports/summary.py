"""All stacks in one table: what runs where, how much of its memory it uses, what it costs, what is wrong with it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from slipway.findings import Finding
from slipway.pipeline import Analysis, Failure
from slipway.planning.types import Budget
from slipway.problems import StackError
from slipway.reports.memory_bar import bar
from slipway.reports.plan_page import SEVERITIES
from slipway.reports.wording import PLATFORMS, TARGETS, count, dollars, gib, machines

_BAR_CELLS = 12
# The bar is the first thing to go on a narrow terminal, then the machines.
_WIDTH_FOR_BARS = 118
_WIDTH_FOR_MACHINES = 96


def table(outcomes: Sequence[Analysis | Failure], console: Console) -> Table:
    """One row per model of each stack; a stack that does not plan says so."""
    bars, hardware = console.width >= _WIDTH_FOR_BARS, console.width >= _WIDTH_FOR_MACHINES
    result = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1))
    result.add_column("Stack", style="bold cyan", no_wrap=True)
    result.add_column("Runs")
    result.add_column("Model")
    if hardware:
        result.add_column("Machines")
    result.add_column("Memory GiB" if bars else "GiB", no_wrap=True)
    result.add_column("Fits", justify="center")
    result.add_column("$ low", justify="right", no_wrap=True)
    result.add_column("typical", justify="right", no_wrap=True, style="bold")
    result.add_column("high a month", justify="right", no_wrap=True)
    result.add_column("Findings", no_wrap=True)
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            result.add_row(*_failed(outcome, hardware=hardware))
        else:
            for row in _rows(outcome, console, bars=bars, hardware=hardware):
                result.add_row(*row)
    return result


def _rows(analysis: Analysis, console: Console, *, bars: bool, hardware: bool) -> Iterator[list[RenderableType]]:
    plan, money = analysis.plan, analysis.estimate.monthly_usd
    for index, model in enumerate(plan.models):
        first = index == 0  # what holds for the stack is said once
        budget = model.memory.gpu or model.memory.host
        row: list[RenderableType] = [
            analysis.name if first else "",
            f"{PLATFORMS[plan.platform]}, {TARGETS[plan.target]}" if first else "",
            model.name,
        ]
        if hardware:
            row.append(machines(plan) if first else "")
        row.append(_memory(budget, console, gpu=model.memory.gpu is not None, drawn=bars))
        row.append(Text("yes", style="green") if model.memory.fits else Text("no", style="bold red"))
        row += [dollars(amount) if first else "" for amount in (money.low, money.typical, money.high)]
        row.append(finding_counts(analysis.findings) if first else "")
        yield row


def _memory(budget: Budget, console: Console, *, gpu: bool, drawn: bool) -> Text:
    figures = f"{gib(budget.used_gib)}/{gib(budget.available_gib)} {'GPU' if gpu else 'RAM'}"
    return Text.assemble(bar(budget, _BAR_CELLS, console), " ", figures) if drawn else Text(figures)


def _failed(failure: Failure, *, hardware: bool) -> list[RenderableType]:
    error = failure.error
    number = count(len(error.problems), "mistake") if isinstance(error, StackError) else "an error"
    blanks: list[RenderableType] = [""] * (1 if hardware else 0)
    said = Text(f"does not plan: {number}", style="red")
    return [failure.name, "", said, *blanks, "", Text("-"), "", "", "", ""]


def finding_counts(findings: Iterable[Finding]) -> Text:
    """``1 error, 2 warnings``; none is said too."""
    numbers = Counter(finding.severity for finding in findings)
    parts = [
        Text(count(numbers[severity], severity.value), style=style)
        for severity, (_, style) in SEVERITIES.items()
        if numbers[severity]
    ]
    return Text(", ").join(parts) if parts else Text("none", style="green")
