"""Alerts and recording rules as data, and the form Prometheus reads them in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

RUNBOOKS = "docs/monitoring.md"
_MINUTE, _HOUR = 60, 3600


class Severity(StrEnum):
    """`critical` wakes somebody up: requests fail. `warning` is for working hours: they soon may."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. It fires once `expression` has held for `for_seconds`.

    `summary` and `description` are templates over the labels of what is found and its value. `labels` are added to
    those, where what is found has none: what is absent cannot say what it is.
    """

    name: str
    severity: Severity
    expression: str
    for_seconds: int
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A series computed ahead, for dashboards and for autoscaling. `name` is level:metric:operation."""

    name: str
    expression: str


Rule = Alert | Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, one after the other."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The alerts among the rules."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))


def rule_file(groups: Iterable[Group]) -> dict[str, Any]:
    """The content of a rule file, which is also the ``spec`` of a PrometheusRule."""
    return {"groups": [{"name": group.name, "rules": [_rule(rule) for rule in group.rules]} for group in groups]}


def runbook(alert: str) -> str:
    """Where the documentation says what an alert means and what to do."""
    return f"{RUNBOOKS}#{alert.lower()}"


def duration(seconds: int) -> str:
    """Seconds as Prometheus writes them, in the largest unit without a remainder."""
    for unit, size in (("h", _HOUR), ("m", _MINUTE)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _rule(rule: Rule) -> dict[str, Any]:
    if isinstance(rule, Record):
        return {"record": rule.name, "expr": rule.expression}
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": duration(rule.for_seconds),
        "labels": {"severity": rule.severity.value, **rule.labels},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": runbook(rule.name),
        },
    }
