"""Which Amazon machine image boots a machine: Amazon publishes the newest id of each under a public SSM parameter."""

from dataclasses import dataclass

from slipway.catalog.types import Arch, InstanceType

_SSM_ARCH = {Arch.AMD64: "x86_64", Arch.ARM64: "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineImage:
    """One image. `parameter` is the SSM parameter with its id; `root_gib` is room for the system and container images.

    `packages` are installed at first boot from the image's own repositories.
    """

    parameter: str
    root_device: str
    root_gib: int
    packages: tuple[str, ...]


def machine_image(instance_type: InstanceType) -> MachineImage:
    """The image for `instance_type`: with NVIDIA driver, Docker and its GPU runtime where there is a GPU."""
    arch = _SSM_ARCH[instance_type.arch]
    if instance_type.gpu is not None:
        return MachineImage(
            parameter=f"/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id",
            root_device="/dev/sda1",
            # The image's own snapshot takes 75 GiB (DLAMI release notes, 2026-10); the rest is for container images.
            root_gib=125,
            packages=(),
        )
    return MachineImage(
        parameter=f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
        root_device="/dev/xvda",
        root_gib=40,
        packages=("docker", "amazon-cloudwatch-agent"),
    )
