"""Whether the place the user chose for weights can hold them, for as many replicas as there may be."""

from collections.abc import Sequence

from slipway.catalog.types import InstanceType, Platform
from slipway.planning.host import COMPILE_CACHE_GIB
from slipway.problems import Problem
from slipway.settings.models import CachePlace, Settings

CACHE_KEY = "slipway:storage.cache"
GB_PER_GIB = 1024**3 / 1e9
# Beside weights and compile cache on the same disk: temporary files, configuration, logs. A reserve.
SCRATCH_GIB = 4


def volume_problems(settings: Settings, replicas_max: dict[str, int]) -> list[Problem]:
    """An EBS volume attaches to one machine, so a model on it has one replica; `replicas_max` is by model."""
    if settings.storage.cache is not CachePlace.VOLUME:
        return []
    several = {name: most for name, most in replicas_max.items() if most > 1}
    if not several:
        return []
    other = CachePlace.SHARED if settings.platform is Platform.VLLM else CachePlace.AUTO
    counted = ", ".join(f"{name} may have {most} replicas" for name, most in several.items())
    return [
        Problem(
            key=CACHE_KEY,
            message=f"an EBS volume attaches to one machine, and {counted}",
            given=CachePlace.VOLUME.value,
            allowed=(CachePlace.AUTO.value, CachePlace.NODE.value)
            + ((CachePlace.SHARED.value,) if settings.platform is Platform.VLLM else ()),
            hint=f"write `cache: {other}` under slipway:storage",
        )
    ]


def node_problems(
    settings: Settings, types: Sequence[InstanceType], *, weights_gib: float, root_disk_gib: int
) -> list[Problem]:
    """`weights_gib` for every replica of one machine must fit its NVMe, which also holds the images."""
    if settings.storage.cache is not CachePlace.NODE or settings.platform is Platform.GPUSTACK:
        return []
    needed_gib = weights_gib + COMPILE_CACHE_GIB + SCRATCH_GIB + root_disk_gib
    small = [found for found in types if found.local_nvme_gb / GB_PER_GIB < needed_gib]
    return [
        Problem(
            key=CACHE_KEY,
            message=f"weights, caches and images take {needed_gib:.0f} GiB on a machine's own disks, and {found.name} "
            f"has {_disks(found)}",
            given=CachePlace.NODE.value,
            hint="leave it out: each replica gets a volume of its own where the disks are too small",
        )
        for found in small
    ]


def _disks(found: InstanceType) -> str:
    return f"{found.local_nvme_gb / GB_PER_GIB:.0f} GiB" if found.local_nvme_gb else "none"
