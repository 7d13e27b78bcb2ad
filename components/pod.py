"""A Workload as a Kubernetes pod. Pure: what a pod looks like is decided here, and tested without any engine."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pulumi
import pulumi_kubernetes as kubernetes

from components.scheduling import GPU_RESOURCE
from components.setup_calls import client_image, curl_arguments
from slipway.planning.drain import PRE_STOP_SECONDS, grace_period_seconds
from slipway.platforms.workload import HttpProbe, Workload

core = kubernetes.core.v1
meta = kubernetes.meta.v1

MIB_PER_GIB = 1024
# The writable layer and logs, beside the volumes.
LOGS_GIB = 1
NOBODY = 65534
TEMPORARY = "/tmp"  # noqa: S108 - an emptyDir of the pod's own
SETUP_MOUNT = "/setup"
SETUP_DONE = f"{TEMPORARY}/done"


class PodSecurity(StrEnum):
    """A namespace's Pod Security level."""

    RESTRICTED = "restricted"
    BASELINE = "baseline"


def pod_security(workloads: Sequence[Workload]) -> PodSecurity:
    """`restricted` where every server runs as a user of its own; images that only run as root need `baseline`."""
    unprivileged = all(workload.user is not None and workload.user[0] != 0 for workload in workloads)
    return PodSecurity.RESTRICTED if unprivileged else PodSecurity.BASELINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a pod gets from its cluster."""

    volumes: Sequence[core.VolumeArgs]
    """The workload's volumes, by its names."""
    ephemeral_storage_gib: int
    """What they take of the node's disk."""
    secret_name: pulumi.Input[str] | None
    """Kubernetes Secret with the stack's secrets, by their names."""
    files_name: pulumi.Input[str] | None
    """ConfigMap with the files and requests of the workload's setup."""
    node_selector: Mapping[str, str]
    """Where the pod may go."""
    tolerations: Sequence[core.TolerationArgs] = ()
    """Taints it is let past."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels of the pod."""
    service_account: pulumi.Input[str] | None = None
    """Whose identity it has; no token is mounted."""
    spread: bool = False
    """Whether there are several replicas, to be kept on different nodes and in different zones."""


def pod_template(workload: Workload, around: Surroundings, beside: Sequence[Workload] = ()) -> core.PodTemplateSpecArgs:
    """The pod of one replica. What runs `beside` the server has its user, its lifetime and its address."""
    containers = [server_container(workload, around)]
    first_file = len(workload.setup.files)
    for other in beside:
        containers.append(server_container(other, around, name=other.name, first_file=first_file))
        first_file += len(other.setup.files)
    volumes = [*around.volumes, *_own_volumes(workload, around)]
    if workload.setup.calls:
        containers.append(setup_container(workload))
    return core.PodTemplateSpecArgs(
        metadata=meta.ObjectMetaArgs(labels=dict(around.labels)),
        spec=core.PodSpecArgs(
            service_account_name=around.service_account,
            automount_service_account_token=False,
            # A Service's name must never turn into an engine's environment variable.
            enable_service_links=False,
            security_context=_pod_security_context(workload),
            termination_grace_period_seconds=grace_period_seconds(workload.drain_seconds),
            node_selector=dict(around.node_selector),
            tolerations=list(around.tolerations) or None,
            topology_spread_constraints=_spread(around) if around.spread else None,
            containers=containers,
            volumes=volumes,
        ),
    )


def memory_mib(workload: Workload) -> int:
    """Rounded down, so that a request never exceeds what the node offers."""
    return math.floor(workload.memory_gib * MIB_PER_GIB)


def config_data(workload: Workload, beside: Sequence[Workload] = ()) -> dict[str, str]:
    """The setup's files and requests, for a ConfigMap: keys may not hold slashes, so they are counted."""
    texts = [text for each in (workload, *beside) for text in each.setup.files.values()]
    files = {_file_key(number): text for number, text in enumerate(texts)}
    bodies = {_call_key(number): call.body for number, call in enumerate(workload.setup.calls)}
    return {**files, **bodies}


def server_container(
    workload: Workload, around: Surroundings, *, name: str = "server", first_file: int = 0
) -> core.ContainerArgs:
    """The server itself: the image's own entry point, exec form, no shell.

    `first_file` is the number of its first file among those of the pod.
    """
    probes = workload.probes
    return core.ContainerArgs(
        name=name,
        image=workload.image,
        args=list(workload.args) or None,
        env=list(_environment(workload, around.secret_name)),
        ports=[
            core.ContainerPortArgs(name=port.name, container_port=port.number, protocol="TCP")
            for port in workload.ports
        ],
        startup_probe=_probe(probes.startup),
        readiness_probe=_probe(probes.readiness),
        liveness_probe=_probe(probes.liveness),
        lifecycle=core.LifecycleArgs(
            # The kubelet sleeps, not the image: it needs no shell.
            pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=PRE_STOP_SECONDS))
        ),
        resources=_resources(workload, around.ephemeral_storage_gib),
        security_context=_confined(read_only=_read_only(workload), capabilities=workload.capabilities),
        volume_mounts=list(_mounts(workload, first_file)),
    )


