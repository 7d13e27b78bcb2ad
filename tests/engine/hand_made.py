"""Stacks made by hand instead of read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stack:
    """A stack as `read_stack` gives it, as far as a plan needs it."""

    name: str = "test"
    config: Mapping[str, Any] = field(default_factory=lambda: {"aws:region": "us-east-1"})
