"""The two disks of a machine: the root, which dies with it, and the data volume, which does not."""

from collections.abc import Iterable
from dataclasses import dataclass

from slipway.bootstrap.images import machine_image
from slipway.catalog.types import InstanceType
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Volume, VolumeKind, Workload

# gp3: 3,000 IOPS and 125 MiB/s are included; each MiB/s needs four IOPS (Amazon EBS user guide).
GP3_IOPS = 3000
GP3_IOPS_PER_MIB_S = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One gp3 volume: size in GiB, throughput in MiB/s."""

    size_gib: int
    throughput_mib_s: int
    iops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """`root` holds the system and container images, `data` what must outlive the machine."""

    root: Disk
    data: Disk


def disks(plan: ServingPlan, instance_type: InstanceType, workloads: Iterable[Workload]) -> Disks:
    """Disks for `workloads` on one machine. Volumes of the same name are shared, so the largest of them counts."""
    throughput = plan.settings.storage.throughput_mib_s
    sizes: dict[str, int] = {}
    for volume in (volume for workload in workloads for volume in workload.volumes if is_kept(volume)):
        sizes[volume.name] = max(volume.size_gib, sizes.get(volume.name, 0))
    return Disks(
        root=_gp3(machine_image(instance_type).root_gib, throughput),
        data=_gp3(sum(sizes.values()), throughput),
    )


def is_kept(volume: Volume) -> bool:
    """Whether a volume belongs on the data disk."""
    return volume.kind in (VolumeKind.MODELS, VolumeKind.CACHE)


def _gp3(size_gib: int, throughput_mib_s: int) -> Disk:
    iops = max(GP3_IOPS, GP3_IOPS_PER_MIB_S * throughput_mib_s)
    return Disk(size_gib=size_gib, throughput_mib_s=throughput_mib_s, iops=iops)
