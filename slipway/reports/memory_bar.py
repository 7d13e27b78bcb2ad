"""The memory bar: what each term takes of a GPU, of the host and of the disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from slipway.planning.types import Budget
from slipway.reports.wording import NBSP, gib

_COLOURS = ("blue", "cyan", "magenta", "yellow", "green", "bright_blue", "bright_magenta", "bright_cyan")
_SOLID = "█"
# Without colour the terms differ by their fill; without Unicode by a letter of their own.
_FILLS = "█▓▒▚▞▤▥▦"
_LETTERS = "#%*+=ox~"
_FREE, _FREE_ASCII = "·", "."
_WIDEST = 48


@dataclass(frozen=True, slots=True)
class _Style:
    fill: str
    colour: str


@dataclass(frozen=True, slots=True)
class MemoryBar:
    """A budget as one bar with its figures, and a legend of its terms below unless `legend` is False."""

    budget: Budget
    legend: bool = True
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        styles = _styles(len(self.budget.terms), console)
        figures = self._figures()
        width = max(10, min(_WIDEST, options.max_width - figures.cell_len - 2))
        yield Text.assemble(bar(self.budget, width, console), "  ", figures)
        if self.legend:
            yield self._legend(styles)

    def _figures(self) -> Text:
        budget = self.budget
        left = f"{gib(budget.free_gib)} free" if budget.fits else f"{gib(-budget.free_gib)} too much"
        text = Text(f"{gib(budget.used_gib)} of {gib(budget.available_gib)} GiB", no_wrap=True)
        return text.append(", ").append(left, style="green" if budget.fits else "bold red")

    def _legend(self, styles: Sequence[_Style]) -> Text:
        parts = [
            Text.assemble((style.fill, style.colour), f" {term.name} {gib(term.gib)}".replace(" ", NBSP))
            for term, style in zip(self.budget.terms, styles, strict=True)
        ]
        if self.note:
            parts.append(Text(self.note.replace(" ", NBSP), style="dim"))
        return Text("   ").join(parts)


def bar(budget: Budget, width: int, console: Console) -> Text:
    """The bar alone, `width` cells wide: one segment per term, then what is free."""
    whole = max(budget.available_gib, budget.used_gib)
    cells = _cells([term.gib for term in budget.terms], whole, width)
    text = Text(no_wrap=True)
    for number, style in zip(cells, _styles(len(cells), console), strict=True):
        text.append(style.fill * number, style=style.colour)
    free = _FREE if _unicode(console) else _FREE_ASCII
    return text.append(free * (width - sum(cells)), style="dim")


def _cells(amounts: Sequence[float], whole: float, width: int) -> list[int]:
    """Whole cells for each amount: at least one for anything there is, and the sum never above the width."""
    if whole <= 0:
        return [0] * len(amounts)
    exact = [amount / whole * width for amount in amounts]
    cells = [max(round(part), 1) if part > 0 else 0 for part in exact]
    target = max(round(sum(exact)), sum(cell > 0 for cell in cells))
    while sum(cells) > target:
        longest = max(range(len(cells)), key=lambda index: cells[index] - exact[index] if cells[index] > 1 else -width)
        cells[longest] -= 1
    while sum(cells) < target:
        shortest = max(range(len(cells)), key=lambda index: exact[index] - cells[index])
        cells[shortest] += 1
    return cells


def _styles(number: int, console: Console) -> list[_Style]:
    colour = bool(console.color_system) and not console.no_color
    fills = (_SOLID if colour else _FILLS) if _unicode(console) else _LETTERS
    return [_Style(fills[index % len(fills)], _COLOURS[index % len(_COLOURS)]) for index in range(number)]


def _unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
