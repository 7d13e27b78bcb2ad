"""A finding: something a reviewer should know about a stack that does plan."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; ERROR makes the command exit with 1."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`id` is stable and can be suppressed; `subject` is a resource's name or a model's."""

    id: str
    severity: Severity
    subject: str
    message: str
    fix: str
