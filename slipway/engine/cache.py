"""Where programs are kept that were obtained once: one folder per program and version, filled under a file lock."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from slipway.engine.children import Progress
from slipway.problems import SlipwayError


def folder(program: str) -> Path:
    """A program's folder: `$XDG_CACHE_HOME/slipway/<program>`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "slipway" / program


def binary(program: str, version: str) -> Path:
    """Where a version's executable lies, whether it is there or not."""
    return folder(program) / version / "bin" / program


@contextlib.contextmanager
def lock(program: str, title: str, report: Progress) -> Generator[None]:
    """Held by one process at a time; the others wait and say so.

    Raises:
        SlipwayError: the folder cannot be written.
    """
    try:
        folder(program).mkdir(parents=True, exist_ok=True)
        handle = (folder(program) / "lock").open("w")
    except OSError as error:
        raise SlipwayError(f"The folder for {title} cannot be written: {error}") from None
    with handle:
        started = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report(f"waiting for another run that is obtaining {title}, {time.monotonic() - started:.0f} s")
                time.sleep(1)
        yield


@contextlib.contextmanager
def staging(program: str) -> Generator[Path]:
    """A folder inside the cache, so that what is finished can be moved into place in one step by `keep`."""
    with tempfile.TemporaryDirectory(prefix="staging-", dir=folder(program)) as parent:
        stage = Path(parent) / "stage"
        stage.mkdir()
        yield stage


def keep(stage: Path, program: str, version: str) -> Path:
    """Move a finished stage to its place, and give that. A leftover there is broken: a working one would be in use."""
    target = folder(program) / version
    if target.exists():
        shutil.rmtree(target)
    stage.rename(target)
    return target
