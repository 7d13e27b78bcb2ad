"""What a user reads, at fixed widths and without colour; the golden files are reviewed by a person."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from analyses import TODAY, local, prod
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from slipway.costs.types import Unpriced
from slipway.pipeline import Failure
from slipway.planning.types import Budget, MemoryTerm
from slipway.problems import Problem, SlipwayError, StackError
from slipway.reports import consoles, cost_tables, plan_page, problem_blocks, summary
from slipway.reports.memory_bar import MemoryBar, bar

pytestmark = pytest.mark.unit

Golden = Callable[[str, str], None]


def console(width: int = 100, **options: Any) -> Console:
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), width=width, highlight=False, **options)


def text(renderable: RenderableType, width: int = 100) -> str:
    """As it is written into a file: without colour, without trailing spaces."""
    screen = console(width)
    consoles.write(screen, renderable)
    screen.file.seek(0)
    return screen.file.read()


FAILURE = Failure(
    name="bad",
    error=StackError(
        "bad",
        [
            Problem(
                key="slipway:platform",
                message="is not a platform",
                given="vlm",
                allowed=("vllm", "ollama"),
                nearest="vllm",
                hint="write vllm",
                file="Pulumi.bad.yaml",
                line=3,
            ),
            Problem(key="slipway:model", message="is missing", allowed=tuple(f"model-{n}" for n in range(20))),
        ],
    ),
)


def test_the_page_of_a_stack(golden: Golden) -> None:
    golden("plan_page.txt", text(plan_page.page(prod(), today=TODAY, verbose=False)))


def test_the_page_with_every_reason(golden: Golden) -> None:
    golden("plan_page_verbose.txt", text(plan_page.page(prod(), today=TODAY, verbose=True)))


def test_the_page_of_a_local_stack(golden: Golden) -> None:
    golden("plan_page_local.txt", text(plan_page.page(local(), today=TODAY, verbose=False)))


@pytest.mark.parametrize("width", [80, 120, 150])
def test_the_closing_table(golden: Golden, width: int) -> None:
    outcomes = [local(), prod(), FAILURE]
    golden(f"summary_{width}.txt", text(summary.table(outcomes, console(width)), width))


def test_stacks_side_by_side(golden: Golden) -> None:
    golden("costs_comparison.txt", text(cost_tables.comparison([local(), prod()], today=TODAY)))


def test_the_bill_of_one_stack(golden: Golden) -> None:
    golden("costs_bill.txt", text(cost_tables.bill(prod(), today=TODAY)))


def test_every_mistake_has_its_own_block(golden: Golden) -> None:
    golden("problems.txt", text(problem_blocks.blocks(FAILURE)))


def test_an_error_without_problems_is_still_said() -> None:
    failure = Failure(name="prod", error=SlipwayError("No engine."))
    assert text(problem_blocks.blocks(failure)) == "prod does not plan\n  No engine.\n\n"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    pages = [plan_page.page(prod(), today=TODAY, verbose=True), problem_blocks.blocks(FAILURE)]
    assert all(len(line) <= width for page in pages for line in text(page, width).splitlines())


def test_the_closing_table_fits_80_columns() -> None:
    assert max(map(len, text(summary.table([local(), prod()], console(80)), 80).splitlines())) <= 80


def test_a_total_from_which_machines_are_missing_is_marked_everywhere() -> None:
    analysis = prod()
    missing = Unpriced(resource="gpu", type="aws:x/y:Z", reason="no price", machines=True)
    analysis = replace(analysis, estimate=replace(analysis.estimate, unpriced=(missing,)))
    assert "$957+?" in text(summary.table([analysis], console(120)), 120)
    comparison = text(cost_tables.comparison([analysis], today=TODAY))
    assert "$957.46+?" in comparison
    assert "+? marks a total from which machines without a price are missing." in comparison
    page = text(plan_page.page(analysis, today=TODAY, verbose=False), 150)
    assert "$1,903.35 at full capacity; machines without a price are missing from it" in page


def test_without_a_terminal_there_is_no_colour() -> None:
    assert "\x1b" not in text(plan_page.page(prod(), today=TODAY, verbose=True))


def test_no_color_is_respected_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = console(force_terminal=True)
    screen.print(MemoryBar(prod().plan.models[0].memory.host))
    screen.file.seek(0)
    assert "\x1b[3" not in screen.file.read()


def test_without_unicode_the_bar_is_made_of_letters() -> None:
    screen = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), width=60)
    screen.print(bar(prod().plan.models[0].memory.disk, 12, screen))
    screen.file.seek(0)
    assert screen.file.read() == "########%%..\n"


terms = st.lists(st.just(0.0) | st.floats(min_value=0.001, max_value=500), min_size=1, max_size=8)


@given(terms, st.floats(min_value=0.1, max_value=500), st.integers(min_value=10, max_value=60))
def test_a_bar_is_always_as_wide_as_asked_and_shows_every_term(gib: list[float], available: float, width: int) -> None:
    """A term of a few MiB is one cell, not nothing; what does not fit fills the bar and no more."""
    budget = Budget(
        available_gib=available,
        available_how="",
        terms=tuple(MemoryTerm(name=str(index), gib=size, how="") for index, size in enumerate(gib)),
    )
    drawn = bar(budget, width, console()).plain
    assert len(drawn) == width
    assert len(set(drawn) - {"·"}) == sum(size > 0 for size in gib)
