"""Rules between keys, and rules that need the catalogue. No sizes: whether a model fits is planning's to say.

Each rule names the keys it reads; where one of them is already broken, the rule has nothing reliable to say and is
skipped. Paths are without ``slipway:``, which parsing adds.
"""

from collections.abc import Iterator

from slipway.settings.mistakes import Mistake, Path
from slipway.settings.rules import capacity, gateway, machines, monitoring, network, served, storage, tagging
from slipway.settings.rules.machines import REGION_KEY
from slipway.settings.rules.stack import Rule, Stack

__all__ = ["REGION_KEY", "RULES", "Stack", "check"]

RULES: tuple[tuple[Rule, tuple[Path, ...]], ...] = (
    (machines.platform_on_target, (("platform",), ("target",))),
    (machines.region_needed, (("target",), (REGION_KEY,))),
    (machines.region_known, ((REGION_KEY,),)),
    (machines.machine_needed, (("target",), ("instanceTypes",), ("preset",))),
    (machines.instance_types_known, ()),
    (machines.same_gpu, ()),
    (served.one_of_model_and_models, (("model",), ("models",))),
    (served.models_known, ()),
    (served.facts, ()),
    (served.hugging_face_ids, (("platform",),)),
    (served.revisions, ()),
    (served.adapters, (("platform",),)),
    (machines.capacity_order, (("capacity",),)),
    (machines.base_needs_spot, (("capacity",),)),
    (machines.capacity_of_target, (("target",), ("capacity",))),
    (capacity.autoscaler_of_target, (("target",), ("capacity",))),
    (capacity.autoscaler_of_platform, (("platform",), ("target",), ("capacity",))),
    (capacity.karpenter_has_room, (("target",), ("capacity",))),
    (capacity.reservation, (("target",), ("capacity",))),
    (capacity.reservation_zone, (("target",), ("capacity",), ("instanceTypes",), (REGION_KEY,), ("network",))),
    (machines.sections_of_target, (("target",),)),
    (storage.cache_of_target, (("target",), ("storage", "cache"))),
    (storage.cache_of_platform, (("platform",), ("target",), ("storage", "cache"))),
    (network.adopted_network, (("network", "vpcId"), ("network", "privateSubnetIds"))),
    (network.address_range, (("network", "cidr"),)),
    (network.api_access, ()),
    (monitoring.keys_of_place, (("target",), ("monitoring", "prometheus"))),
    (monitoring.labels, ()),
    (gateway.gateway_of_platform, (("platform",), ("target",))),
    (gateway.balancer_settings, (("gateway", "exposure"),)),
    (gateway.public_exposure, (("gateway",),)),
    (gateway.named_certificate, (("gateway", "certificateArn"), ("gateway", "host"))),
    (gateway.client_ranges, ()),
    (tagging.tags, ()),
)


def check(stack: Stack, broken: frozenset[Path]) -> Iterator[Mistake]:
    """What the rules say, where the keys they read are sound."""
    for rule, reads in RULES:
        if not any(_related(path, hurt) for path in reads for hurt in broken):
            yield from (mistake for mistake in rule(stack) if not _inside(mistake.path, broken))


def _related(path: Path, other: Path) -> bool:
    length = min(len(path), len(other))
    return path[:length] == other[:length]


def _inside(path: Path, broken: frozenset[Path]) -> bool:
    return any(path[: len(hurt)] == hurt for hurt in broken)