def setup_container(workload: Workload) -> core.ContainerArgs:
    """Sends the workload's requests from beside the server, then waits with it: each replica has models of its own.

    The pod is ready only when every request has succeeded. After a restart they are sent again; they are idempotent.
    """
    port = next(port.number for port in workload.ports if port.public)
    arguments = curl_arguments(
        workload.setup.calls,
        base_url=f"http://127.0.0.1:{port}",
        body_file=lambda number: f"{SETUP_MOUNT}/{_call_key(number)}",
    )
    # A shell that is process 1 ends on SIGTERM only where it says so, and only while it waits in the background.
    calls = shlex.join(["curl", *arguments])
    script = f"trap 'exit 0' TERM; {calls} & wait $! && touch {SETUP_DONE} && {{ sleep infinity & wait; }}"
    return core.ContainerArgs(
        name="setup",
        image=client_image(),
        command=["/bin/sh", "-c", script],
        readiness_probe=core.ProbeArgs(exec_=core.ExecActionArgs(command=["test", "-f", SETUP_DONE]), period_seconds=5),
        resources=core.ResourceRequirementsArgs(requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "64Mi"}),
        security_context=_confined(read_only=True, user=NOBODY),
        volume_mounts=[
            core.VolumeMountArgs(name="setup-files", mount_path=SETUP_MOUNT, read_only=True),
            core.VolumeMountArgs(name="setup-temporary", mount_path=TEMPORARY),
        ],
    )


def _environment(workload: Workload, secret_name: pulumi.Input[str] | None) -> Iterator[core.EnvVarArgs]:
    for name, value in sorted(workload.env.items()):
        yield core.EnvVarArgs(name=name, value=value)
    for entry in workload.secret_env:
        if secret_name is None:
            raise ValueError(f"secret_name: {workload.name} refers to {entry.secret}")
        reference = core.SecretKeySelectorArgs(name=secret_name, key=entry.secret)
        yield core.EnvVarArgs(name=entry.variable, value_from=core.EnvVarSourceArgs(secret_key_ref=reference))


def _resources(workload: Workload, ephemeral_storage_gib: int) -> core.ResourceRequirementsArgs:
    """Memory and GPUs are both request and limit; CPU is a request only, since throttling helps nobody."""
    memory = f"{memory_mib(workload)}Mi"
    gpus = {GPU_RESOURCE: str(workload.gpus)} if workload.gpus else {}
    return core.ResourceRequirementsArgs(
        requests={
            "cpu": f"{round(workload.cpu * 1000)}m",
            "memory": memory,
            "ephemeral-storage": f"{ephemeral_storage_gib + LOGS_GIB}Gi",
            **gpus,
        },
        limits={"memory": memory, **gpus},
    )


def _read_only(workload: Workload) -> bool:
    """Images that run as root write where they like; the others say with volumes where."""
    return workload.user is not None


def _pod_security_context(workload: Workload) -> core.PodSecurityContextArgs:
    seccomp = core.SeccompProfileArgs(type="RuntimeDefault")
    if workload.user is None:
        return core.PodSecurityContextArgs(seccomp_profile=seccomp)
    user, group = workload.user
    return core.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=group,
        fs_group=group,
        # Weights are many gigabytes; their owner is set once.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=seccomp,
    )


def _confined(
    *, read_only: bool, user: int | None = None, capabilities: Sequence[str] = ()
) -> core.SecurityContextArgs:
    return core.SecurityContextArgs(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=read_only,
        run_as_user=user,
        run_as_group=user,
        run_as_non_root=True if user else None,
        capabilities=core.CapabilitiesArgs(drop=["ALL"], add=list(capabilities) or None),
    )


def _mounts(workload: Workload, first_file: int) -> Iterator[core.VolumeMountArgs]:
    for volume in workload.volumes:
        yield core.VolumeMountArgs(name=volume.name, mount_path=volume.mount_path)
    if _needs_temporary(workload):
        yield core.VolumeMountArgs(name="server-temporary", mount_path=TEMPORARY)
    for number, path in enumerate(workload.setup.files, start=first_file):
        yield core.VolumeMountArgs(name="setup-files", mount_path=path, sub_path=_file_key(number), read_only=True)


def _needs_temporary(workload: Workload) -> bool:
    return _read_only(workload) and all(volume.mount_path != TEMPORARY for volume in workload.volumes)


def _own_volumes(workload: Workload, around: Surroundings) -> Iterator[core.VolumeArgs]:
    small = core.EmptyDirVolumeSourceArgs(size_limit=f"{LOGS_GIB}Gi")
    if _needs_temporary(workload):
        yield core.VolumeArgs(name="server-temporary", empty_dir=small)
    if workload.setup.calls:
        yield core.VolumeArgs(name="setup-temporary", empty_dir=small)
    if config_data(workload):
        yield core.VolumeArgs(name="setup-files", config_map=core.ConfigMapVolumeSourceArgs(name=around.files_name))


def _spread(around: Surroundings) -> list[core.TopologySpreadConstraintArgs]:
    """A wish, not a condition: with one zone or node left, replicas still run."""
    return [
        core.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=meta.LabelSelectorArgs(match_labels=dict(around.labels)),
        )
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _probe(probe: HttpProbe) -> core.ProbeArgs:
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(
            path=probe.path,
            port=probe.port,
            http_headers=[core.HTTPHeaderArgs(name=name, value=value) for name, value in probe.headers.items()] or None,
        ),
        period_seconds=probe.period_seconds,
        timeout_seconds=probe.timeout_seconds,
        failure_threshold=probe.failures,
    )


def _file_key(number: int) -> str:
    return f"file-{number}"


def _call_key(number: int) -> str:
    return f"call-{number}.json"
