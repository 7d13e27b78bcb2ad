"""How a server's pods are replaced by new ones, given the GPUs that are free meanwhile. Pure."""

from slipway.planning.packing import sure_of_room
from slipway.planning.types import Capacity, ColdStart, Update, UpdateKind
from slipway.settings.models import Autoscaler, CachePlace

VOLUME = "its volume attaches to one machine"
FREE = "GPUs are free for the new pod"
ADDED = "a machine is added for the new pod"
TAKEN = "no GPU is free for the new pod"

# What a server that follows another on the same machine need not do again.
_ONCE_A_MACHINE = frozenset({"node start", "image pull"})
_DOWNLOAD = "weights download"


def choose(
    *, replicas: int, gpus: int, taken_gpus: int, gpu_count: int, machines: Capacity, keeps_volume: bool
) -> tuple[UpdateKind, str]:
    """The kind of update, and why: a new pod comes first only where a machine surely has room for it.

    `gpus` is what one replica takes, `taken_gpus` what all servers take on machines of `gpu_count`. A server without
    GPUs counts as one that has no room beside it: what it needs of a machine is not counted here.
    """
    if keeps_volume:
        return UpdateKind.RECREATE, VOLUME
    if gpus and sure_of_room(machines.minimum * gpu_count - taken_gpus, gpus, machines.minimum):
        return UpdateKind.SURGE, FREE
    grows = machines.autoscaler is not Autoscaler.NONE and machines.maximum > machines.minimum
    if gpus and grows and sure_of_room(machines.maximum * gpu_count - taken_gpus, gpus, machines.maximum):
        return UpdateKind.SURGE, ADDED
    return (UpdateKind.RECREATE if replicas == 1 else UpdateKind.ONE_BY_ONE), TAKEN


def keeps_volume(cache: CachePlace, replicas_max: int) -> bool:
    """Whether weights lie on an EBS volume that outlives the pod, which the new pod can only have after the old one."""
    return cache is CachePlace.VOLUME or (cache is CachePlace.AUTO and replicas_max == 1)


def update(kind: UpdateKind, why: str, cold: ColdStart, *, keeps_weights: bool) -> Update:
    """What clients notice: nothing, or one start without what the machine, or the volume, already has."""
    if kind is not UpdateKind.RECREATE:
        return Update(kind=kind, why=why, downtime=None)
    skipped = _ONCE_A_MACHINE | {_DOWNLOAD} if keeps_weights else _ONCE_A_MACHINE
    phases = tuple((name, seconds) for name, seconds in cold.phases if name not in skipped)
    return Update(kind=kind, why=why, downtime=ColdStart(phases=phases))
