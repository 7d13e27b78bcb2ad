"""EBS: volumes of their own, disks of machines, and the gp3 extras above the free baseline."""

from collections.abc import Iterator, Sequence
from typing import Any

from slipway.catalog.types import Service
from slipway.costs.pricing import ONE, Category, Count, Pricing, rule
from slipway.costs.types import LineItem, Unpriced
from slipway.engine.graph import Resource
from slipway.engine.reading import at, text, whole

# What every gp3 volume includes (AWS EBS pricing): only what is above is charged.
GP3_FREE_IOPS = 3000
GP3_FREE_MIB_S = 125


@rule("aws:ebs/volume:Volume")
def volume(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """An EBS volume; gp2 where no type is given, as the provider does."""
    yield from disk(
        resource,
        pricing,
        kind=text(at(resource.inputs, "type")) or "gp2",
        gib=whole(at(resource.inputs, "size")),
        iops=whole(at(resource.inputs, "iops")),
        mib_s=whole(at(resource.inputs, "throughput")),
    )


def root_device(resource: Resource, pricing: Pricing, device: Any) -> Iterator[LineItem | Unpriced]:
    """The root disk of one instance, where the program decides it."""
    if at(device, "volumeSize") is None:
        yield pricing.unpriced(resource, "root disk: its size is left to the machine image")
    else:
        yield from block_devices(resource, pricing, [device], ONE)


def block_devices(
    resource: Resource, pricing: Pricing, devices: Sequence[Any], count: Count
) -> Iterator[LineItem | Unpriced]:
    """Disks of `count` machines, as instances and launch templates describe them."""
    for device in devices:
        yield from disk(
            resource,
            pricing,
            kind=text(at(device, "volumeType")),
            gib=whole(at(device, "volumeSize")),
            iops=whole(at(device, "iops")),
            mib_s=whole(at(device, "throughput")),
            count=count,
        )


def disk(
    resource: Resource,
    pricing: Pricing,
    *,
    kind: str | None,
    gib: int | None,
    iops: int | None = None,
    mib_s: int | None = None,
    count: Count = ONE,
) -> Iterator[LineItem | Unpriced]:
    """`count` EBS disks of one kind: size, and for gp3 what is above the included IOPS and throughput."""
    if gib is None:
        yield pricing.unpriced(resource, "a disk whose size is not in the plan")
    elif kind != "gp3":
        yield pricing.unpriced(resource, f"{gib} GiB disk of type {kind or 'left to the machine image'}")
    else:
        for service, amount, what in (
            (Service.EBS_GP3, gib, "GiB gp3"),
            (Service.EBS_GP3_IOPS, (iops or 0) - GP3_FREE_IOPS, "IOPS above 3000, gp3"),
            (Service.EBS_GP3_THROUGHPUT, (mib_s or 0) - GP3_FREE_MIB_S, "MiB/s above 125, gp3"),
        ):
            if amount > 0:
                yield from pricing.monthly(resource, service, Category.DISK, what, count, each=amount)
