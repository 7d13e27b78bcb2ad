"""The user's program, run inside this process as the engine's inline program."""

import asyncio
import contextlib
import copy
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, cast

import pulumi
from pulumi import RunError
from pulumi.output import UNKNOWN as UNKNOWN_OUTPUT
from pulumi.runtime import config as runtime_config
from pulumi.runtime import settings as runtime_settings
from pulumi.runtime.proto import engine_pb2

from slipway.engine import waiting
from slipway.engine.turn import TURN

waiting.install()

_LOOP_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.005
_STOPPED_LOOKS: Final = 40
# SDKs read these as defaults of providers; a plan must not depend on whose machine it runs on.
_PERSONAL: Final = ("AWS_", "KUBE", "DOCKER_", "GOOGLE_", "AZURE_", "PULUMI_")


class InlineProgram:
    """Runs `body` once per operation; `failure` keeps what it raised, whole, for the caller.

    That includes what a function given to `apply` raised later: the SDK re-raises it too, but Python's tasks give a
    traceback away only once, and by then it is gone.
    """

    def __init__(self, body: "Callable[[], object]", folder: Path, secrets: frozenset[str]) -> None:
        self.failure: BaseException | None = None
        self._body = body
        self._folder = folder
        self._secrets = secrets
        self._task: asyncio.Task[Any] | None = None
        self.__name__ = "slipway"  # shown by the Automation API

    def __call__(self) -> None:
        """Called by the language server, inside the operation's own runtime settings."""
        self.failure = None
        self._task = asyncio.current_task()
        _without_debug_log()
        asyncio.get_running_loop().set_task_factory(self._task_of)
        _hide(self._secrets)
        try:
            with TURN, _impersonal(os.environ), _importable(self._folder), contextlib.redirect_stdout(sys.stderr):
                self._body()
        except BaseException as error:
            self.failure = error
            raise RunError(str(error) or type(error).__name__) from error

    def _task_of(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(self._watched(coroutine), loop=loop, **options)

    async def _watched(self, coroutine: Awaitable[Any]) -> Any:
        try:
            return await coroutine
        except Exception as error:
            if self.failure is None and place_of(error, self._folder) is not None:
                self.failure = copy.copy(error).with_traceback(error.__traceback__)
            raise

    def finish(self) -> None:
        """After a failed operation: wait for the program's loop to end, and end what the SDK left suspended in it.

        A coroutine that the garbage collector finds suspended prints a traceback of its own.
        """
        if self._task is None:
            return
        loop = self._task.get_loop()
        _wait_for_end(loop)
        with contextlib.suppress(RuntimeError, ValueError):
            cast("Coroutine[Any, Any, Any]", self._task.get_coro()).close()
        if not loop.is_running():
            loop.close()
        self._task = None


def _wait_for_end(loop: asyncio.AbstractEventLoop) -> None:
    """Until the loop is closed, or stays stopped: the SDK does not close a loop that a lost engine stopped."""
    deadline = time.monotonic() + _LOOP_SECONDS
    stopped = 0
    while not loop.is_closed() and stopped < _STOPPED_LOOKS and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        stopped = 0 if loop.is_running() else stopped + 1


def from_file(path: Path) -> Callable[[], None]:
    """A program file as a function. `runpy` is of no use here: it swaps `sys.argv` and `__main__` for all threads."""

    def run() -> None:
        code = compile(path.read_bytes(), str(path), "exec")
        exec(code, {"__name__": "__main__", "__file__": str(path), "__builtins__": __builtins__})  # noqa: S102

    return run


class _QuietEngine:
    """The engine's service without its debug log: the SDK sends some 300 lines a plan, and waits for each (0.1 s)."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def Log(self, request: engine_pb2.LogRequest) -> Any:  # noqa: N802 - the name in the protocol
        """Pass on what is meant for the user."""
        return None if request.severity == engine_pb2.DEBUG else self._engine.Log(request)


def _without_debug_log() -> None:
    engine: Any = runtime_settings.get_engine()
    if engine is not None:
        settings: Any = runtime_settings.SETTINGS
        settings.engine = _QuietEngine(engine)


def _hide(keys: frozenset[str]) -> None:
    """Make configured secrets unknown to the program: `require_secret` then gives an unknown secret output."""
    if not keys:
        return
    config: Mapping[str, Any] = runtime_config.CONFIG.get()
    hidden: dict[str, Any] = {key: UNKNOWN_OUTPUT for key in keys if _plain(config.get(key))}
    pulumi.runtime.set_all_config({**config, **hidden}, sorted(keys))


def _plain(value: Any) -> bool:
    """Whether the whole value was one secret; a mapping with a secret inside stays readable, and marked secret."""
    return isinstance(value, str) and not value.startswith(("{", "["))


@contextlib.contextmanager
def _impersonal(environment: MutableMapping[str, str]) -> Generator[None]:
    """Without the user's accounts, clusters and hosts."""
    taken = {name: environment.pop(name) for name in list(environment) if name.startswith(_PERSONAL)}
    try:
        yield
    finally:
        environment.update(taken)


@contextlib.contextmanager
def _importable(folder: Path) -> Generator[None]:
    """With the project's folder first on the import path, as the engine's own language host has it."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)


def place_of(error: BaseException, folder: Path) -> str | None:
    """Where in the project an exception was raised, as ``file:line``; None when it never passed through it."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(folder.resolve()) + os.sep
    inside = [
        frame
        for frame in frames
        if str(Path(frame.filename).resolve()).startswith(root) and "site-packages" not in frame.filename
    ]
    if not inside:
        return None
    frame = inside[-1]
    return f"{Path(frame.filename).resolve().relative_to(folder.resolve())}:{frame.lineno}"
