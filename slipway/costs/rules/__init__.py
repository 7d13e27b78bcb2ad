"""The pricing rules; importing this package registers them."""

from slipway.costs.rules import compute, disks, kubernetes, managed, network

__all__ = ["compute", "disks", "kubernetes", "managed", "network"]
