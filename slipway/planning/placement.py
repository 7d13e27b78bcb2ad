"""Machines, replicas, zones: how many of what, and where."""

import math
from collections import Counter
from dataclasses import dataclass

from slipway import catalog
from slipway.catalog.types import Attention, InstanceType, Market, Platform
from slipway.planning.packing import machines_needed
from slipway.planning.types import Capacity
from slipway.problems import Problem
from slipway.settings.models import Autoscaler, Settings, Target

INSTANCE_TYPES_KEY = "slipway:instanceTypes"


def capacity(settings: Settings) -> Capacity:
    """Machines at least and at most; the local target and the instance target are one machine."""
    asked = settings.capacity
    if settings.target is not Target.CLUSTER:
        market = Market.ON_DEMAND if settings.target is Target.LOCAL else asked.market
        return Capacity(market=market, on_demand_base=0, minimum=1, maximum=1)
    base = asked.on_demand_base if asked.market is Market.SPOT else 0
    minimum = max(asked.min, base)
    maximum = max(minimum, asked.max or minimum)
    return Capacity(
        market=asked.market,
        on_demand_base=base,
        minimum=minimum,
        maximum=maximum,
        autoscaler=asked.autoscaler or _default_autoscaler(settings, grows=maximum > minimum),
        reservation=asked.reservation_id,
    )


def _default_autoscaler(settings: Settings, *, grows: bool) -> Autoscaler:
    """Cluster Autoscaler where there is something to add. GPUStack's pods never wait for room, so none there."""
    if not grows or settings.platform is Platform.GPUSTACK:
        return Autoscaler.NONE
    return Autoscaler.CLUSTER_AUTOSCALER


def region_problems(settings: Settings, types: tuple[InstanceType, ...]) -> list[Problem]:
    """The region must offer every type; that they carry the same GPU is for the settings to check."""
    if settings.region is None:
        return []
    return [problem for found in types if (problem := _offer_problem(found.name, settings.region))]


def _offer_problem(name: str, region: str) -> Problem | None:
    if catalog.zones_offering(name, region):
        return None
    elsewhere = tuple(other for other in catalog.regions() if catalog.zones_offering(name, other))
    return Problem(
        key=INSTANCE_TYPES_KEY,
        message=f"{name} is not offered in {region}",
        given=name,
        hint=f"offered in {', '.join(elsewhere)}" if elsewhere else "no region of the catalogue offers it",
    )


def zones(settings: Settings, types: tuple[InstanceType, ...]) -> tuple[str, ...]:
    """Zones for the machines: all offer the preferred type, those with most of the other types come first."""
    if settings.region is None or not types:
        return ()
    offering = {found.name: catalog.zones_offering(found.name, settings.region) for found in types}

    def missing(zone: str) -> int:
        return sum(zone not in zones_of_type for zones_of_type in offering.values())

    best = sorted(offering[types[0].name], key=missing)
    reserved = settings.capacity.reservation_zone
    if reserved in best:
        best.remove(reserved)
        best.insert(0, reserved)
    return tuple(sorted(best[: settings.network.zones]))


def tensor_parallel_sizes(attention: Attention, gpu_count: int) -> tuple[int, ...]:
    """Sizes vLLM accepts: they divide the heads, and KV heads divide evenly or are copied evenly."""
    return tuple(
        size
        for size in range(1, gpu_count + 1)
        if attention.heads % size == 0 and (attention.kv_heads % size == 0 or size % attention.kv_heads == 0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Replicas of one model, and how many of its replicas one machine holds."""

    minimum: int
    maximum: int
    per_machine: float


def place(sizes: tuple[int, ...], gpu_count: int, machines: Capacity) -> tuple[Placement, ...] | int:
    """Replicas of each model, given the GPUs one replica of each takes; or the machines needed when there are too few.

    Where one machine holds one replica of every model, every machine gets the same set, as often as it fits. Where it
    does not, the models are spread over a group of machines, and groups repeat.
    """
    together = sum(sizes)
    if together <= gpu_count:
        sets = gpu_count // together
        each = Placement(minimum=sets * machines.minimum, maximum=sets * machines.maximum, per_machine=sets)
        return (each,) * len(sizes)
    group = machines_needed(Counter(sizes), gpu_count)
    if group > machines.minimum:
        return group
    each = Placement(minimum=machines.minimum // group, maximum=machines.maximum // group, per_machine=1)
    return (each,) * len(sizes)


def per_replica(requests: int, replicas: int) -> int:
    """Requests in flight one replica must hold when all replicas share the load."""
    return math.ceil(requests / replicas)
