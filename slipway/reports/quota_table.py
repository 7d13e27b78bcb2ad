"""What the account must allow for all stacks together, and whether it does."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slipway.checks.quota import Answer
from slipway.reports.plan_page import SEVERITIES


def table(answers: Sequence[Answer], *, asked: bool) -> RenderableType:
    """One row per quota and region, and below it what is too small."""
    result = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("EC2 quota, vCPUs", overflow="fold")
    result.add_column("Code", no_wrap=True)
    result.add_column("Region", no_wrap=True)
    for heading in ("Always", "At most", "Allowed"):
        result.add_column(heading, justify="right", no_wrap=True)
    for answer in answers:
        need = answer.need
        result.add_row(
            need.quota.name, need.quota.code, need.region, str(need.minimum), str(need.maximum), _allowed(answer, asked)
        )
    notes = [] if asked else [Text("Allowed: not asked; --quota asks AWS. Many accounts start with 0 for GPUs.")]
    return Group(result, *(line for answer in answers for line in _finding(answer)), *notes)


def _allowed(answer: Answer, asked: bool) -> Text:
    if answer.allowed is None:
        return Text("unknown" if asked else "?", style="dim")
    finding = answer.finding
    style = SEVERITIES[finding.severity][1] if finding else "green"
    return Text(f"{answer.allowed:g}", style=style)


def _finding(answer: Answer) -> list[Text]:
    finding = answer.finding
    if finding is None:
        return []
    mark, style = SEVERITIES[finding.severity]
    return [
        Text.assemble((mark, style), f" {finding.subject}: {finding.message} [{finding.id}]"),
        Text(f"  fix: {finding.fix}"),
    ]
