"""What a check is, and the list of all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slipway.engine.graph import Graph
from slipway.findings import Finding, Severity

Examine = Callable[[Graph], Iterator[tuple[str, str]]]
"""Gives a subject (a resource's name) and a message for everything that is wrong in a graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. `explanation` says what can happen, `fix` what to do; both are kept for ``slipway explain``."""

    id: str
    severity: Severity
    title: str
    explanation: str
    fix: str
    examine: Examine

    def findings(self, graph: Graph) -> Iterator[Finding]:
        """What is wrong in a graph, each thing once."""
        for subject, message in dict.fromkeys(self.examine(graph)):
            yield Finding(id=self.id, severity=self.severity, subject=subject, message=message, fix=self.fix)


CHECKS: dict[str, Check] = {}
"""Every check by its id. An id is never given to another rule."""


def check(identity: str, severity: Severity, *, title: str, explanation: str, fix: str) -> Callable[[Examine], Examine]:
    """Registers a rule under a stable id."""

    def register(examine: Examine) -> Examine:
        if identity in CHECKS:
            raise ValueError(f"two checks are called {identity}")
        CHECKS[identity] = Check(
            id=identity, severity=severity, title=title, explanation=explanation, fix=fix, examine=examine
        )
        return examine

    return register
