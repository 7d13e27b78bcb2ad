"""The two consoles. Colour only on a terminal and without NO_COLOR; elsewhere a fixed width, so that logs compare."""

import os

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 110


def output() -> Console:
    """Standard output, for results."""
    return _console(stderr=False)


def errors() -> Console:
    """Standard error, for progress and problems."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console
