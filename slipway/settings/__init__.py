"""The stack's configuration, read once, checked completely.

Names load on first use: pydantic costs 50 ms that ``slipway --help`` need not pay, and pulumi belongs to a running
program only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipway.settings.models import Settings
    from slipway.settings.parsing import from_config
    from slipway.settings.runtime import from_pulumi, secret
    from slipway.settings.schema import editor_schema
    from slipway.settings.stack_file import StackFile, read_stack, stack_names

__all__ = [
    "Settings",
    "StackFile",
    "editor_schema",
    "from_config",
    "from_pulumi",
    "read_stack",
    "secret",
    "stack_names",
]

_HOMES = {
    "Settings": "models",
    "StackFile": "stack_file",
    "editor_schema": "schema",
    "from_config": "parsing",
    "from_pulumi": "runtime",
    "read_stack": "stack_file",
    "secret": "runtime",
    "stack_names": "stack_file",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
