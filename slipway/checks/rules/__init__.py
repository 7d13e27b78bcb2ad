"""The rules; importing this package registers them."""

from slipway.checks.rules import containers, exposure, machines, scheduling, secrets_in_clear, storage, zones

__all__ = ["containers", "exposure", "machines", "scheduling", "secrets_in_clear", "storage", "zones"]
