"""How a Workload becomes a ``docker run`` on a machine: loopback ports, bounded logs, no privileges, no secrets."""

from collections.abc import Iterator, Mapping
from math import ceil

from slipway.bootstrap.disks import is_kept
from slipway.platforms.workload import Volume, VolumeKind, Workload

HOME = "/etc/slipway"
DATA = "/var/lib/slipway"
MIB_PER_GIB = 1024


def run_arguments(
    workload: Workload, *, ports: Mapping[tuple[str, str], int], first_gpu: int, region: str, log_group: str
) -> list[str]:
    """Arguments of ``docker run`` for `workload`, whose GPUs begin with the machine's number `first_gpu`.

    Secrets come from a file in memory that docker reads itself, so none is an argument.
    """
    memory = f"{ceil(workload.memory_gib * MIB_PER_GIB)}m"
    arguments = [
        "--rm",
        f"--name=slipway-{workload.name}",
        "--network=slipway",
        f"--network-alias={workload.name}",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--memory={memory}",
        f"--memory-swap={memory}",
        f"--stop-timeout={workload.stop_seconds}",
        f"--env-file={HOME}/{workload.name}.env",
        f"--env-file=/run/slipway/{workload.name}.env",
    ]
    if workload.user is not None:
        arguments.append(f"--user={workload.user[0]}:{workload.user[1]}")
    arguments += _logging(region, log_group)
    arguments += _gpus(workload, first_gpu)
    for port in workload.ports:
        arguments.append(f"--publish=127.0.0.1:{ports[workload.name, port.name]}:{port.number}")
    for volume in workload.volumes:
        arguments.append(_mount(volume))
    for number, path in enumerate(workload.setup.files):
        arguments.append(f"--mount=type=bind,source={conf_directory(workload)}/{number},target={path},readonly")
    return [*arguments, workload.image, *workload.args]


def data_directories(workload: Workload) -> Iterator[str]:
    """Directories on the data volume that must be there before the container."""
    return (f"{DATA}/{volume.name}" for volume in workload.volumes if is_kept(volume))


def conf_directory(workload: Workload) -> str:
    """Where the files of a workload stand on the machine, by their number."""
    return f"{HOME}/{workload.name}.files"


def _logging(region: str, log_group: str) -> list[str]:
    """To CloudWatch without ever blocking the server; ``docker logs`` reads a bounded copy on disk."""
    options = {
        "awslogs-region": region,
        "awslogs-group": log_group,
        "tag": "{{.Name}}/{{.ID}}",
        "mode": "non-blocking",
        "max-buffer-size": "4m",
        "cache-max-size": "20m",
        "cache-max-file": "3",
    }
    return ["--log-driver=awslogs", *(f"--log-opt={name}={value}" for name, value in options.items())]


def _gpus(workload: Workload, first: int) -> list[str]:
    if not workload.gpus:
        return []
    devices = ",".join(str(number) for number in range(first, first + workload.gpus))
    # Docker reads the value as CSV: the quotes keep a list of devices one field.
    return [f'--gpus="device={devices}"']


def _mount(volume: Volume) -> str:
    if volume.kind is VolumeKind.SHARED_MEMORY:
        return f"--shm-size={volume.size_gib}g"
    if is_kept(volume):
        return f"--mount=type=bind,source={DATA}/{volume.name},target={volume.mount_path}"
    return f"--mount=type=volume,target={volume.mount_path}"  # without a name it goes with the container
