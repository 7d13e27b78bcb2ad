"""The README's pictures: what `slipway plan` prints, as SVG. Renewed by `make pictures`."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType

from slipway import pipeline
from slipway.reports import plan_page, summary

FOLDER = Path("docs/images")
_STACKS = ("local", "dev", "staging", "prod", "fleet")
_WIDTH = 116
# A README must show without asking another server for a font.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def svg(command: str, parts: Sequence[RenderableType], console: Console) -> str:
    """What a terminal shows after `command`, as an SVG document without outside references."""
    console.print(f"[bold green]$[/] {command}\n")
    console.print(*parts, sep="\n")
    return console.export_svg(title="slipway", code_format=_FORMAT)


def draw(project: Path) -> dict[str, str]:
    """SVG documents by file name: all shipped stacks in one table, and the page of `prod`."""
    outcomes = pipeline.analyse_all(_STACKS, project, jobs=2, watch=_unwatched)
    prod = next(one for one in outcomes if isinstance(one, pipeline.Analysis) and one.name == "prod")
    page = plan_page.page(prod, today=datetime.now(UTC).date(), verbose=False)
    console = _console()
    pictures = {"stacks.svg": svg("make preview", [summary.table(outcomes, console)], console)}
    console = _console()
    return pictures | {"prod.svg": svg("slipway plan prod", [page], console)}


def _unwatched(_stack: str, _phase: pipeline.Phase, _line: str) -> None:
    """Pictures are drawn in silence."""


def _console() -> Console:
    return Console(record=True, width=_WIDTH, file=sys.stderr, force_terminal=True, color_system="truecolor")


if __name__ == "__main__":
    for name, document in draw(Path.cwd()).items():
        (FOLDER / name).write_text(document, encoding="utf-8")
