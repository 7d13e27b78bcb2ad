"""What the commands print: results to standard output, problems to standard error."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from rich.text import Text

from slipway.checks.quota import Answer
from slipway.pipeline import Analysis, Failure
from slipway.reports import cost_tables, plan_page, problem_blocks, quota_table, summary
from slipway.reports.consoles import errors, output, write


def show_plans(outcomes: Sequence[Analysis | Failure], *, verbose: bool = False) -> None:
    """A page per stack, then the mistakes, then all stacks in one table where there are several."""
    console = output()
    for analysis in _analyses(outcomes):
        write(console, plan_page.page(analysis, today=_today(), verbose=verbose))
    _show_problems(outcomes)
    if len(outcomes) > 1 and _analyses(outcomes):
        prices = cost_tables.sources([one.estimate for one in _analyses(outcomes)], today=_today())
        write(console, summary.table(outcomes, console), "", *prices)


def show_quotas(answers: Sequence[Answer], *, asked: bool) -> None:
    """The quotas of all stacks together, below everything else; nothing where no stack runs on EC2."""
    if answers:
        write(output(), "", quota_table.table(answers, asked=asked))


def show_costs(outcomes: Sequence[Analysis | Failure]) -> None:
    """One stack line by line; several side by side."""
    console = output()
    analyses = _analyses(outcomes)
    if len(analyses) == 1:
        write(console, Text(analyses[0].name, style="bold cyan"), cost_tables.bill(analyses[0], today=_today()))
    elif analyses:
        write(console, cost_tables.comparison(analyses, today=_today()))
    _show_problems(outcomes)


def _show_problems(outcomes: Iterable[Analysis | Failure]) -> None:
    console = errors()
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            write(console, problem_blocks.blocks(outcome))


def _analyses(outcomes: Iterable[Analysis | Failure]) -> list[Analysis]:
    return [outcome for outcome in outcomes if isinstance(outcome, Analysis)]


def _today() -> date:
    return datetime.now(UTC).date()
