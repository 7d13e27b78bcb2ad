"""How long from a started machine to the first token, phase by phase. Unknown stays unknown."""

from slipway.catalog.types import EngineRelease, InstanceType
from slipway.planning.types import ColdStart
from slipway.settings.models import Target

# A node boots and registers in about 30 s (Bottlerocket with a prepared data volume, akingscote, 2026).
NODE_START_SECONDS = 30.0
# Pulling and unpacking a 15-20 GB image takes 4-6 minutes an instance (AWS machine learning blog, June 2026):
# 17.5 GB in 300 s.
PULL_GIB_PER_SECOND = 17.5e9 / 1024**3 / 300
# Hugging Face safetensors of Llama 3 8B, 14.96 GiB, from gp3 on g5.12xlarge: 47.99 s (NVIDIA blog on Run:ai streamer).
LOAD_GIB_PER_SECOND = 14.96 / 47.99
# EFS with elastic throughput: 894 GiB of weights in about 43 minutes on p5en (modelplane issue 204).
EFS_GIB_PER_SECOND = 894 / (43 * 60)


def estimate(
    *,
    target: Target,
    instance_type: InstanceType | None,
    release: EngineRelease,
    accelerator: str,
    weights_gib: float,
    disk_throughput_mib_s: int,
    shared_files: bool = False,
) -> ColdStart:
    """The phases of a first start. Later starts on the same volume skip the download, and on the same node the pull.

    With `shared_files` the volume is EFS and all replicas have it: only the very first one downloads.

    The download is bound by the slower of network and disk; the source's own speed is not known, so it is a best case.
    Nobody published a figure for compiling, and none for a network outside AWS.
    """
    disk = EFS_GIB_PER_SECOND if shared_files else disk_throughput_mib_s / 1024
    image_gib = release.image_gib.get(accelerator)
    network = instance_type.network_gbps * 1e9 / 8 / 1024**3 if instance_type else None
    return ColdStart(
        phases=(
            ("node start", NODE_START_SECONDS if target is Target.CLUSTER else None),
            ("image pull", image_gib / PULL_GIB_PER_SECOND if image_gib is not None else None),
            ("weights download", weights_gib / min(network, disk) if network else None),
            ("load", weights_gib / min(disk, LOAD_GIB_PER_SECOND)),
            ("compile", None),
        )
    )
