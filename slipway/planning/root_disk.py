"""The system disk of a cluster's nodes: from the images unpacked on it, and the weights that lie beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slipway import catalog
from slipway.catalog.types import EngineRelease, Platform
from slipway.planning.host import COMPILE_CACHE_GIB
from slipway.planning.storage import SCRATCH_GIB

# EKS gives a Linux node 20 GiB where nobody says otherwise: the system, its logs and the small images fit into that.
SYSTEM_GIB = 20
SMALLEST_GIB = 20
# Compressed layers lie beside what is unpacked until the last of them is; then EKS' containerd drops them
# (discard_unpacked_layers). vLLM's 28.6 GB image comes as about 12 GB (vLLM issue 27154, October 2025).
LAYERS_SHARE = 0.5
# The kubelet begins to delete unused images when 85 % of the disk is taken (imageGCHighThresholdPercent).
COLLECTION_HEADROOM = 0.15
# For an image whose size nobody states: serving images have 15-20 GB (AWS machine learning blog, June 2026).
UNKNOWN_IMAGE_GIB = 20e9 / 1024**3
STEP_GIB = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDisk:
    """Size of the disk, and how it was computed."""

    gib: int
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    gib: float
    how: str


def node_root_disk(
    release: EngineRelease, accelerator: str, *, servers: int, weights_gib: Sequence[float] = ()
) -> RootDisk:
    """The root disk of a node with at most `servers` pods; `weights_gib` of each model that lies on it.

    Images count twice, since an update pulls the new one while the old one's servers still run.
    """
    images = [_image(found, accelerator) for found in _engines(release)]
    unpacked = 2 * sum(image.gib for image in images)
    layers = LAYERS_SHARE * sum(image.gib for image in images)
    scratch = servers * (COMPILE_CACHE_GIB + SCRATCH_GIB)
    weights = sum(weights_gib)
    taken = SYSTEM_GIB + unpacked + layers + scratch + weights
    gib = max(SMALLEST_GIB, math.ceil(taken / (1 - COLLECTION_HEADROOM) / STEP_GIB) * STEP_GIB)
    how = (
        f"two versions of {' and of '.join(image.how for image in images)}: {unpacked:.1f} unpacked, "
        f"{layers:.1f} for layers while pulling; {scratch} for caches and files of {servers} "
        f"{'server' if servers == 1 else 'servers'}; "
        + (f"{weights:.1f} for weights; " if weights_gib else "")
        + f"{SYSTEM_GIB} for the system; {COLLECTION_HEADROOM:.0%} stay free, where the kubelet begins to delete images"
    )
    return RootDisk(gib=gib, how=how)


def _engines(release: EngineRelease) -> tuple[EngineRelease, ...]:
    """Whose images a node pulls: GPUStack starts a vLLM of its own choosing beside itself."""
    return (release, catalog.release(Platform.VLLM)) if release.platform is Platform.GPUSTACK else (release,)


def _image(release: EngineRelease, accelerator: str) -> _Image:
    exact = release.image_gib.get(accelerator)
    if exact is not None:
        return _Image(gib=exact, how=f"{release.platform.value} {release.version} ({exact:.1f} GiB)")
    known = release.known_images.get(accelerator)
    if known is None:
        return _Image(
            gib=UNKNOWN_IMAGE_GIB,
            how=f"{release.platform.value}'s image, of unknown size (reserve of {UNKNOWN_IMAGE_GIB:.1f} GiB)",
        )
    return _Image(
        gib=known.gib,
        how=f"{release.platform.value}'s image ({known.gib:.1f} GiB as of {known.version}, "
        f"{known.source.name}, {known.source.as_of})",
    )
