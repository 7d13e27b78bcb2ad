"""Where the stack runs: platform on target, region, instance types, capacity."""

from collections.abc import Iterator

from slipway import catalog
from slipway.catalog.types import InstanceType, Market, Platform
from slipway.settings.mistakes import Mistake
from slipway.settings.models import Target
from slipway.settings.names import nearest
from slipway.settings.rules.stack import Stack, item_path

REGION_KEY = "aws:region"


def platform_on_target(stack: Stack) -> Iterator[Mistake]:
    """GPUStack spreads models over GPU machines; on this machine there is nothing for it to manage."""
    settings = stack.settings
    if settings.platform is Platform.GPUSTACK and settings.target is Target.LOCAL:
        others = tuple(platform.value for platform in Platform if platform is not Platform.GPUSTACK)
        yield Mistake(
            path=("platform",),
            message="does not run on the local target",
            given="gpustack",
            allowed=others,
            hint="use target instance or cluster, or another platform",
        )


def region_needed(stack: Stack) -> Iterator[Mistake]:
    """The AWS targets run in a region."""
    settings = stack.settings
    if settings.target is not Target.LOCAL and settings.region is None:
        yield Mistake(
            path=(REGION_KEY,),
            message=f"is missing; the target {settings.target} runs in an AWS region",
            allowed=catalog.regions(),
            hint="add for example `aws:region: us-east-1`",
        )


def region_known(stack: Stack) -> Iterator[Mistake]:
    """The catalogue has zones and prices for the region."""
    given, known = stack.settings.region, catalog.regions()
    if stack.settings.target is not Target.LOCAL and given is not None and given not in known:
        yield Mistake(
            path=(REGION_KEY,),
            message="is not a region of the catalogue",
            given=given,
            allowed=known,
            nearest=nearest(given, known),
        )


def machine_needed(stack: Stack) -> Iterator[Mistake]:
    """The AWS targets need a machine; this machine is not an EC2 one."""
    settings = stack.settings
    if settings.target is Target.LOCAL and "instanceTypes" in stack.given:
        yield Mistake(
            path=("instanceTypes",),
            message="the local target runs on this machine and takes no instance types",
            given=stack.given["instanceTypes"],
            hint="leave the key out, or use target instance or cluster",
        )
    if settings.target is not Target.LOCAL and not settings.instance_types:
        yield Mistake(
            path=("instanceTypes",),
            message=f"is missing; the target {settings.target} needs a machine to run on",
            hint="name an EC2 instance type such as g6.xlarge, or a preset: small, balanced or large",
        )


def instance_types_known(stack: Stack) -> Iterator[Mistake]:
    """Every instance type is in the catalogue, and named once."""
    settings, known = stack.settings, catalog.instance_types()
    if settings.target is Target.LOCAL:
        return
    for index, name in enumerate(settings.instance_types):
        path = item_path(stack, "instanceTypes", index)
        if name not in known:
            message = "is not an instance type of the catalogue"
            yield Mistake(path=path, message=message, given=name, nearest=nearest(name, known))
        elif name in settings.instance_types[:index]:
            yield Mistake(path=path, message="stands twice", given=name)


def same_gpu(stack: Stack) -> Iterator[Mistake]:
    """One proof holds for all machines of a pool, so they carry the same GPU in the same number."""
    known = catalog.instance_types()
    types = [known[name] for name in stack.settings.instance_types if name in known]
    if stack.settings.target is Target.LOCAL or not types:
        return
    first = types[0]
    for index, name in enumerate(stack.settings.instance_types):
        if name in known and not _alike(known[name], first):
            alike = tuple(kind.name for kind in known.values() if _alike(kind, first) and kind is not first)
            yield Mistake(
                path=item_path(stack, "instanceTypes", index),
                message=f"does not have the same GPUs as {first.name}",
                given=name,
                allowed=alike if first.gpu else (),
            )


def capacity_order(stack: Stack) -> Iterator[Mistake]:
    """On-demand base <= min <= max."""
    capacity = stack.settings.capacity
    if capacity.max is not None and capacity.max < capacity.min:
        yield Mistake(
            path=("capacity", "max"), message=f"must be at least min, which is {capacity.min}", given=capacity.max
        )
    if capacity.on_demand_base > capacity.min:
        yield Mistake(
            path=("capacity", "onDemandBase"),
            message=f"must be at most min, which is {capacity.min}",
            given=capacity.on_demand_base,
            hint="min counts the base too",
        )


def base_needs_spot(stack: Stack) -> Iterator[Mistake]:
    """A base of on-demand machines only means something below spot machines."""
    capacity = stack.settings.capacity
    if capacity.on_demand_base and capacity.market is not Market.SPOT:
        yield Mistake(
            path=("capacity", "onDemandBase"),
            message="has no meaning without market spot",
            given=capacity.on_demand_base,
            hint="everything is on-demand already; leave the key out or set market: spot",
        )


def capacity_of_target(stack: Stack) -> Iterator[Mistake]:
    """Only a cluster has more than one machine; on this machine nothing is bought."""
    settings = stack.settings
    if settings.target is Target.LOCAL and "capacity" in stack.given:
        yield Mistake(path=("capacity",), message="the local target runs on this machine and buys no capacity")
    if settings.target is Target.INSTANCE:
        for key, value in (("min", settings.capacity.min), ("max", settings.capacity.max)):
            if value is not None and value > 1:
                yield Mistake(
                    path=("capacity", key),
                    message="must be 1: the instance target is a single machine",
                    given=value,
                    hint="use target cluster for more than one machine",
                )
        if settings.capacity.on_demand_base:
            yield Mistake(
                path=("capacity", "onDemandBase"),
                message="has no meaning for a single machine",
                given=settings.capacity.on_demand_base,
                hint="choose market spot or on-demand",
            )


def sections_of_target(stack: Stack) -> Iterator[Mistake]:
    """A section the target never reads is a misunderstanding, not a setting."""
    target = stack.settings.target
    unread = {
        Target.LOCAL: ("network", "kubernetes", "gateway", "monitoring"),
        Target.INSTANCE: ("kubernetes", "gateway", "monitoring"),
        Target.CLUSTER: (),
    }[target]
    for section in unread:
        if section in stack.given:
            yield Mistake(path=(section,), message=f"has no meaning for the target {target}", hint="leave it out")


def _alike(one: InstanceType, other: InstanceType) -> bool:
    return (one.gpu, one.gpu_count, one.arch) == (other.gpu, other.gpu_count, other.arch)
