"""Prometheus and promtool: those on PATH, or Debian's package unpacked into the user's cache, never installed."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "prometheus"


@dataclass(frozen=True)
class DebianPrometheus:
    """The two programs of one version."""

    prometheus: Path
    promtool: Path


def prometheus() -> DebianPrometheus:
    """The programs, obtained where they are missing; AssertionError with apt's words where that is impossible."""
    on_path = [shutil.which(name) for name in ("prometheus", "promtool")]
    if all(on_path):
        return DebianPrometheus(*(Path(str(found)) for found in on_path))
    version = _candidate()
    folder = _cache() / version.replace(":", "_")
    if not (folder / "usr/bin/promtool").is_file():
        _unpack(version, folder)
    return DebianPrometheus(folder / "usr/bin/prometheus", folder / "usr/bin/promtool")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "slipway" / "debian" / PACKAGE


def _candidate() -> str:
    """The version apt would install; the package lists are fetched where it knows of none."""
    if found := _known_version():
        return found
    _apt("apt-get", "update", "-qq")
    found = _known_version()
    assert found, f"apt knows no package {PACKAGE}: install it, so that `promtool --version` works"
    return found


def _known_version() -> str | None:
    shown = _apt("apt-cache", "policy", PACKAGE)
    candidates = [line.split(":", 1)[1].strip() for line in shown.splitlines() if "Candidate:" in line]
    return next((version for version in candidates if version != "(none)"), None)


def _unpack(version: str, folder: Path) -> None:
    """Downloads and unpacks beside the folder, then renames: a run that is cut short leaves nothing half done."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            _apt("apt-get", "download", f"{PACKAGE}={version}", folder=scratch)
        except AssertionError:  # the lists name a version the mirror no longer has
            _apt("apt-get", "update", "-qq")
            _apt("apt-get", "download", PACKAGE, folder=scratch)
        (package,) = Path(scratch).glob("*.deb")
        unpacked = Path(scratch) / "unpacked"
        _apt("dpkg", "--extract", str(package), str(unpacked))
        if not folder.exists():
            unpacked.rename(folder)


def _apt(*command: str, folder: str | None = None) -> str:
    program = shutil.which(command[0])
    assert program, f"{command[0]} is missing: install prometheus, so that `promtool --version` works"
    done = subprocess.run([program, *command[1:]], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout
