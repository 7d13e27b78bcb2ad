"""What a user did wrong, said once and completely: the one error type that reaches the terminal."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a stack.

    `key` is the full path a user can search for in the file, such as ``slipway:capacity.onDemandBase``.
    `given` is the value as it stands in the file, never a secret. `allowed` is empty where any value of a kind is
    allowed and `message` says which. `nearest` is the closest correct name. `hint` is the next step.
    """

    key: str
    message: str
    given: str | None = None
    allowed: tuple[str, ...] = ()
    nearest: str | None = None
    hint: str | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """The whole mistake in one line, for where there is no room to lay it out."""
        details = {
            "given": self.given,
            "nearest": self.nearest,
            "allowed": ", ".join(self.allowed),
            "hint": self.hint,
        }
        return "; ".join(
            [f"{self.key}: {self.message}", *(f"{word}: {text}" for word, text in details.items() if text)]
        )


class SlipwayError(Exception):
    """An error whose text is meant for the user: printed without a traceback, exit code 1."""


class StackError(SlipwayError):
    """Every mistake found in one stack, in the order of the file."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.stack = stack
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{problem.key}: {problem.message}" for problem in self.problems))
