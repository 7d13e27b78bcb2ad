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
from slipway.engine.standins.faults import Fault
from slipway.problems import Problem, SlipwayError, StackError

DEBUG: Final = "SLIPWAY_DEBUG"
"""Set to 1 to see the traceback of a program's unexpected exception."""

_READABLE: Final = 16
_INLINE: Final = "python inline source runtime error: "
_UNHANDLED: Final = "an unhandled error occurred: "
_PRINTED: Final = re.compile(r"^\s*(?:stdout: |stderr: )?(?:error: )?(.*)$")
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
    return Problem(
        key=f"{found.name}.{fault.path}" if fault.path else found.name,
        message=f"{fault.message} ({found.type})",
        given=fault.given,
        allowed=_shown(fault),
        nearest=fault.nearest,
    )


def _shown(fault: Fault) -> tuple[str, ...]:
    """What is allowed, if that can be read: EC2 has 1,400 instance types, and the nearest one says more."""
    if len(fault.allowed) <= _READABLE:
        return fault.allowed
    return () if fault.nearest is not None else (*fault.allowed[:_READABLE], f"{len(fault.allowed)} in all")


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


def from_refusals(failure: BaseException | None, refused: Iterable[str], folder: Path) -> SlipwayError:
    """What the providers were asked and cannot do offline, and where the program asked it."""
    place = place_of(failure, folder) if failure is not None else None
    head = f"{place}: " if place else ""
    return SlipwayError("\n".join(f"{head}{text}" for text in dict.fromkeys(refused)))


def from_diagnostics(stack: str, diagnostics: Iterable[DiagnosticEvent], output: str) -> SlipwayError:
    """What the engine and the providers reported; `output` is the last resort, what the engine printed."""
    lines: dict[str, None] = {}
    for diagnostic in diagnostics:
        if diagnostic.severity == "error":
            text = _readable(diagnostic.message)
            if text and not text.startswith(_NOISE):
                lines.setdefault(f"{_subject(diagnostic.urn)}{text}")
    texts = _without_repeats(list(lines)) or _printed(output)
    return SlipwayError("\n".join([f"The engine could not plan {stack}:", *(f"  {text}" for text in texts)]))


def _printed(output: str) -> list[str]:
    """What the engine printed before it had any event to send, such as about the configuration."""
    found = [match[1] for line in output.splitlines() if (match := _PRINTED.match(line)) and match[1]]
    return [line for line in found if not line.startswith("code:")]


def _subject(urn: str | None) -> str:
    if not urn or type_of(urn) == "pulumi:pulumi:Stack":
        return ""
    return f"{name_of(urn)} ({type_of(urn)}): "


def _readable(message: str) -> str:
    """The message without the SDK's and the engine's own additions."""
    text = message.strip().removeprefix(_UNHANDLED)
    if os.environ.get(DEBUG) == "1":
        return text
    return text.removeprefix(_INLINE).partition("\nTraceback (most recent call last):")[0].strip()


def _without_repeats(texts: list[str]) -> list[str]:
    """Without the lines that are contained in another one."""
    return [text for text in texts if not any(text != other and text in other for other in texts)]
