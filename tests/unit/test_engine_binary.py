"""Which Pulumi engine is taken, and what a user reads when there is none."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from slipway.engine import binary, children, go
from slipway.engine.binary import ENGINE_VERSION, obtain
from slipway.problems import SlipwayError

pytestmark = pytest.mark.unit


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty cache and an empty PATH, where a test can put programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(binary, "_from_installer", _refuse("no internet"))
    monkeypatch.setattr(children, "_REPORT_EVERY_SECONDS", 0.05)
    return programs


def _refuse(reason):
    def fail(report):
        raise binary._UnavailableError(reason)

    return fail


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def cached() -> Path:
    return binary.cache_folder() / ENGINE_VERSION / "bin" / "pulumi"


@pytest.mark.parametrize("version", [f"v{ENGINE_VERSION}", "v3.999.0"])
def test_the_users_own_engine_is_taken_when_it_is_new_enough(place, version):
    own = program(place / "pulumi", f"echo {version}")
    program(cached(), "echo unused")
    engine = obtain()
    assert (engine.path, engine.version, engine.origin) == (own, version[1:], "PATH")


@pytest.mark.parametrize("version", ["v3.258.9", "v4.0.0", "v2.9.0", "nonsense", ""])
def test_an_older_or_foreign_engine_on_the_path_is_passed_over_for_the_cached_one(place, version):
    program(place / "pulumi", f"echo {version}")
    kept = program(cached(), "exit 1")
    assert obtain().path == kept


def test_the_version_on_the_path_is_asked_once_and_again_after_an_upgrade(place):
    own = program(place / "pulumi", 'echo asked >> "$(dirname "$0")/log"; echo v3.300.0')
    assert [obtain().version, obtain().version] == ["3.300.0", "3.300.0"]
    assert (place / "log").read_text() == "asked\n"
    program(own, "echo v3.301.0-longer")
    assert obtain().version == "3.301.0-longer"


def test_a_build_is_kept_in_the_cache_and_reported_while_it_runs(place):
    script = f"""
        case "$1" in
          build)
            sleep 0.3
            while [ "$1" != -o ]; do shift; done
            mkdir -p "$(dirname "$2")"
            printf '#!/bin/sh\\necho v{ENGINE_VERSION}\\n' > "$2"
            chmod +x "$2";;
        esac"""
    program(place / "go", script)
    lines: list[str] = []
    engine = obtain(lines.append)
    assert (engine.path, engine.origin) == (cached(), "go build")
    assert obtain().origin == "cache"
    assert any("compiling, 0 s" in line for line in lines)
    left = sorted(path.name for path in binary.cache_folder().iterdir())
    assert left == [ENGINE_VERSION, "lock", "path-version.json"]


def test_a_build_of_another_version_is_refused(place):
    program(
        place / "go",
        'while [ $# -gt 0 ] && [ "$1" != -o ]; do shift; done; [ $# = 0 ] && exit 0\n'
        'mkdir -p "$(dirname "$2")"; printf \'#!/bin/sh\\necho v3.1.0\\n\' > "$2"; chmod +x "$2"',
    )
    with pytest.raises(SlipwayError, match=f"gave version '3.1.0' instead of {ENGINE_VERSION}"):
        obtain()
    assert not cached().exists()


def test_when_nothing_works_every_way_is_named_with_its_reason_and_the_next_step(place):
    program(place / "pulumi", "echo v3.100.0")
    program(place / "go", "echo 'go: no network' >&2; exit 1")
    with pytest.raises(SlipwayError) as caught:
        obtain()
    text = str(caught.value)
    assert f"pulumi on PATH: {place / 'pulumi'} is 3.100.0, {ENGINE_VERSION} or newer" in text
    assert f"cache: nothing at {cached()}" in text
    assert "official installer: no internet" in text
    assert "go build: go: no network" in text
    assert f"Install Pulumi {ENGINE_VERSION} or newer" in text


def test_a_way_that_hangs_is_ended_with_all_its_processes(place, monkeypatch, tmp_path):
    monkeypatch.setattr(go, "BUILD_SECONDS", 0.2)
    pid_file = tmp_path / "pid"
    program(place / "go", f"sleep 60 & echo $! > {pid_file}; wait")
    started = time.monotonic()
    with pytest.raises(SlipwayError, match="go build: still not done after"):
        obtain()
    assert time.monotonic() - started < 10
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(_alive(int(pid_file.read_text())), 0)


def _alive(pid: int) -> int:
    """The process, unless it only waits to be collected by its parent."""
    state = Path(f"/proc/{pid}/stat")
    zombie = state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return 2**22 + 1 if zombie else pid


def test_a_second_run_waits_for_the_first_and_uses_what_it_made(place):
    binary.cache_folder().mkdir(parents=True)
    lines: list[str] = []
    with (binary.cache_folder() / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def finish():
            program(cached(), "exit 1")
            fcntl.flock(other, fcntl.LOCK_UN)

        timer = threading.Timer(0.3, finish)
        timer.start()
        engine = obtain(lines.append)
        timer.join()
    assert (engine.path, engine.origin) == (cached(), "cache")
    assert lines[0].startswith("waiting for another run")
