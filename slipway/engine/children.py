"""Child processes that take minutes: reported while they run, limited, and ended with all their descendants."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_REPORT_EVERY_SECONDS: Final = 5.0

Progress = Callable[[str], None]


class ChildError(Exception):
    """A child process failed or took too long; the text says why."""


def run(
    command: Sequence[str | Path],
    folder: Path,
    label: str,
    limit_seconds: float,
    report: Progress,
    *,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run to the end or the limit, reporting `label` every few seconds.

    Raises:
        ChildError: with the last line it printed, where it failed.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(variables or {})},
            start_new_session=True,
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
            raise ChildError(lines[-1] if lines else f"exit code {process.returncode}")


def _wait(process: subprocess.Popen[bytes], label: str, started: float, limit_seconds: float, report: Progress) -> None:
    while True:
        try:
            process.wait(timeout=_REPORT_EVERY_SECONDS)
            return
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            if elapsed > limit_seconds:
                raise ChildError(f"still not done after {elapsed:.0f} s") from None
            report(f"{label}, {elapsed:.0f} s")
