"""Find or obtain the Pulumi engine: the user's own, the cached one, the official installer, or a build from source."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from semver import VersionInfo

from slipway.engine import cache, go
from slipway.engine.children import ChildError, Progress, run
from slipway.problems import SlipwayError

ENGINE_VERSION: Final = "3.259.0"
"""The engine every offline plan is tested with: what is installed or built, and the oldest one accepted on PATH."""

_PROGRAM: Final = "pulumi"
_SOURCE: Final = go.GoProgram(
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    version=ENGINE_VERSION,
    replacements=("github.com/atotto/clipboard=github.com/tgummerer/clipboard@v0.0.0-20241001131231-d02d263e614e",),
    linked={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": ENGINE_VERSION},
)
_QUIET: Final = {"PULUMI_SKIP_UPDATE_CHECK": "true"}

_INSTALL_SECONDS: Final = 300.0
_CONNECT_SECONDS: Final = 10.0


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
    with cache.lock(_PROGRAM, "the Pulumi engine", report):
        with contextlib.suppress(_UnavailableError):
            return _from_cache()  # another run may have filled it while this one waited
        for way, make in (("official installer", _from_installer), ("go build", _from_source)):
            try:
                return make(report)
            except (_UnavailableError, ChildError) as reason:
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
    """Where engines are kept."""
    return cache.folder(_PROGRAM)


def _cached_binary() -> Path:
    return cache.binary(_PROGRAM, ENGINE_VERSION)


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
    environment = {**os.environ, **_QUIET}
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


def _from_installer(report: Progress) -> Engine:
    """Pulumi's own installer, in a child process: its download has no time limit of its own."""
    script = (
        "import socket, sys; socket.setdefaulttimeout(float(sys.argv[3]))\n"
        "from pulumi.automation import PulumiCommand\n"
        "from semver import VersionInfo\n"
        "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))\n"
    )
    with cache.staging(_PROGRAM) as stage:
        command = [sys.executable, "-c", script, str(stage), ENGINE_VERSION, str(_CONNECT_SECONDS)]
        label = f"installing the Pulumi engine {ENGINE_VERSION}"
        report(label)
        run(command, stage, label, _INSTALL_SECONDS, report, variables=_QUIET)
        return _keep(stage, "installer")


def _from_source(report: Progress) -> Engine:
    """The same engine built from its Go module, for machines with a module proxy but no way to the installer."""
    label = f"building the Pulumi engine {ENGINE_VERSION} with Go, once (about 3 minutes on 2 cores)"
    report(label)
    with cache.staging(_PROGRAM) as stage:
        go.build(_SOURCE, stage / "bin" / _PROGRAM, label, report)
        return _keep(stage, "go build")


def _keep(stage: Path, origin: str) -> Engine:
    binary = stage / "bin" / "pulumi"
    version = _version_of(binary)
    if version != ENGINE_VERSION:
        raise _UnavailableError(f"it gave version {version!r} instead of {ENGINE_VERSION}")
    cache.keep(stage, _PROGRAM, ENGINE_VERSION)
    return Engine(path=_cached_binary(), version=ENGINE_VERSION, origin=origin)
