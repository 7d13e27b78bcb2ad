"""Labels on nodes that more than one room reads: components write them, costs and checks find them in the graph."""

from enum import StrEnum

POOL = "slipway/pool"
RUNG = "slipway/rung"


class Rung(StrEnum):
    """A step of the capacity ladder: the base always runs, spot is next, on-demand steps in where spot is short."""

    BASE = "base"
    SPOT = "spot"
    FALLBACK = "fallback"
