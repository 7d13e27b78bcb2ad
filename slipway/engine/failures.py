"""A failed operation, said to the user: which resource, which property, what is wrong - never an engine's innards."""

import os
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pulumi import RunError
from pulumi.automation.events import DiagnosticEvent

from slipway.engine.program import place_of
from slipway.engine.standins.base import ResourceFault, name_of, type_of
from slipway.engine.standins.faults import shortened
from slipway.problems import Problem, SlipwayError, StackError

DEBUG: Final = "SLIPWAY_DEBUG"
"""Set to 1 to see the traceback of a program's unexpected exception."""

_INLINE: Final = "python inline source runtime error: "
_FRAME: Final = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
# What the engine adds to every failed operation, and what only repeats another line.
_NOISE: Final = (
    "update failed",
    "preview failed",
    "resource monitor shut down",
    "error: Running program",
    "resource registration failed",
)


def from_faults(stack: str, faults: Iterable[ResourceFault]) -> StackError:
    """Every mistake the providers found, each with its resource and property."""
    return StackError(stack, [_problem(found) for found in faults])


def _problem(found: ResourceFault) -> Problem:
    fault = found.fault
    details = f"{fault.message} ({found.type})"
    if fault.given is not None:
        details += f"; given: {fault.given}"
    if fault.nearest is not None:
        details += f"; nearest: {fault.nearest}"
    elif fault.allowed:
        details += f"; allowed: {shortened(fault.allowed)}"
    return Problem(
        key=f"{found.name}.{fault.path}" if fault.path else found.name,
        message=details,
        given=fault.given,
        allowed=fault.allowed,
        nearest=fault.nearest,
    )


def from_program(error: BaseException, folder: Path) -> BaseException:
    """What a program raised: a message meant for the user stays as it is, anything else gets its place."""
    if isinstance(error, SlipwayError | KeyboardInterrupt):
        return error
    if isinstance(error, RunError):
        return SlipwayError(str(error))
    if os.environ.get(DEBUG) == "1":
        return SlipwayError("".join(traceback.format_exception(error)))
    place = place_of(error, folder)
    kind = type(error).__name__
    message = f"{place or folder}: {kind}: {error}"
    return SlipwayError(f"{message}\nSet {DEBUG}=1 to see the traceback.")


def from_diagnostics(stack: str, diagnostics: Iterable[DiagnosticEvent], output: str, folder: Path) -> SlipwayError:
    """What the engine and the providers reported; `output` is the last resort, what the engine printed."""
    lines: dict[str, None] = {}
    for diagnostic in diagnostics:
        if diagnostic.severity == "error":
            text = _readable(diagnostic.message, folder)
            if text and not text.startswith(_NOISE):
                lines.setdefault(f"{_subject(diagnostic.urn)}{text}")
    texts = _without_repeats(list(lines)) or [line for line in output.splitlines() if "error" in line.lower()][:5]
    return SlipwayError("\n".join([f"The engine could not plan {stack}:", *(f"  {text}" for text in texts)]))


def _subject(urn: str | None) -> str:
    if not urn or type_of(urn) == "pulumi:pulumi:Stack":
        return ""
    return f"{name_of(urn)} ({type_of(urn)}): "


def _readable(message: str, folder: Path) -> str:
    """The message without a traceback; an exception inside an `apply` gets its place in the program."""
    text = message.strip()
    if not text.startswith(_INLINE) or os.environ.get(DEBUG) == "1":
        return text
    head, _, trace = text.removeprefix(_INLINE).partition("\nTraceback (most recent call last):")
    root = str(folder.resolve()) + os.sep
    places = [
        f"{Path(found['file']).resolve().relative_to(folder.resolve())}:{found['line']}"
        for found in _FRAME.finditer(trace)
        if str(Path(found["file"]).resolve()).startswith(root) and "site-packages" not in found["file"]
    ]
    return f"{places[-1]}: {head.strip()}" if places else head.strip()


def _without_repeats(texts: list[str]) -> list[str]:
    """Without the lines that are contained in another one."""
    return [text for text in texts if not any(text != other and text in other for other in texts)]
