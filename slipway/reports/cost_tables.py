"""Bills as tables: one stack line by line, several side by side."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slipway.costs import Category
from slipway.costs.types import Estimate, LineItem, Money
from slipway.pipeline import Analysis
from slipway.reports.wording import age, count, machines, price_sources, usd


def lines_table(items: Iterable[LineItem], *, verbose: bool) -> Table:
    """Line items with their typical cost; `verbose` adds low and high, and the source."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for heading in ("low", "typical", "high") if verbose else ("typical",):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in items:
        money = item.monthly_usd
        amounts = (money.low, money.typical, money.high) if verbose else (money.typical,)
        how = Text.assemble((item.resource, "bold"), f"  {item.how}")
        table.add_row(*(usd(amount) for amount in amounts), how)
    return table


def unpriced_lines(estimate: Estimate, *, verbose: bool) -> list[str]:
    """What has no price, same reasons together; `verbose` names every resource."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for entry in estimate.unpriced:
        by_reason[entry.reason].append(entry.resource)
    lines: list[str] = []
    for reason, resources in by_reason.items():
        short = reason if verbose else "".join(reason.partition(", by use")[:2])
        names = ", ".join(resources) if verbose or len(resources) == 1 else count(len(resources), "resource")
        lines.append(f"{names}: {short}")
    return list(dict.fromkeys(lines))


def comparison(analyses: Sequence[Analysis], *, today: date) -> RenderableType:
    """Stacks as columns, categories as rows, typical cost in the cells; totals for all three cases."""
    table = _table()
    table.add_column("USD a month")
    for analysis in analyses:
        table.add_column(analysis.name, justify="right")
    table.add_row("", *(Text(machines(analysis.plan), style="dim") for analysis in analyses))
    table.add_section()
    estimates = [analysis.estimate for analysis in analyses]
    for category in Category:
        sums = [estimate.by_category.get(category) for estimate in estimates]
        if any(sums):
            table.add_row(category.value, *(usd(money.typical) if money else Text("-", style="dim") for money in sums))
    totals = [estimate.monthly_usd for estimate in estimates]
    table.add_section()
    marks = ["" if estimate.complete else "+?" for estimate in estimates]
    for label, case in (("typical", "typical"), ("at least", "low"), ("at most", "high")):
        cells = (f"{usd(getattr(money, case))}{mark}" for money, mark in zip(totals, marks, strict=True))
        table.add_row(label, *cells, style="bold" if case == "typical" else "")
    table.add_row("a year, typical", *(usd((money * 12).typical) for money in totals), style="dim")
    table.add_row("not priced", *(_number(len(estimate.unpriced)) for estimate in estimates))
    return Group(table, "", *_not_priced(analyses), *sources(estimates, today=today))


def bill(analysis: Analysis, *, today: date) -> RenderableType:
    """One stack, line by line and by category."""
    estimate = analysis.estimate
    table = _table()
    for heading in ("low", "typical", "high"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("resource", no_wrap=True)
    table.add_column("USD a month")
    for category in Category:
        items = [item for item in estimate.items if item.category == category]
        if not items:
            continue
        table.add_row(*_amounts(estimate.by_category[category]), Text(category.value, style="bold"), "", style="bold")
        for item in items:
            table.add_row(*_amounts(item.monthly_usd), Text(f"  {item.resource}"), Text(item.how, style="dim"))
    table.add_section()
    table.add_row(*_amounts(estimate.monthly_usd), "total", "", style="bold")
    return Group(table, "", *_not_priced([analysis]), *sources([estimate], today=today))


def sources(estimates: Sequence[Estimate], *, today: date) -> list[RenderableType]:
    """Where the prices come from and how old they are."""
    found = price_sources(estimates)
    if not found:
        return []
    lines = ["Before tax, 730 hours a month. Prices from:"]
    if not all(estimate.complete for estimate in estimates):
        lines.insert(0, "+? marks a total from which machines without a price are missing.")
    lines += [f"  {source.name}, {age(source, today)}" for source in found]
    return [Text("\n".join(lines), style="dim")]


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")


def _not_priced(analyses: Sequence[Analysis]) -> list[RenderableType]:
    lines: dict[str, list[str]] = defaultdict(list)
    for analysis in analyses:
        for line in unpriced_lines(analysis.estimate, verbose=len(analyses) == 1):
            lines[line].append(analysis.name)
    if not lines:
        return []
    table = Table.grid(padding=(0, 2, 0, 0))
    for line, names in lines.items():
        table.add_row("", Text(line + (f" ({', '.join(names)})" if len(analyses) > 1 else ""), style="dim"))
    return [Text("Not priced, and not in any total:", style="dim"), table, ""]


def _amounts(money: Money) -> tuple[str, str, str]:
    return usd(money.low), usd(money.typical), usd(money.high)


def _number(number: int) -> Text:
    return Text(count(number, "item"), style="yellow") if number else Text("none", style="dim")
