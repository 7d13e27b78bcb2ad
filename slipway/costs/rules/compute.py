"""Machines: single instances, Auto Scaling groups with any mix of markets, and EKS node groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slipway import labels
from slipway.catalog.types import Service
from slipway.costs.pricing import ONE, Category, Count, Pricing, rule
from slipway.costs.rates import MachineRate
from slipway.costs.rules.disks import block_devices, root_device
from slipway.costs.types import LineItem, Money, Unpriced
from slipway.engine.graph import UNKNOWN, Resource
from slipway.engine.reading import at, leaving, mapping, related, sequence, text, truth, whole
from slipway.labels import Rung

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
# Terraform's and AWS's default where a mixed instances policy names no percentage.
_ALL_ON_DEMAND = 100


@dataclass(frozen=True, slots=True)
class Fleet:
    """`count` machines of one market, of any of these types, preferred first."""

    types: tuple[str, ...]
    count: Count
    spot: bool
    fallback: bool = False
    """Whether on-demand machines stand in for these where spot is short."""

    @property
    def category(self) -> Category:
        """The row of a comparison it stands in."""
        return Category.SPOT if self.spot else Category.ON_DEMAND


@rule("aws:ec2/instance:Instance")
def instance(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """One EC2 instance with its own disks and public address."""
    template = _template(resource, pricing, "launchTemplate", at(resource.inputs, "launchTemplate"))
    type_name = text(at(resource.inputs, "instanceType")) or text(at(template, "instanceType"))
    market = at(resource.inputs, "instanceMarketOptions") or at(template, "instanceMarketOptions")
    if type_name is None:
        yield pricing.unpriced(resource, "the instance type is not in the plan", machines=True)
    else:
        yield from machines(resource, pricing, Fleet((type_name,), ONE, _is_spot(market)))
    yield from _instance_disks(resource, pricing, template)
    yield from _instance_address(resource, pricing, template)


@rule("aws:autoscaling/group:Group")
def auto_scaling_group(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Machines between minimum and maximum size, split over on-demand and spot as the policy says."""
    count = _sizes(resource.inputs, "minSize", "desiredCapacity", "maxSize")
    if count is None:
        yield pricing.unpriced(resource, "minimum or maximum size is not in the plan", machines=True)
        return
    policy = at(resource.inputs, "mixedInstancesPolicy")
    reference, key = at(resource.inputs, "launchTemplate"), "launchTemplate"
    if policy is not None:
        reference, key = at(policy, "launchTemplate", "launchTemplateSpecification"), "mixedInstancesPolicy"
    template = _template(resource, pricing, key, reference)
    overrides = sequence(at(policy, "launchTemplate", "overrides"))
    if any(_is_weighted(override) for override in overrides):
        yield pricing.unpriced(
            resource, "overrides by weight or requirements: the number of machines is not in the plan", machines=True
        )
        return
    types = _texts(at(override, "instanceType") for override in overrides) or _texts([at(template, "instanceType")])
    if not types:
        yield pricing.unpriced(resource, "the instance type is not in the plan", machines=True)
    else:
        for fleet in _split(types, count, policy, template):
            yield from machines(resource, pricing, fleet)
    yield from _template_parts(resource, pricing, template, count)
    if at(resource.inputs, "warmPool") is not None:
        yield pricing.unpriced(resource, "stopped machines of the warm pool")


