"""The gateway as it is deployed, run on this machine: the same arguments, environment and files, on free ports."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import go_programs
import python_programs
from openai_servers import ask

from slipway.gateway import Backend, Gateway, caddyfile, gateway
from slipway.platforms.workload import Workload

START_SECONDS = 120
STOP_SECONDS = 30
RUN_LITELLM = "from litellm.proxy.proxy_cli import run_server; run_server()"


@dataclass(frozen=True, kw_only=True)
class RunningGateway:
    """Both programs, and where they answer."""

    door: subprocess.Popen[bytes]
    router: subprocess.Popen[bytes]
    port: int
    router_port: int
    metrics_port: int
    logs: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_gateway(backends: Sequence[Backend], secrets: Mapping[str, str], folder: Path) -> Iterator[RunningGateway]:
    """The gateway in front of `backends`; `secrets` are environment variables by name."""
    made = gateway(backends, router_host="127.0.0.1")
    port, router_port, metrics_port = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        router = stack.enter_context(_router(made, secrets, folder, router_port, metrics_port))
        door = stack.enter_context(running_door(port, f"127.0.0.1:{router_port}", secrets, folder))
        _wait_until_ready(port, (door, router), folder)
        yield RunningGateway(
            door=door, router=router, port=port, router_port=router_port, metrics_port=metrics_port, logs=folder
        )


@contextmanager
def _router(
    made: Gateway, secrets: Mapping[str, str], folder: Path, port: int, metrics_port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """LiteLLM by the workload's own arguments, with other ports and only on the loopback interface."""
    ((place, text),) = made.router.setup.files.items()
    config = folder / "config.yaml"
    config.write_text(text)
    other = {place: str(config), "4000": str(port), "4001": str(metrics_port), "0.0.0.0": "127.0.0.1"}  # noqa: S104 - replaced
    python = python_programs.litellm()
    arguments = [str(python), "-c", RUN_LITELLM, *(other.get(argument, argument) for argument in made.router.args)]
    with _running(arguments, _environment(made.router, secrets, folder), folder, "router") as process:
        yield process


@contextmanager
def running_door(
    port: int, upstream: str, secrets: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Caddy alone, in front of anything."""
    file = folder / f"Caddyfile-{port}"
    file.write_text(caddyfile(port=port, upstream=upstream, drain_seconds=STOP_SECONDS))
    caddy = str(go_programs.obtain("caddy")["caddy"])
    arguments = [caddy, "run", "--config", str(file), "--adapter", "caddyfile"]
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with _running(arguments, {**home, **secrets}, folder, "door") as process:
        yield process


def _environment(workload: Workload, secrets: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The workload's own, and its secrets alone; /tmp is the test's folder."""
    own = {name: value.replace("/tmp", str(folder)) for name, value in workload.env.items()}
    wanted = {entry.variable: secrets[entry.variable] for entry in workload.secret_env}
    return {"PATH": os.environ["PATH"], "TMPDIR": str(folder), **own, **wanted}


@contextmanager
def _running(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, name: str
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            arguments, cwd=folder, env=dict(environment), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(port: int, processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    """As the readiness probe does."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = [process for process in processes if process.poll() is not None]
        if not ended and _is_ready(port):
            return
        if ended:
            break
        time.sleep(0.2)
    raise RuntimeError("\n".join(log.read_text() for log in folder.glob("*.log")))


def _is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/readyz").status == 200
    except OSError:
        return False
