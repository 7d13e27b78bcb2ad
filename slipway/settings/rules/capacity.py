"""Who adds machines, and which of them are reserved."""

from collections.abc import Iterator

from slipway import catalog
from slipway.catalog.types import Market, Platform
from slipway.settings.mistakes import Mistake
from slipway.settings.models import Autoscaler, CapacitySettings, Target
from slipway.settings.names import nearest
from slipway.settings.rules.stack import Stack

_AUTOSCALER, _RESERVATION, _ZONE = (
    ("capacity", "autoscaler"),
    ("capacity", "reservationId"),
    ("capacity", "reservationZone"),
)


def autoscaler_of_target(stack: Stack) -> Iterator[Mistake]:
    """Only a cluster has machines to add."""
    asked = stack.settings.capacity.autoscaler
    if stack.settings.target is Target.INSTANCE and asked not in {None, Autoscaler.NONE}:
        yield Mistake(
            path=_AUTOSCALER, message="needs target cluster: an instance is a single machine", given=str(asked)
        )


def autoscaler_of_platform(stack: Stack) -> Iterator[Mistake]:
    """Autoscalers answer pods that find no room; GPUStack places models on the machines there are."""
    settings = stack.settings
    asked = settings.capacity.autoscaler
    if settings.target is not Target.CLUSTER or settings.platform is not Platform.GPUSTACK:
        return
    if asked not in {None, Autoscaler.NONE}:
        yield Mistake(
            path=_AUTOSCALER,
            message="GPUStack asks Kubernetes for no room, so an autoscaler would never add a machine",
            given=str(asked),
            hint="leave it out, and raise min to run more machines",
        )


def karpenter_has_room(stack: Stack) -> Iterator[Mistake]:
    """Machines that always run are a node group; Karpenter makes those above them."""
    settings = stack.settings
    capacity = settings.capacity
    if settings.target is not Target.CLUSTER or capacity.autoscaler is not Autoscaler.KARPENTER:
        return
    if (capacity.max or capacity.min) <= _guaranteed(capacity):
        yield Mistake(
            path=_AUTOSCALER,
            message=f"leaves Karpenter nothing to do: max is {capacity.max or capacity.min}, and as many machines "
            "always run on demand",
            given=str(capacity.autoscaler),
            hint="raise max",
        )


def reservation(stack: Stack) -> Iterator[Mistake]:
    """A reservation is for machines that are always there, and are bought on demand."""
    settings = stack.settings
    capacity = settings.capacity
    if capacity.reservation_zone is not None and capacity.reservation_id is None:
        yield Mistake(path=_ZONE, message="needs reservationId, the reservation it is the zone of")
    if capacity.reservation_id is None:
        return
    if settings.target is not Target.CLUSTER:
        yield Mistake(path=_RESERVATION, message="needs target cluster", given=capacity.reservation_id)
    elif not _guaranteed(capacity) and capacity.autoscaler is not Autoscaler.KARPENTER:
        yield Mistake(
            path=_RESERVATION,
            message="has no machines to hold: all are spot",
            given=capacity.reservation_id,
            hint="write `onDemandBase: 1` under slipway:capacity, or market: on-demand",
        )


def reservation_zone(stack: Stack) -> Iterator[Mistake]:
    """A reservation is in one zone, which must offer the machine; in an adopted VPC only its subnets decide."""
    settings = stack.settings
    capacity = settings.capacity
    if capacity.reservation_id is None or settings.target is not Target.CLUSTER or not _guaranteed(capacity):
        return
    if settings.network.vpc_id is not None or not settings.instance_types or settings.region is None:
        return
    first = settings.instance_types[0]
    offered = catalog.zones_offering(first, settings.region)
    if capacity.reservation_zone is None:
        yield Mistake(
            path=_ZONE, message="is missing; a reservation's machines can only start in its own zone", allowed=offered
        )
    elif offered and capacity.reservation_zone not in offered:
        yield Mistake(
            path=_ZONE,
            message=f"does not offer {first}, which the reservation must be for",
            given=capacity.reservation_zone,
            allowed=offered,
            nearest=nearest(capacity.reservation_zone, offered),
        )


def _guaranteed(capacity: CapacitySettings) -> int:
    """On-demand machines that always run."""
    return capacity.min if capacity.market is Market.ON_DEMAND else capacity.on_demand_base
