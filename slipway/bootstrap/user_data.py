"""User data: the cloud-init text that turns a fresh machine into a model server. A pure function of its arguments."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from slipway.bootstrap.containers import HOME, conf_directory, data_directories, run_arguments
from slipway.bootstrap.quoting import env_file, shell_array
from slipway.platforms.workload import HttpProbe, Workload

# EC2's limit, before base64 (Amazon EC2 user guide, "Run commands when you launch an EC2 instance").
LIMIT_BYTES = 16_384
# How often the health timer looks; probes' patience is counted in these.
TICK_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one machine has to find. Names and ids only: user data is readable by much that must not read a secret.

    `volumes` maps a zone to the id of its data volume, `secret_arns` a secret's name to where it is kept.
    """

    stack: str
    region: str
    log_group: str
    volumes: Mapping[str, str]
    secret_arns: Mapping[str, str]
    packages: tuple[str, ...]
    gpu: bool


def cloud_init(machine: Machine, workloads: Sequence[Workload]) -> str:
    """Cloud-config for `workloads` on `machine`, at most LIMIT_BYTES long.

    Raises ValueError where the text would be longer, and KeyError for a secret that `machine` does not name.
    """
    document: dict[str, Any] = {
        "write_files": list(_files(machine, workloads)),
        "runcmd": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", "--now", "docker.service"],
            # Not waiting: a server is up when its models are, and cloud-init has a limit of its own.
            ["systemctl", "enable", "--now", "--no-block", *_units(workloads)],
        ],
    }
    if machine.packages:
        document = {"packages": list(machine.packages), **document}
    text = "#cloud-config\n" + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000)
    if (size := len(text.encode())) > LIMIT_BYTES:
        raise ValueError(f"user data takes {size:,} bytes; EC2 allows {LIMIT_BYTES:,}")
    return text


def host_ports(workloads: Sequence[Workload]) -> dict[tuple[str, str], int]:
    """Port on the machine's loopback for each (server, port name): the server's own number, or the next free one."""
    taken: dict[tuple[str, str], int] = {}
    for workload in workloads:
        for port in workload.ports:
            number = port.number
            while number in taken.values():
                number += 1
            taken[workload.name, port.name] = number
    return taken


def _files(machine: Machine, workloads: Sequence[Workload]) -> Iterator[dict[str, str]]:
    yield _file("/usr/local/sbin/slipway", _render("slipway.sh.j2"), permissions="0755")
    yield _file(f"{HOME}/machine.conf", f"REGION={shlex.quote(machine.region)}\n")
    yield _file(f"{HOME}/volumes", "".join(f"{zone} {volume}\n" for zone, volume in machine.volumes.items()))
    yield _file(f"{HOME}/cloudwatch.json", json.dumps(_cloudwatch(machine)) + "\n")
    for unit in ("slipway@.service", "slipway-setup@.service", "slipway-watch@.service", "slipway-watch@.timer"):
        yield _unit(unit, stack=machine.stack, tick_seconds=TICK_SECONDS)
    yield _unit("slipway-agent.service")
    ports = host_ports(workloads)
    first_gpu = 0
    for workload in workloads:
        arguments = run_arguments(
            workload, ports=ports, first_gpu=first_gpu, region=machine.region, log_group=machine.log_group
        )
        first_gpu += workload.gpus
        yield from _server(machine, workload, arguments, ports)


def _server(
    machine: Machine, workload: Workload, arguments: Sequence[str], ports: Mapping[tuple[str, str], int]
) -> Iterator[dict[str, str]]:
    name = workload.name
    secrets = "".join(f"{entry.variable} {machine.secret_arns[entry.secret]}\n" for entry in workload.secret_env)
    yield _file(f"{HOME}/{name}.conf", _conf(workload, arguments, ports))
    yield _file(f"{HOME}/{name}.env", env_file(workload.env.items()))
    yield _file(f"{HOME}/{name}.secrets", secrets)
    for number, content in enumerate(workload.setup.files.values()):
        yield _file(f"{conf_directory(workload)}/{number}", content)
    if workload.setup.calls:
        yield from _setup(workload)


