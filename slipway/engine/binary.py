"""Find or obtain the Pulumi engine: the user's own, the cached one, the official installer, or a build from source."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from semver import VersionInfo

from slipway.problems import SlipwayError

ENGINE_VERSION: Final = "3.259.0"
"""The engine every offline plan is tested with: what is installed or built, and the oldest one accepted on PATH."""

# Pulumi's own go.mod replaces this module; a replacement does not pass on to those who depend on it.
_CLIPBOARD_FORK: Final = "github.com/tgummerer/clipboard@v0.0.0-20241001131231-d02d263e614e"
_CLI_PACKAGE: Final = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE: Final = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

_INSTALL_SECONDS: Final = 300.0
_CONNECT_SECONDS: Final = 10.0
_BUILD_SECONDS: Final = 1800.0
_REPORT_EVERY_SECONDS: Final = 5.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A Pulumi CLI that can be run. `origin` says where it came from: PATH, cache, installer or go build."""

    path: Path
    version: str
    origin: str


class _UnavailableError(Exception):
    """One way of obtaining the engine did not work; the text says why."""


def obtain(on_progress: Progress | None = None) -> Engine:
    """The first engine that works, in the order: PATH, cache, official installer, Go build.

    The last two write to the cache under a file lock, so runs at the same time obtain it once.

    Raises:
        SlipwayError: nothing worked; the text names every way that was tried and why it failed.
    """
    report = on_progress or _silence
    tried: list[str] = []
    for way, find in (("pulumi on PATH", _from_path), ("cache", _from_cache)):
        try:
            return find()
        except _UnavailableError as reason:
            tried.append(f"{way}: {reason}")
    with _lock(report):
        with contextlib.suppress(_UnavailableError):
            return _from_cache()  # another run may have filled it while this one waited
        for way, make in (("official installer", _from_installer), ("go build", _from_source)):
            try:
                return make(report)
            except _UnavailableError as reason:
                tried.append(f"{way}: {reason}")
    raise SlipwayError(
        f"No Pulumi engine {ENGINE_VERSION} or newer could be found or obtained.\n"
        + "\n".join(f"  {line}" for line in tried)
        + f"\nInstall Pulumi {ENGINE_VERSION} or newer so that `pulumi version` works, or install Go 1.25 or newer, "
        "and run the command again."
    )


def _silence(_: str) -> None:
    """Report to nobody."""


