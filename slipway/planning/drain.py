"""How a server stops: until nobody sends, until its requests are answered, a margin. Seconds that add up.

The kill comes after the sum of the three, and on spot the sum ends before AWS takes the machine.
"""

from slipway.catalog.types import Market

SPOT_NOTICE_SECONDS = 120
"""From AWS's notice to the machine's end."""

# From the notice until the node's pods are told to stop: the event's way, cordoning, eviction. A reserve.
REACTION_SECONDS = 5

PRE_STOP_SECONDS = 10
"""Endpoints and gateways need a moment to hear that a pod is leaving; until then requests still come."""

STOP_MARGIN_SECONDS = 15
"""Between the end of draining and the kill: closing files, leaving the GPU."""

# Nothing takes an on-demand machine away: an answer of 4096 tokens at 15 tokens a second is done in 273 s, and a drain
# of several pods stays within the 15 minutes that EKS gives a node.
ON_DEMAND_DRAIN_SECONDS = 300


def drain_seconds(market: Market) -> int:
    """How long running requests get on SIGTERM. On a market of both kinds of machines, as long as the shorter-lived."""
    if market is Market.SPOT:
        return SPOT_NOTICE_SECONDS - REACTION_SECONDS - PRE_STOP_SECONDS - STOP_MARGIN_SECONDS
    return ON_DEMAND_DRAIN_SECONDS


def grace_period_seconds(drain: int) -> int:
    """From the order to stop to the kill, for a server that drains for `drain` seconds."""
    return PRE_STOP_SECONDS + drain + STOP_MARGIN_SECONDS
