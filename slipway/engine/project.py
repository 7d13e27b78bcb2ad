"""A project prepared for planning: the same settings in a folder of their own, with no secret and no account."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import yaml

from slipway.engine.standins.values import UNKNOWN_ON_THE_WIRE
from slipway.problems import SlipwayError

_STACK_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class StackSource(Protocol):
    """What a plan needs of a stack file; `slipway.settings.StackFile` has it."""

    @property
    def name(self) -> str:
        """The stack's name."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The raw values of the file's `config:` block."""
        ...


@dataclass(frozen=True, slots=True)
class Project:
    """A Pulumi project as it stands in its folder. `program` is None for a session that brings its own function."""

    name: str
    folder: Path
    schema: Mapping[str, Any]
    program: Path | None


def read_project(folder: Path) -> Project:
    """Read a project's `Pulumi.yaml`.

    Raises:
        SlipwayError: there is none, it is not YAML, or the program it names is missing.
    """
    path = folder / "Pulumi.yaml"
    try:
        loaded: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SlipwayError(f"{folder} holds no Pulumi.yaml; run the command inside a Slipway project") from None
    except yaml.YAMLError as error:
        raise SlipwayError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(loaded, dict) or not isinstance(cast("dict[str, Any]", loaded).get("name"), str):
        raise SlipwayError(f"{path} names no project")
    settings = cast("dict[str, Any]", loaded)
    main = folder / str(settings.get("main") or "")
    program = main / "__main__.py" if main.is_dir() else main
    if not program.is_file():
        raise SlipwayError(f"{path} is there, but its program {program} is not")
    schema = cast("Mapping[str, Any]", settings.get("config") or {})
    return Project(name=settings["name"], folder=folder, schema=schema, program=program)


@dataclass(frozen=True, slots=True)
class PlannedConfig:
    """A stack's configuration with every secret made unknown. `secrets` are the keys that held one."""

    values: Mapping[str, Any]
    secrets: frozenset[str]


def without_secrets(config: Mapping[str, Any]) -> PlannedConfig:
    """Replace every `{secure: ...}`, at any depth: nothing is decrypted, so no passphrase or key is needed."""
    values = {key: _concealed(value) for key, value in config.items()}
    return PlannedConfig(values, frozenset(key for key, value in config.items() if values[key] != value))


def _concealed(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        if set(items) == {"secure"}:
            return UNKNOWN_ON_THE_WIRE
        return {key: _concealed(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [_concealed(item) for item in cast("list[Any]", value)]
    return value


@dataclass(frozen=True, slots=True)
class Folders:
    """The temporary folders of one session, all below `root`."""

    root: Path

    @property
    def work(self) -> Path:
        """Where the copies of the project's and the stack's settings are."""
        return self.root / "work"

    @property
    def state(self) -> Path:
        """The session's own backend."""
        return self.root / "state"

    @property
    def home(self) -> Path:
        """The engine's own home, so that the user's plugins, credentials and selected stack stay untouched."""
        return self.root / "home"

    def checkpoint(self, project: str, stack: str) -> Path:
        """The file the backend keeps a stack's state in."""
        return self.state / ".pulumi" / "stacks" / project / f"{stack}.json"


def prepare(folders: Folders, project: Project, stack: str, config: PlannedConfig) -> None:
    """Write what the engine reads: project settings, stack settings, an empty stack.

    The stack's state is written here instead of by `pulumi stack init`, which costs 0.25 s: the file is version 3 of
    the engine's own checkpoint format, whose readers are kept for good.
    """
    if not _STACK_NAME.fullmatch(stack):
        message = f"'{stack}' is no name for a stack: letters, digits, hyphens, underscores and dots, at most 100"
        raise SlipwayError(message)
    for folder in (folders.work, folders.home, folders.checkpoint(project.name, stack).parent):
        folder.mkdir(parents=True)
    settings = {"name": project.name, "runtime": "python", "config": _relaxed(project.schema, config.secrets)}
    _write_yaml(folders.work / "Pulumi.yaml", settings)
    _write_yaml(folders.work / f"Pulumi.{stack}.yaml", {"config": dict(config.values)})
    (folders.state / ".pulumi" / "meta.yaml").write_text("version: 1\n")
    empty = {"stack": f"organization/{project.name}/{stack}", "latest": None}
    checkpoint = json.dumps({"version": 3, "checkpoint": empty})
    folders.checkpoint(project.name, stack).write_text(checkpoint)


def _relaxed(schema: Mapping[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    """The project's configuration schema, without asking for a type or for secrecy of values that became unknown."""
    return {key: {} if key in secrets else declared for key, declared in schema.items()}


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