@rule("aws:eks/nodeGroup:NodeGroup")
def node_group(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """The nodes of a managed node group with the disks and addresses of its launch template.

    An on-demand fallback has the same room as the spot group it stands in for, and they share it: both are priced once,
    with the spot group, whose dearest case is all on demand.
    """
    if _rung(resource) == Rung.FALLBACK and _beside(resource, pricing, Rung.SPOT):
        return
    scaling = at(resource.inputs, "scalingConfig")
    count = _sizes(mapping(scaling), "minSize", "desiredSize", "maxSize")
    if count is None:
        yield pricing.unpriced(resource, "the scaling configuration is not in the plan", machines=True)
        return
    reference = at(resource.inputs, "launchTemplate")
    template = _template(resource, pricing, "launchTemplate", reference)
    types = _texts(sequence(at(resource.inputs, "instanceTypes"))) or _texts([at(template, "instanceType")])
    capacity = at(resource.inputs, "capacityType") or "ON_DEMAND"
    if not types:
        yield pricing.unpriced(resource, "the instance type is not in the plan", machines=True)
    elif capacity not in {"ON_DEMAND", "SPOT"}:
        yield pricing.unpriced(resource, f"machines with capacity type {capacity}", machines=True)
    else:
        spot = capacity == "SPOT"
        fallback = spot and _beside(resource, pricing, Rung.FALLBACK)
        yield from machines(resource, pricing, Fleet(types, count, spot, fallback))
    if reference is None:
        yield pricing.unpriced(resource, "node disks: size or volume type are left to AWS without a launch template")
    else:
        yield from _template_parts(resource, pricing, template, count)
    if at(resource.inputs, "warmPoolConfig", "enabled") is True:
        yield pricing.unpriced(resource, "stopped machines of the warm pool")


def machines(resource: Resource, pricing: Pricing, fleet: Fleet) -> Iterator[LineItem | Unpriced]:
    """Low is the cheapest type, typical the preferred one, high the dearest."""
    if not fleet.count.high:
        return
    quoted = [(name, pricing.rates.machine(name, spot=fleet.spot)) for name in fleet.types]
    priced = [rate for _, rate in quoted if rate]
    for name in (name for name, rate in quoted if rate is None):
        yield pricing.unpriced(resource, f"{name} {_word(fleet)}: no price in {pricing.place}", machines=True)
    preferred = quoted[0][1]
    if preferred is None:
        return
    usd = Money(
        low=min(rate.usd.low for rate in priced),
        typical=preferred.usd.typical,
        high=max(rate.usd.high for rate in [*priced, *_stand_ins(fleet, pricing)]),
    )
    names = "|".join(name for name, rate in quoted if rate)
    estimated = any(rate.estimated for rate in priced)
    short = ", at most all on demand" if fleet.fallback else ""
    what = f"{names} {_word(fleet)}{', estimated' if estimated else ''}{short}"
    rate = MachineRate(usd, estimated, preferred.source)
    yield from pricing.machines(resource, fleet.category, rate, fleet.count, what)


def _stand_ins(fleet: Fleet, pricing: Pricing) -> list[MachineRate]:
    """Rates of the on-demand machines that spot ones may have to be replaced by."""
    quoted = (pricing.rates.machine(name, spot=False) for name in fleet.types) if fleet.fallback else ()
    return [rate for rate in quoted if rate]


def _rung(group: Resource) -> Any:
    return at(group.inputs, "labels", labels.RUNG)


def _beside(group: Resource, pricing: Pricing, rung: Rung) -> bool:
    """Whether the group's pool also has a group on another step of the capacity ladder."""
    pool = at(group.inputs, "labels", labels.POOL)
    return any(
        _rung(other) == rung and at(other.inputs, "labels", labels.POOL) == pool and not leaving(other)
        for other in pricing.graph.of_type(group.type)
    )


def _word(fleet: Fleet) -> str:
    return "spot" if fleet.spot else "on demand"


def _split(types: tuple[str, ...], count: Count, policy: Any, template: Any) -> Iterator[Fleet]:
    """On-demand base first, then the percentage above it; a broken machine goes to on-demand, the dearer side."""
    if policy is None:
        yield Fleet(types, count, _is_spot(at(template, "instanceMarketOptions")))
        return
    distribution = at(policy, "instancesDistribution")
    base = whole(at(distribution, "onDemandBaseCapacity")) or 0
    given = whole(at(distribution, "onDemandPercentageAboveBaseCapacity"))
    percentage = _ALL_ON_DEMAND if given is None else given

    def on_demand(total: int) -> int:
        above = max(total - base, 0)
        return min(total, base) + -(-above * percentage // 100)

    steady = Count(on_demand(count.low), on_demand(count.typical), on_demand(count.high))
    yield Fleet(types, steady, spot=False)
    spot = Count(count.low - steady.low, count.typical - steady.typical, count.high - steady.high)
    yield Fleet(types, spot, spot=True)


def _template_parts(resource: Resource, pricing: Pricing, template: Any, count: Count) -> Iterator[LineItem | Unpriced]:
    if template is None:
        yield pricing.unpriced(resource, "node disks: the launch template is not in the plan")
        return
    if devices := _template_devices(template):
        yield from block_devices(resource, pricing, devices, count)
    else:
        yield pricing.unpriced(resource, "node disks: size and type are left to the machine image")
    if public := _template_addresses(template):
        yield from pricing.hourly(resource, Service.PUBLIC_IPV4, Category.NETWORK, "public IPv4", count * public)


def _template_devices(template: Any) -> list[Any]:
    devices = (at(device, "ebs") for device in sequence(at(template, "blockDeviceMappings")))
    return [device for device in devices if device is not None]


def _template_addresses(template: Any) -> int:
    """Public addresses of one machine."""
    interfaces = sequence(at(template, "networkInterfaces"))
    return sum(truth(at(interface, "associatePublicIpAddress")) is True for interface in interfaces)


def _instance_disks(resource: Resource, pricing: Pricing, template: Any) -> Iterator[LineItem | Unpriced]:
    """Disks of the instance itself; those of its launch template where it says nothing of its root."""
    root = at(resource.inputs, "rootBlockDevice")
    devices = _template_devices(template)
    if root is None and devices:
        yield from block_devices(resource, pricing, devices, ONE)
    else:
        yield from root_device(resource, pricing, root)
    yield from block_devices(resource, pricing, sequence(at(resource.inputs, "ebsBlockDevices")), ONE)


def _instance_address(resource: Resource, pricing: Pricing, template: Any) -> Iterator[LineItem | Unpriced]:
    """What the instance says of a public address, else its launch template, else its subnet."""
    asked = truth(at(resource.inputs, "associatePublicIpAddress"))
    interfaces = sequence(at(template, "networkInterfaces"))
    if asked is None and any(at(interface, "associatePublicIpAddress") is not None for interface in interfaces):
        asked = _template_addresses(template) > 0
    subnets = related(pricing.graph, resource, "subnetId", "aws:ec2/subnet:Subnet")
    if asked is None and len(subnets) == 1:
        asked = truth(at(subnets[0].inputs, "mapPublicIpOnLaunch")) or False
    if asked is None:
        yield pricing.unpriced(resource, "a public IPv4 address, if its subnet gives one")
    elif asked:
        yield from pricing.hourly(resource, Service.PUBLIC_IPV4, Category.NETWORK, "public IPv4")


def _template(resource: Resource, pricing: Pricing, key: str, reference: Any) -> Any:
    """The inputs of the launch template in the graph that `reference` names; None where it is not there."""
    if reference is None:
        return None
    wanted = [at(reference, part) for part in ("id", "launchTemplateId", "name", "launchTemplateName")]
    known = {value for value in wanted if isinstance(value, str)}
    for candidate in pricing.graph.of_type(LAUNCH_TEMPLATE):
        if known & {at(candidate.outputs, "id"), at(candidate.inputs, "name"), at(candidate.outputs, "name")}:
            return candidate.inputs
    if known and UNKNOWN not in wanted:
        return None
    found = related(pricing.graph, resource, key, LAUNCH_TEMPLATE)
    return found[0].inputs if len(found) == 1 else None


def _sizes(inputs: Any, low: str, desired: str, high: str) -> Count | None:
    minimum, maximum = whole(at(inputs, low)), whole(at(inputs, high))
    if minimum is None or maximum is None:
        return None
    wanted = at(inputs, desired)
    typical = minimum if wanted is None else whole(wanted)
    return None if typical is None else Count(minimum, typical, maximum)


def _is_spot(market: Any) -> bool:
    return at(market, "marketType") == "spot"


def _is_weighted(override: Any) -> bool:
    weight = at(override, "weightedCapacity")
    return at(override, "instanceRequirements") is not None or (weight is not None and whole(weight) != 1)


def _texts(values: Sequence[Any] | Iterator[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
