"""Runs the user's program on the real Pulumi engine, offline, and gives the graph of planned resources.

Names load on first use: the SDK and gRPC cost 0.15 s that reading a graph need not pay.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from slipway.engine.graph import SECRET, UNKNOWN, Graph, Resource

if TYPE_CHECKING:
    from slipway.engine.binary import Engine, obtain
    from slipway.engine.runner import preview, previews
    from slipway.engine.session import Offline

__all__ = ["SECRET", "UNKNOWN", "Engine", "Graph", "Offline", "Resource", "obtain", "preview", "previews"]

_HOMES = {"Engine": "binary", "Offline": "session", "obtain": "binary", "preview": "runner", "previews": "runner"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
