"""The `local` target: a stack's servers as containers on this machine's Docker, reachable from this machine only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pulumi
import pulumi_docker as docker

from components.naming import PACKAGE
from components.setup_calls import client_image, curl_arguments
from slipway.bootstrap import host_ports
from slipway.bootstrap.containers import MIB_PER_GIB
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import ExecProbe, HttpProbe, Volume, VolumeKind, Workload

LOOPBACK = "127.0.0.1"
CALLS_DIRECTORY = "/calls"
# The provider gives up creating anything after 20 minutes; a server that may take longer is not waited for.
LONGEST_WAIT_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerHostArgs:
    """What to run on this machine."""

    plan: ServingPlan
    """The plan the workloads were made from."""
    workloads: Sequence[Workload]
    """The servers, one container each."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """The stack's secrets by name; those a workload refers to must be here."""

    def __post_init__(self) -> None:
        missing = sorted(
            f"{workload.name}: {entry.secret}"
            for workload in self.workloads
            for entry in workload.secret_env
            if entry.secret not in self.secrets
        )
        if missing:
            raise ValueError(f"secrets: missing {', '.join(missing)}")


class DockerHost(pulumi.ComponentResource):
    """Containers for a stack's servers, on a network of their own, published on the loopback interface only.

    A secret reaches its container as an environment variable: the official images read it nowhere else. It stands in
    the container's configuration, which only users of the Docker socket can read, who are root anyway; it is no process
    argument, and in Pulumi's state it is encrypted.
    """

    endpoints: pulumi.Output[dict[str, str]]
    """OpenAI-compatible base URL by server."""
    models: pulumi.Output[list[str]]
    """Names of the models that answer."""

    def __init__(self, name: str, args: DockerHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:DockerHost", name, {}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._network = docker.Network(f"{name}-network", driver="bridge", opts=self._child)
        self._volumes = self._make_volumes()
        self._images: dict[str, docker.RemoteImage] = {}
        ports = host_ports(args.workloads)
        for workload in args.workloads:
            server = self._server(workload, ports)
            if workload.setup.calls:
                self._setup(workload, server)
        self.endpoints = pulumi.Output.from_input(
            {
                workload.name: f"http://{LOOPBACK}:{ports[workload.name, port.name]}/v1"
                for workload in args.workloads
                for port in workload.ports
                if port.public
            }
        )
        self.models = pulumi.Output.from_input([model for item in args.workloads for model in item.served_models])
        self.register_outputs({"endpoints": self.endpoints, "models": self.models})

    def _make_volumes(self) -> dict[str, docker.Volume]:
        """One volume per name: servers that name the same one share it, and with it what they have downloaded."""
        volumes: dict[str, docker.Volume] = {}
        for volume in (volume for workload in self._args.workloads for volume in workload.volumes):
            if volume.name in volumes or volume.kind not in (VolumeKind.MODELS, VolumeKind.CACHE):
                continue
            protect = self._args.plan.settings.protect and volume.kind is VolumeKind.MODELS
            volumes[volume.name] = docker.Volume(
                f"{self._name}-{volume.name}",
                driver="local",
                opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(protect=protect)),
            )
        return volumes

    def _image(self, suffix: str, reference: str) -> pulumi.Output[str]:
        """Pulls each image once; it stays when the stack goes, since other stacks may use it."""
        if reference not in self._images:
            self._images[reference] = docker.RemoteImage(
                f"{self._name}-{suffix}-image", name=reference, keep_locally=True, opts=self._child
            )
        return self._images[reference].image_id

    def _server(self, workload: Workload, ports: Mapping[tuple[str, str], int]) -> docker.Container:
        memory_mib = ceil(workload.memory_gib * MIB_PER_GIB)
        shared = [volume for volume in workload.volumes if volume.kind is VolumeKind.SHARED_MEMORY]
        return docker.Container(
            f"{self._name}-{workload.name}",
            image=self._image(workload.name, workload.image),
            command=list(workload.args) or None,
            envs=self._environment(workload),
            uploads=[
                docker.ContainerUploadArgs(file=path, content=content, permissions="0644")
                for path, content in workload.setup.files.items()
            ]
            or None,
            ports=[
                docker.ContainerPortArgs(
                    internal=port.number, external=ports[workload.name, port.name], ip=LOOPBACK, protocol="tcp"
                )
                for port in workload.ports
                if port.public
            ],
            volumes=[self._mount(volume) for volume in workload.volumes if volume not in shared],
            shm_size=sum(volume.size_gib for volume in shared) * MIB_PER_GIB or None,
            gpus="all" if workload.gpus else None,
            memory=memory_mib,
            user=f"{workload.user[0]}:{workload.user[1]}" if workload.user else None,
            healthcheck=_healthcheck(workload.container_health, workload.probes.startup),
            # `up` ends when the server is ready, not when its process exists; unless that is beyond patience.
            wait=_is_awaited(workload),
            wait_timeout=_seconds(workload.probes.startup) if _is_awaited(workload) else None,
            stop_timeout=workload.stop_seconds,
            destroy_grace_seconds=workload.stop_seconds,
            restart="unless-stopped",
            **self._confinement(workload.name),
            opts=self._child,
        )

    def _setup(self, workload: Workload, server: docker.Container) -> None:
        """Sends the workload's requests, in order, and ends; started again until all of them have succeeded."""
        base_url = f"http://{workload.name}:{_public_port(workload)}"
        docker.Container(
            f"{self._name}-{workload.name}-setup",
            image=self._image("curl", client_image()),
            command=curl_arguments(workload.setup.calls, base_url=base_url, body_file=_call_file),
            uploads=[
                docker.ContainerUploadArgs(file=_call_file(number), content=call.body, permissions="0644")
                for number, call in enumerate(workload.setup.calls)
            ],
            must_run=False,  # it is done when it has ended
            restart="on-failure",
            **self._confinement(f"{workload.name}-setup"),
            # Requests are sent again to a server that was replaced: its container is new, its volume may be.
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[server], replace_with=[server])
            ),
        )

    def _environment(self, workload: Workload) -> list[pulumi.Input[str]]:
        plain: list[pulumi.Input[str]] = [f"{name}={value}" for name, value in workload.env.items()]
        secret = [
            pulumi.Output.secret(self._args.secrets[entry.secret]).apply(
                lambda value, variable=entry.variable: f"{variable}={value}"
            )
            for entry in workload.secret_env
        ]
        return [*plain, *secret]

    def _mount(self, volume: Volume) -> docker.ContainerVolumeArgs:
        kept = self._volumes.get(volume.name)
        # Without a name it is a volume of the container's own, and goes with it.
        return docker.ContainerVolumeArgs(volume_name=kept.name if kept else None, container_path=volume.mount_path)

    def _confinement(self, alias: str) -> dict[str, Any]:
        """What every container gets: the stack's network, no privileges, bounded logs."""
        return {
            "networks_advanced": [docker.ContainerNetworksAdvancedArgs(name=self._network.name, aliases=[alias])],
            "capabilities": docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            "security_opts": ["no-new-privileges:true"],
            "log_driver": "json-file",
            "log_opts": {"max-size": "20m", "max-file": "3"},
        }


def _healthcheck(probe: ExecProbe | None, startup: HttpProbe) -> docker.ContainerHealthcheckArgs | None:
    if probe is None:
        return None
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *probe.command],
        interval=f"{probe.period_seconds}s",
        timeout=f"{probe.timeout_seconds}s",
        retries=probe.failures,
        start_period=f"{_seconds(startup)}s",
    )


def _is_awaited(workload: Workload) -> bool:
    return workload.container_health is not None and _seconds(workload.probes.startup) <= LONGEST_WAIT_SECONDS


def _seconds(probe: HttpProbe) -> int:
    return probe.failures * probe.period_seconds


def _public_port(workload: Workload) -> int:
    return next(port.number for port in workload.ports if port.public)


def _call_file(number: int) -> str:
    return f"{CALLS_DIRECTORY}/{number}.json"
