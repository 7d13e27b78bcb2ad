"""Where a server's weights and caches lie on Kubernetes: on a volume of their own, or on the node's disks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.shared_cache import STORAGE_CLASS
from slipway.catalog.types import InstanceType
from slipway.platforms.workload import Volume, VolumeKind, Workload
from slipway.settings.models import CachePlace

core = kubernetes.core.v1
meta = kubernetes.meta.v1

KEPT = (VolumeKind.MODELS, VolumeKind.CACHE)
BYTES_PER_GIB = 1024**3


class CacheKind(StrEnum):
    """How long weights live, and how many replicas can have them.

    A hostPath would outlive pods on its node, but Pod Security `restricted` forbids it, and rightly so.
    """

    CLAIM = "claim"
    """One EBS volume that outlives pods and nodes. EBS attaches to one node: for a single replica."""
    NODE_DISK = "node-disk"
    """A directory on the node's own NVMe disks: costs nothing, fastest, lives as long as the pod."""
    EPHEMERAL_CLAIM = "ephemeral-claim"
    """One EBS volume per replica that comes and goes with its pod: where nodes have no NVMe, or too little."""
    SHARED = "shared"
    """A directory of the stack's EFS file system for all replicas: weights only, no compile cache. Compiled kernels
    and pickled graphs are code that the next server runs, so they never leave the pod that made them."""


_ASKED = {
    CachePlace.NODE: CacheKind.NODE_DISK,
    CachePlace.VOLUME: CacheKind.CLAIM,
    CachePlace.SHARED: CacheKind.SHARED,
}


def choose_cache(
    workload: Workload,
    *,
    replicas_max: int,
    instance_types: Sequence[InstanceType],
    root_disk_gib: int,
    place: CachePlace = CachePlace.AUTO,
) -> CacheKind:
    """The kind for one server: as asked for, else a volume that stays for a single replica, and for several replicas
    node disks where they suffice.

    Nodes with NVMe keep images there too: `root_disk_gib`, the room planned for them, is taken off.
    """
    if place is not CachePlace.AUTO:
        return _ASKED[place]
    if replicas_max == 1:
        return CacheKind.CLAIM
    smallest = min((found.local_nvme_gb for found in instance_types), default=0)
    per_node = max((_replicas_per_node(workload, found) for found in instance_types), default=1)
    free_gib = smallest * 1e9 / BYTES_PER_GIB - root_disk_gib
    needed_gib = per_node * sum(volume.size_gib for volume in workload.volumes if _on_disk(volume))
    return CacheKind.NODE_DISK if needed_gib <= free_gib else CacheKind.EPHEMERAL_CLAIM


def _replicas_per_node(workload: Workload, instance_type: InstanceType) -> int:
    return max(1, instance_type.gpu_count // workload.gpus) if workload.gpus else 1


def _on_disk(volume: Volume) -> bool:
    return volume.kind is not VolumeKind.SHARED_MEMORY


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCacheArgs:
    """The volumes of one server."""

    namespace: pulumi.Input[str]
    """The server's namespace."""
    workload: Workload
    """The server."""
    kind: CacheKind
    """Where its weights lie."""
    protect: bool = False
    """Refuse to delete volumes that hold weights."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on every claim."""


class ModelCache(pulumi.ComponentResource):
    """The claims of one server, and its volumes as a pod has them."""

    volumes: list[core.VolumeArgs]
    """Volumes of the pod, by the workload's names."""
    ephemeral_storage_gib: int
    """What the pod takes of its node's disk, for the scheduler."""

    def __init__(self, name: str, args: ModelCacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:ModelCache", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.volumes = [self._volume(volume) for volume in args.workload.volumes]
        self.ephemeral_storage_gib = sum(
            volume.size_gib
            for volume in args.workload.volumes
            if _on_disk(volume) and not claimed(volume.kind, args.kind)
        )
        self.register_outputs({"kind": args.kind.value, "ephemeral_storage_gib": self.ephemeral_storage_gib})

    def _volume(self, volume: Volume) -> core.VolumeArgs:
        if volume.kind is VolumeKind.SHARED_MEMORY:
            memory = core.EmptyDirVolumeSourceArgs(medium="Memory", size_limit=f"{volume.size_gib}Gi")
            return core.VolumeArgs(name=volume.name, empty_dir=memory)
        if not claimed(volume.kind, self._args.kind):
            directory = core.EmptyDirVolumeSourceArgs(size_limit=f"{volume.size_gib}Gi")
            return core.VolumeArgs(name=volume.name, empty_dir=directory)
        if self._args.kind is CacheKind.EPHEMERAL_CLAIM:
            template = core.PersistentVolumeClaimTemplateArgs(
                metadata=meta.ObjectMetaArgs(labels=dict(self._args.labels)), spec=claim_spec(volume)
            )
            ephemeral = core.EphemeralVolumeSourceArgs(volume_claim_template=template)
            return core.VolumeArgs(name=volume.name, ephemeral=ephemeral)
        claim = core.PersistentVolumeClaimVolumeSourceArgs(claim_name=self._claim(volume).metadata.name)
        return core.VolumeArgs(name=volume.name, persistent_volume_claim=claim)

    def _claim(self, volume: Volume) -> core.PersistentVolumeClaim:
        shared = self._args.kind is CacheKind.SHARED
        keep = self._args.protect and volume.kind is VolumeKind.MODELS
        return core.PersistentVolumeClaim(
            f"{self._name}-{volume.name}",
            metadata=meta.ObjectMetaArgs(
                namespace=self._args.namespace,
                labels=dict(self._args.labels),
                # EBS makes the volume when its pod is placed, and the pod waits for the claim: do not wait for either.
                annotations=None if shared else {"pulumi.com/skipAwait": "true"},
            ),
            spec=shared_claim_spec(volume) if shared else claim_spec(volume),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(protect=keep)),
        )


def claimed(volume: VolumeKind, cache: CacheKind) -> bool:
    """Whether a volume of this kind is a claim. A cache that dies with its pod is not worth one."""
    if cache is CacheKind.CLAIM:
        return volume in KEPT
    return cache in {CacheKind.EPHEMERAL_CLAIM, CacheKind.SHARED} and volume is VolumeKind.MODELS


def claim_spec(volume: Volume) -> core.PersistentVolumeClaimSpecArgs:
    """One EBS volume of the default StorageClass, for one node at a time."""
    return core.PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"],
        resources=core.VolumeResourceRequirementsArgs(requests={"storage": f"{volume.size_gib}Gi"}),
    )


def shared_claim_spec(volume: Volume) -> core.PersistentVolumeClaimSpecArgs:
    """One directory of the shared file system, for all nodes at a time. EFS holds no one to the size."""
    return core.PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteMany"],
        storage_class_name=STORAGE_CLASS,
        resources=core.VolumeResourceRequirementsArgs(requests={"storage": f"{volume.size_gib}Gi"}),
    )
