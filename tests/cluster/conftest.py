"""One control plane for the whole test run; each test leaves it as it found it."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "providers"))

import custom_resources
import go_programs
from api_server import ApiServer
from cloud_controllers import CloudControllers
from control_plane import ControlPlane
from creating import recording
from kubernetes_apply import ApplyingKubernetes
from simulated_eks import SimulatedEks
from stacks_on_cluster import ClusterStack, clear, everything

from slipway.engine import Engine, Offline, obtain

# How long a small program waits for what it makes to become ready.
PATIENCE_SECONDS = 3
FIGURES: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker for this tier, where pytest-xdist divides by group: there is one control plane."""
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.xdist_group("cluster"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, for whoever reads the run."""
    if FIGURES:
        terminalreporter.section("cluster figures")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> Callable[[str], None]:
    """Notes one line to be shown at the end of the run."""
    return FIGURES.append


@pytest.fixture(scope="session")
def engine() -> Engine:
    return obtain()


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory, figures: Callable[[str], None]) -> Iterator[ApiServer]:
    """The API server of a running control plane, with the custom resources our stacks use."""
    programs = go_programs.obtain(*go_programs.CONTROL_PLANE)
    plane = ControlPlane(programs, tmp_path_factory.mktemp("control-plane"))
    with plane as access:
        server = ApiServer(access.server, access.token, str(access.ca_file))
        began = time.monotonic()
        custom_resources.install(server, "prometheus-operator", "karpenter")
        seconds = time.monotonic() - began
        figures(f"control plane ready after {plane.started_seconds:.1f} s, custom resources after {seconds:.1f} s more")
        with CloudControllers(server) as controllers:
            yield server
        assert controllers.failures == []


@pytest.fixture
def cluster_stack(api: ApiServer, engine: Engine) -> Iterator[Callable[[str], ClusterStack]]:
    """Opens a stack by its name or file; nothing of it is left when the test ends, however it ends."""
    opened: list[ClusterStack] = []

    def open_stack(reference: str) -> ClusterStack:
        opened.append(ClusterStack(api, engine, reference).__enter__())
        return opened[-1]

    yield open_stack
    for stack in opened:
        stack.__exit__(None, None, None)


@pytest.fixture
def session(api: ApiServer, engine: Engine) -> Iterator[Callable[[Callable[[], None]], Offline]]:
    """Opens a stack of a program that is a function; nothing of it is left when the test ends, however it ends."""
    before = everything(api)
    opened: list[Offline] = []

    def start(program: Callable[[], None]) -> Offline:
        providers = {
            **recording(),
            "aws": SimulatedEks(api),
            "kubernetes": ApplyingKubernetes(api, PATIENCE_SECONDS),
        }
        config = {"aws:region": "us-east-1"}
        opened.append(Offline("mistakes", config, program=program, providers=providers, engine=engine).__enter__())
        return opened[-1]

    yield start
    for one in opened:
        one.__exit__(None, None, None)
    clear(api, before)