def cache_folder() -> Path:
    """Where engines are kept: `$XDG_CACHE_HOME/slipway/pulumi`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "slipway" / "pulumi"


def _cached_binary() -> Path:
    return cache_folder() / ENGINE_VERSION / "bin" / "pulumi"


def _from_cache() -> Engine:
    path = _cached_binary()
    if not os.access(path, os.X_OK):
        raise _UnavailableError(f"nothing at {path}")
    return Engine(path=path, version=ENGINE_VERSION, origin="cache")


def _from_path() -> Engine:
    found = shutil.which("pulumi")
    if found is None:
        raise _UnavailableError("not found")
    path = Path(found).resolve()
    version = _version_of(path)
    try:
        parsed = VersionInfo.parse(version)
    except ValueError:
        raise _UnavailableError(f"{found} gives no version that can be read: {version!r}") from None
    minimum = VersionInfo.parse(ENGINE_VERSION)
    if parsed.major != minimum.major or parsed.compare(minimum) < 0:
        raise _UnavailableError(f"{found} is {version}, {ENGINE_VERSION} or newer of the same major version is needed")
    return Engine(path=path, version=version, origin="PATH")


def _version_of(path: Path) -> str:
    """The binary's version; remembered by path, size and time of change, as asking costs 0.2 s."""
    stat = path.stat()
    key = [str(path), stat.st_size, stat.st_mtime_ns]
    memory = cache_folder() / "path-version.json"
    with contextlib.suppress(OSError, ValueError):
        known_key, version = json.loads(memory.read_text())
        if known_key == key:
            return str(version)
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        answer = subprocess.run(
            [path, "version"], capture_output=True, text=True, timeout=30, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _UnavailableError(f"{path} does not run: {error}") from None
    version = answer.stdout.strip().removeprefix("v")
    if answer.returncode == 0:
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(json.dumps([key, version]))
    return version


@contextlib.contextmanager
def _lock(report: Progress) -> Generator[None]:
    """Held by one process at a time; the others wait and say so."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        handle = (cache_folder() / "lock").open("w")
    except OSError as error:
        raise SlipwayError(f"The folder for the Pulumi engine cannot be written: {error}") from None
    with handle:
        started = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report(
                    f"waiting for another run that is obtaining the Pulumi engine, {time.monotonic() - started:.0f} s"
                )
                time.sleep(1)
        yield


def _from_installer(report: Progress) -> Engine:
    """Pulumi's own installer, in a child process: its download has no time limit of its own."""
    script = (
        "import socket, sys; socket.setdefaulttimeout(float(sys.argv[3]))\n"
        "from pulumi.automation import PulumiCommand\n"
        "from semver import VersionInfo\n"
        "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))\n"
    )
    with _staging() as stage:
        command = [sys.executable, "-c", script, str(stage), ENGINE_VERSION, str(_CONNECT_SECONDS)]
        label = f"installing the Pulumi engine {ENGINE_VERSION}"
        report(label)
        _run(command, stage, label, _INSTALL_SECONDS, report)
        return _keep(stage, "installer")


def _from_source(report: Progress) -> Engine:
    """The same engine built from its Go module, for machines with a module proxy but no way to the installer."""
    go = shutil.which("go")
    if go is None:
        raise _UnavailableError("no `go` on PATH")
    label = f"building the Pulumi engine {ENGINE_VERSION} with Go, once (about 3 minutes on 2 cores)"
    report(label)
    linker = f"-s -w -X {_VERSION_VARIABLE}={ENGINE_VERSION}"
    with _staging() as stage, tempfile.TemporaryDirectory(prefix="slipway-go-") as folder:
        module = Path(folder)
        binary = stage / "bin" / "pulumi"
        for doing, arguments in (
            ("preparing", ["mod", "init", "slipway.local/engine"]),
            ("preparing", ["mod", "edit", "-replace", f"github.com/atotto/clipboard={_CLIPBOARD_FORK}"]),
            ("downloading", ["get", f"{_CLI_PACKAGE}@v{ENGINE_VERSION}"]),
            ("compiling", ["build", "-trimpath", "-ldflags", linker, "-o", str(binary), _CLI_PACKAGE]),
        ):
            _run([go, *arguments], module, f"{label}: {doing}", _BUILD_SECONDS, report)
        return _keep(stage, "go build")


@contextlib.contextmanager
def _staging() -> Generator[Path]:
    """A folder inside the cache, so that the finished engine can be moved into place in one step."""
    with tempfile.TemporaryDirectory(prefix="staging-", dir=cache_folder()) as folder:
        stage = Path(folder) / "engine"
        stage.mkdir()
        yield stage


def _keep(stage: Path, origin: str) -> Engine:
    binary = stage / "bin" / "pulumi"
    version = _version_of(binary)
    if version != ENGINE_VERSION:
        raise _UnavailableError(f"it gave version {version!r} instead of {ENGINE_VERSION}")
    target = _cached_binary().parent.parent
    if target.exists():
        shutil.rmtree(target)  # a broken leftover: a working one would have been used
    stage.rename(target)
    return Engine(path=_cached_binary(), version=ENGINE_VERSION, origin=origin)


def _run(command: list[str], folder: Path, label: str, limit_seconds: float, report: Progress) -> None:
    """Run to the end or the limit, reporting every few seconds; the whole process group ends with it."""
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "PULUMI_SKIP_UPDATE_CHECK": "true"}
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            _wait(process, label, started, limit_seconds, report)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            log.seek(0)
            lines = [line.strip() for line in log.read().splitlines() if line.strip()]
            raise _UnavailableError(lines[-1] if lines else f"exit code {process.returncode}")


def _wait(process: subprocess.Popen[bytes], label: str, started: float, limit_seconds: float, report: Progress) -> None:
    while True:
        try:
            process.wait(timeout=_REPORT_EVERY_SECONDS)
            return
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            if elapsed > limit_seconds:
                raise _UnavailableError(f"still not done after {elapsed:.0f} s") from None
            report(f"{label}, {elapsed:.0f} s")
