"""The two consoles. Colour only on a terminal and without NO_COLOR; elsewhere a fixed width, so that logs compare."""

import os

from rich.console import Console, RenderableType

WIDTH_WITHOUT_TERMINAL = 120


def output() -> Console:
    """Standard output, for results."""
    return _console(stderr=False)


def errors() -> Console:
    """Standard error, for progress and problems."""
    return _console(stderr=True)


def write(console: Console, *parts: RenderableType) -> None:
    """Print parts below each other; in files without the spaces that fill a terminal's lines."""
    if console.is_terminal:
        console.print(*parts, sep="\n")
        return
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console
