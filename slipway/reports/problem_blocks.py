"""A stack that does not plan: one block per mistake, each with where, what, and what to write instead."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from slipway.pipeline import Failure
from slipway.problems import Problem, StackError
from slipway.reports.wording import count

_MOST_ALLOWED = 8


def blocks(failure: Failure) -> RenderableType:
    """Everything that keeps a stack from being planned."""
    error = failure.error
    if not isinstance(error, StackError):
        return Group(_title(f"{failure.name} does not plan"), Padding(Text(str(error)), (0, 0, 1, 2)))
    title = _title(f"{failure.name} does not plan: {count(len(error.problems), 'mistake')}")
    return Group(title, *(Padding(_block(problem), (0, 0, 1, 2)) for problem in error.problems))


def _title(words: str) -> Text:
    return Text(words, style="bold red")


def _block(problem: Problem) -> RenderableType:
    place = ":".join(str(part) for part in (problem.file, problem.line) if part is not None)
    head = Text.assemble((f"{place}  " if place else "", "dim"), (problem.key, "bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    for label, value in _details(problem):
        table.add_row(label, Text(value))
    return Group(head, Padding(Text(problem.message), (0, 0, 0, 2)), Padding(table, (0, 0, 0, 2)))


def _details(problem: Problem) -> Iterator[tuple[str, str]]:
    if problem.given is not None:
        yield "given", problem.given
    if problem.nearest is not None:
        yield "did you mean", problem.nearest
    if problem.allowed:
        yield "allowed", _shortened(problem.allowed)
    if problem.hint is not None:
        yield "hint", problem.hint


def _shortened(allowed: tuple[str, ...]) -> str:
    text = ", ".join(allowed[:_MOST_ALLOWED])
    rest = len(allowed) - _MOST_ALLOWED
    return f"{text} and {rest} more" if rest > 0 else text
