"""The control plane itself: the version we deploy to, quick to start and stop, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import go_programs
import pytest
from api_server import wait_for
from leftovers import FOLDER, Record, clear_leftovers

from slipway.engine import cache
from slipway.engine.children import ChildError
from slipway.problems import SlipwayError
from slipway.settings.models import KubernetesSettings

pytestmark = pytest.mark.cluster

NAMESPACES = ("ip", "netns", "list")
LINKS = ("ip", "-json", "link")
SLEEP = ("sleep", "60")
# A run that starts a control plane, says so, and waits to be killed.
RUN = """
import sys, time
from pathlib import Path
import go_programs
from control_plane import ControlPlane
with ControlPlane(go_programs.obtain(*go_programs.CONTROL_PLANE), Path(sys.argv[1])) as access:
    print(access.server, flush=True)
    time.sleep(600)
"""


def recorded(folder: Path) -> str:
    """The namespace of the control plane that works in a folder. Other runs may have theirs at the same time."""
    records = [json.loads(file.read_text()) for file in cache.folder(FOLDER).glob("slipway-*.json")]
    (found,) = [record["namespace"] for record in records if record["folder"] == str(folder)]
    return found


def traces(namespace: str) -> int:
    """How much of a control plane is on this machine: its namespace, its link, its record."""
    namespaces = {line.split()[0] for line in subprocess.check_output(NAMESPACES, text=True).splitlines()}
    links = {link["ifname"] for link in json.loads(subprocess.check_output(LINKS))}
    link = f"slip-{namespace.removeprefix('slipway-')}o"
    record = cache.folder(FOLDER) / f"{namespace}.json"
    return (namespace in namespaces) + (link in links) + record.exists()


def running(folder: Path) -> list[str]:
    """Programs that work in a folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "comm").read_text().strip())
        except OSError:  # it has ended meanwhile
            continue
    return found


def start(folder: Path) -> subprocess.Popen[str]:
    places = [str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )


def test_it_is_the_kubernetes_version_that_stacks_get_by_default(api):
    default = KubernetesSettings().version
    assert go_programs.KUBERNETES.rpartition(".")[0] == default
    assert api.request("GET", "/version")["gitVersion"] == f"v{go_programs.KUBERNETES}"


def test_an_interrupted_run_takes_everything_with_it(tmp_path):
    with start(tmp_path / "plane") as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("https://")
        namespace = recorded(tmp_path / "plane")
        assert traces(namespace) == 3
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
    assert time.monotonic() - began < 3
    assert traces(namespace) == 0
    assert running(tmp_path / "plane") == []


def test_after_a_killed_run_nothing_runs_and_the_next_one_clears_the_rest(tmp_path):
    with start(tmp_path / "plane") as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("https://")
        run.kill()
    wait_for("its programs ended with it", lambda: running(tmp_path / "plane") == [], 10)
    namespace = recorded(tmp_path / "plane")
    assert traces(namespace) == 3
    assert namespace in clear_leftovers()
    wait_for("the link went with its namespace", lambda: traces(namespace) == 0, 10)


def test_what_a_living_run_uses_is_left_alone(tmp_path):
    mine = Record(namespace="slipway-ffffff", link="slip-ffffffo", folder=str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    mine.write()
    try:
        assert "slipway-ffffff" not in clear_leftovers()
        assert (tmp_path / "mine").is_dir()
    finally:
        mine.remove()


def test_an_id_that_another_process_has_by_now_is_not_killed(tmp_path):
    """Ids come round again; only with the start time are they the process that was recorded."""
    with subprocess.Popen(SLEEP) as innocent:
        gone = Record(namespace="slipway-eeeeee", link="slip-eeeeeeo", folder=str(tmp_path / "gone"))
        gone._content |= {"owner": [innocent.pid, 1], "processes": [[innocent.pid, 1]]}
        gone.write()
        assert "slipway-eeeeee" in clear_leftovers()
        assert innocent.poll() is None
        innocent.kill()


def test_without_go_the_tier_fails_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SlipwayError, match=r"etcd 3\.6\.5 could not be built with Go 1\.26 or newer: no `go` on PATH"):
        go_programs.obtain("etcd")
    with pytest.raises(ChildError, match="no `go` on PATH"):
        go_programs.downloaded("k8s.io/kubernetes@v1.35.4")
