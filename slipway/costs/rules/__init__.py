"""The pricing rules; importing this package registers them."""

from slipway.costs.rules import compute, disks, karpenter, kubernetes, managed, network

__all__ = ["compute", "disks", "karpenter", "kubernetes", "managed", "network"]
