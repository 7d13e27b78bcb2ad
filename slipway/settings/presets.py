"""Size presets: a whole tier in one word, after the guide's resource tiers. What the user wrote always wins.

The guide's tiers name a GPU, host memory and a context length; concurrency is ours: what such a tier is for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from slipway.settings.models import Preset, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a preset fills in. `why` says which machine the guide asks for and how this one answers."""

    instance_types: tuple[str, ...]
    context_length: int
    concurrency: int
    why: str


TIERS: Mapping[Preset, Tier] = {
    Preset.SMALL: Tier(
        instance_types=("g4dn.xlarge",),
        context_length=2048,
        concurrency=4,
        why="Testing. The guide: one T4, 16 GB of memory; g4dn.xlarge is exactly that. A few people at a time.",
    ),
    Preset.BALANCED: Tier(
        instance_types=("g5.2xlarge",),
        context_length=4096,
        concurrency=16,
        why="Production for a team. The guide: one A10G, 32 GB of memory; g5.xlarge has only 16, so g5.2xlarge.",
    ),
    Preset.LARGE: Tier(
        instance_types=("g7e.12xlarge",),
        context_length=8192,
        concurrency=32,
        why=(
            "Throughput. The guide: two A100 of 80 GB. AWS sells A100s only by eight; of all types with as much GPU "
            "memory, g7e.12xlarge (two RTX PRO 6000 of 96 GB) costs least per hour on demand."
        ),
    ),
}


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with what its preset adds. Unknown presets and malformed parts are left for validation to refuse."""
    result = dict(data)
    preset = result.get("preset")
    tier = TIERS.get(Preset(preset)) if preset in [member.value for member in Preset] else None
    if tier is None:
        return result
    if result.get("target") != Target.LOCAL.value:
        result.setdefault("instanceTypes", list(tier.instance_types))
    demand = result.get("demand", {})
    if isinstance(demand, Mapping):
        defaults = {"contextLength": tier.context_length, "concurrency": tier.concurrency}
        result["demand"] = defaults | dict(cast("Mapping[str, Any]", demand))
    return result
