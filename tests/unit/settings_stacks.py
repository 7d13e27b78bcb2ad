"""Stack files for the tests of the settings, and what the real engine makes of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway.problems import Problem, StackError
from slipway.settings import Settings, from_config, read_stack

PROJECT = Path(__file__).parents[2]
SHIPPED = tuple(sorted(PROJECT.glob("Pulumi.*.yaml")))
EXAMPLES = tuple(sorted((PROJECT / "examples").glob("*.yaml")))

GOOD = """
aws:region: us-east-1
slipway:platform: vllm
slipway:instanceTypes: g6.xlarge
slipway:model: llama-3.1-8b-instruct
"""


def written(folder: Path, body: str, stack: str = "test") -> Path:
    """A stack file whose ``config:`` block is `body`."""
    path = folder / f"Pulumi.{stack}.yaml"
    indented = "".join(f"  {line}\n" if line else "\n" for line in body.strip("\n").splitlines())
    path.write_text(f"config:\n{indented}", encoding="utf-8")
    return path


def refused(folder: Path, body: str) -> tuple[Problem, ...]:
    """The problems of a stack file; it is a failure of the test when there are none."""
    return refused_file(written(folder, body))


def refused_file(path: Path) -> tuple[Problem, ...]:
    try:
        read_stack(str(path), path.parent)
    except StackError as error:
        return error.problems
    raise AssertionError("this stack was accepted")


def accepted(config: Mapping[str, Any], stack: str = "test") -> Settings:
    return from_config(stack, config)


def everything(problems: tuple[Problem, ...]) -> str:
    """All text of the problems, to search for what must not be there."""
    return "\n".join(repr(problem) for problem in problems) + str(StackError("test", problems))


def as_the_engine_passes(config: Mapping[str, Any]) -> dict[str, str]:
    """The strings Pulumi's engine hands to a program: seen with engine 3.259.0 (tests/engine checks it again)."""
    return {key if ":" in key else f"slipway:{key}": _string(value) for key, value in config.items()}


def _string(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(_whole(value), separators=(",", ":"), sort_keys=True)
    return str(_whole(value))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
