"""Progress on standard error while stacks are planned: a live table on a terminal, plain lines elsewhere."""

import contextlib
import re
import threading
import time
from collections.abc import Generator, Sequence

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from slipway.pipeline import Phase, Watch
from slipway.reports.consoles import errors

_MARKS = {Phase.DONE: ("✓", "green"), Phase.FAILED: ("✗", "red")}


@contextlib.contextmanager
def shown(references: Sequence[str], *, quiet: bool) -> Generator[Watch, None, None]:
    """A watcher for the pipeline. `quiet` says nothing at all unless standard error is a terminal."""
    console = errors()
    board = _Board(references)
    if console.is_terminal:
        with Live(board, console=console, refresh_per_second=10, transient=True):
            yield board.watch
    elif quiet:
        yield lambda _reference, _phase, _words: None
    else:
        yield _Lines(console).watch


class _Board:
    """One row per stack: what it is doing and for how long. Drawn anew ten times a second."""

    def __init__(self, references: Sequence[str]) -> None:
        now = time.monotonic()
        self._rows: dict[str, tuple[Phase | None, str]] = dict.fromkeys(references, (None, ""))
        self._started = now
        self._ended: dict[str, float] = {}
        self._spinner = Spinner("dots", style="cyan")

    def watch(self, reference: str, phase: Phase, words: str) -> None:
        """Called by the pipeline, from any thread."""
        self._rows[reference] = (phase, words)
        if phase in _MARKS:
            self._ended[reference] = time.monotonic()

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        for reference, (phase, words) in self._rows.items():
            mark = Text(" ") if phase is None else Text(*_MARKS[phase]) if phase in _MARKS else self._spinner
            seconds = self._ended.get(reference, time.monotonic()) - self._started
            said = words.removeprefix(f"{reference}: ") or (phase.value if phase else "waiting")
            doing = Text(said, style="dim", no_wrap=True, overflow="ellipsis")
            table.add_row(mark, Text(reference, style="bold"), Text(f"{seconds:.1f} s", style="dim"), doing)
        return table


_COUNTED = re.compile(r"\bplanning\b")
# Over in milliseconds: not worth a line of a log.
_QUICK = frozenset({Phase.READING, Phase.FITTING, Phase.PRICING})


class _Lines:
    """A line for each phase of each stack that takes time, and for the engine's own words; none twice."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._last: dict[str, str] = {}
        self._guard = threading.Lock()

    def watch(self, reference: str, phase: Phase, words: str) -> None:
        """Called by the pipeline, from any thread."""
        # The count of resources changes many times a second: a log needs one line for it.
        doing = phase.value if not words or _COUNTED.search(words) else words
        with self._guard:
            if phase in _QUICK or self._last.get(reference) == doing:
                return
            self._last[reference] = doing
            seconds = time.monotonic() - self._started
            line = f"{reference}: {doing}, {seconds:.1f} s"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
