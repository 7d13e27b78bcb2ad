"""The Pulumi CLI as the Automation API runs it, with an environment of its own and an end that is certain."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from pulumi.automation import CommandResult, OnOutput, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from slipway.engine.binary import Engine

# All that an engine process may know of its surroundings: no credentials, no cluster, no account.
_PASSED_ON: Final = ("PATH", "TMPDIR", "TMP", "TEMP", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_GRACE_SECONDS: Final = 3.0


class EngineCommand(PulumiCommand):
    """Runs the CLI for one session.

    Differs from the class it extends in three ways: the version is known and not asked for again (0.2 s), the
    environment is built from nothing instead of inherited, and every process is ended with the session.
    """

    def __init__(self, engine: Engine, home: Path) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.command = str(engine.path)
        self.version = VersionInfo.parse(engine.version)
        self._home = home
        self._running: set[subprocess.Popen[str]] = set()
        self._guard = threading.Lock()
        self._cancelled = False

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run one command to its end. Raises the Automation API's CommandError when it fails."""
        process = self._start(["--non-interactive", *args], cwd, additional_env)
        out, err = _Lines(process.stdout, on_output), _Lines(process.stderr, on_error)
        try:
            process.wait()
        finally:
            _end(process)
            with self._guard:
                self._running.discard(process)
            out.join()
            err.join()
        result = CommandResult(stdout=out.text, stderr=err.text, code=process.returncode)
        if result.code != 0:
            raise create_command_error(result)
        return result

    def cancel(self) -> None:
        """End every running command and refuse new ones; callable from any thread."""
        with self._guard:
            self._cancelled = True
            running = tuple(self._running)
        for process in running:
            _end(process)

    def _start(self, args: list[str], cwd: str, additional_env: Mapping[str, str]) -> "subprocess.Popen[str]":
        with self._guard:
            if self._cancelled:
                raise InterruptedError("the session was cancelled")
            process = subprocess.Popen(
                [self.command, *args],
                cwd=cwd,
                env=environment(self._home, additional_env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,  # a terminal's Ctrl-C reaches this process only, which then ends the engine
            )
            self._running.add(process)
            return process


def environment(home: Path, additional: Mapping[str, str]) -> dict[str, str]:
    """The engine's whole environment: a few neutral variables, a home folder of its own, and `additional`."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "HOME": str(home), "PULUMI_AUTOMATION_API": "true", **additional}


def _end(process: "subprocess.Popen[str]") -> None:
    """Ask politely, then insist; harmless when the process has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class _Lines(threading.Thread):
    """Reads a stream line by line, so that neither of two pipes can fill up and block the engine."""

    def __init__(self, stream: IO[str] | None, on_line: OnOutput | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._on_line = on_line
        self._lines: list[str] = []
        self.start()

    def run(self) -> None:
        assert self._stream is not None  # noqa: S101 - both are pipes
        with self._stream as stream:
            for line in stream:
                self._lines.append(line.rstrip())
                if self._on_line:
                    self._on_line(self._lines[-1])

    @property
    def text(self) -> str:
        """All lines read so far."""
        return "\n".join(self._lines)