def _setup(workload: Workload) -> Iterator[dict[str, str]]:
    name = workload.name
    calls = enumerate(workload.setup.calls)
    bodies = {f"{name}.call-{number}.json": call for number, call in calls}
    yield _file(f"{HOME}/{name}.calls", "".join(f"{call.method} {call.path} {file}\n" for file, call in bodies.items()))
    for file, call in bodies.items():
        yield _file(f"{HOME}/{file}", call.body)


def _conf(workload: Workload, arguments: Sequence[str], ports: Mapping[tuple[str, str], int]) -> str:
    """What the phases need to know of one server, as shell variables."""
    probes = workload.probes
    startup, liveness = probes.startup, probes.liveness
    owner = workload.user or (0, 0)
    values = {
        "IMAGE": workload.image,
        "OWNER": f"{owner[0]}:{owner[1]}",
        "BASE_URL": _url(workload, startup.port, "", ports),
        "STARTUP_URL": _url(workload, startup.port, startup.path, ports),
        "STARTUP_PERIOD": str(startup.period_seconds),
        "STARTUP_TIMEOUT": str(startup.timeout_seconds),
        "STARTUP_FAILURES": str(_ticks(startup)),
        "LIVENESS_URL": _url(workload, liveness.port, liveness.path, ports),
        "LIVENESS_TIMEOUT": str(liveness.timeout_seconds),
        "LIVENESS_FAILURES": str(_ticks(liveness)),
    }
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
    lines.append(f"ARGUMENTS={shell_array(arguments)}\n")
    lines.append(f"DIRECTORIES={shell_array(data_directories(workload))}\n")
    lines.append(f"HEADERS={shell_array(_headers(startup, liveness))}\n")
    return "".join(lines)


def _ticks(probe: HttpProbe) -> int:
    return ceil(probe.failures * probe.period_seconds / TICK_SECONDS)


def _headers(*probes: HttpProbe) -> Iterator[str]:
    for header, value in {key: value for probe in probes for key, value in probe.headers.items()}.items():
        yield from ("-H", f"{header}: {value}")


def _url(workload: Workload, port: str, path: str, ports: Mapping[tuple[str, str], int]) -> str:
    return f"http://127.0.0.1:{ports[workload.name, port]}{path}"


def _units(workloads: Sequence[Workload]) -> list[str]:
    """Units to enable. A server starts its set-up, so the set-up is enabled first."""
    units = ["slipway-agent.service"]
    for workload in workloads:
        if workload.setup.calls:
            units.append(f"slipway-setup@{workload.name}.service")
        units += [f"slipway@{workload.name}.service", f"slipway-watch@{workload.name}.timer"]
    return units


def _cloudwatch(machine: Machine) -> dict[str, Any]:
    logs = {"/var/log/slipway.log": "slipway", "/var/log/cloud-init-output.log": "cloud-init"}
    metrics: dict[str, Any] = {
        "mem": {"measurement": ["used_percent"]},
        "disk": {"measurement": ["used_percent"], "resources": ["/", "/var/lib/slipway"], "drop_device": True},
    }
    if machine.gpu:
        metrics["nvidia_gpu"] = {"measurement": ["utilization_gpu", "memory_used", "temperature_gpu"]}
    return {
        "logs": {
            "logs_collected": {
                "files": {
                    "collect_list": [
                        {
                            "file_path": path,
                            "log_group_name": machine.log_group,
                            "log_stream_name": f"{{instance_id}}/{stream}",
                        }
                        for path, stream in logs.items()
                    ]
                }
            }
        },
        "metrics": {
            "namespace": "Slipway",
            "append_dimensions": {"InstanceId": "${aws:InstanceId}"},
            "metrics_collected": metrics,
        },
    }


def _unit(name: str, **values: object) -> dict[str, str]:
    return _file(f"/etc/systemd/system/{name}", _render(f"{name}.j2", **values))


def _file(path: str, content: str, *, permissions: str = "0644") -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": content}


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("slipway.bootstrap"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the templates are shell and systemd units, not HTML
    )


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(values)


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, for the person who reads it."""


def _represent_text(_: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
