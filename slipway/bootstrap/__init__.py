"""What one EC2 machine needs to serve: its image, its disks, and the user data that turns it into a server."""

from slipway.bootstrap.disks import Disk, Disks, disks
from slipway.bootstrap.images import MachineImage, machine_image
from slipway.bootstrap.user_data import LIMIT_BYTES, Machine, cloud_init, host_ports

__all__ = [
    "LIMIT_BYTES",
    "Disk",
    "Disks",
    "Machine",
    "MachineImage",
    "cloud_init",
    "disks",
    "host_ports",
    "machine_image",
]
