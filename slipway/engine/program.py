"""The user's program, run inside this process as the engine's inline program."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi import RunError
from pulumi.output import UNKNOWN as UNKNOWN_OUTPUT
from pulumi.runtime import config as runtime_config

from slipway.engine.turn import TURN

# SDKs read these as defaults of providers; a plan must not depend on whose machine it runs on.
_PERSONAL: Final = ("AWS_", "KUBE", "DOCKER_", "GOOGLE_", "AZURE_", "PULUMI_")


class InlineProgram:
    """Runs `body` once per operation; `failure` keeps what it raised, whole, for the caller."""

    def __init__(self, body: "Callable[[], object]", folder: Path, secrets: frozenset[str]) -> None:
        self.failure: BaseException | None = None
        self._body = body
        self._folder = folder
        self._secrets = secrets
        self.__name__ = "slipway"  # shown by the Automation API

    def __call__(self) -> None:
        """Called by the language server, inside the operation's own runtime settings."""
        self.failure = None
        _hide(self._secrets)
        try:
            with TURN, _impersonal(os.environ), _importable(self._folder):
                self._body()
        except BaseException as error:
            self.failure = error
            raise RunError(str(error) or type(error).__name__) from error


def from_file(path: Path) -> Callable[[], None]:
    """A program file as a function. `runpy` is of no use here: it swaps `sys.argv` and `__main__` for all threads."""

    def run() -> None:
        code = compile(path.read_bytes(), str(path), "exec")
        exec(code, {"__name__": "__main__", "__file__": str(path), "__builtins__": __builtins__})  # noqa: S102

    return run


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
def _impersonal(environment: "os._Environ[str]") -> Iterator[None]:
    """Without the user's accounts, clusters and hosts."""
    taken = {name: environment.pop(name) for name in list(environment) if name.startswith(_PERSONAL)}
    try:
        yield
    finally:
        environment.update(taken)


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
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
    inside = [frame for frame in frames if str(Path(frame.filename).resolve()).startswith(root)]
    inside = [frame for frame in inside if "site-packages" not in frame.filename] or inside
    if not inside:
        return None
    frame = inside[-1]
    return f"{Path(frame.filename).resolve().relative_to(folder.resolve())}:{frame.lineno}"
