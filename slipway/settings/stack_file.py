"""A stack file: found by the stack's name or by its path, read with the line of every key, checked completely."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from slipway.problems import Problem, StackError
from slipway.settings import yaml_text
from slipway.settings.mistakes import line_of, spell
from slipway.settings.models import Settings
from slipway.settings.names import nearest
from slipway.settings.parsing import NAMESPACE, from_config

# Pulumi's own top-level keys; the engine ignores any other in silence.
TOP_LEVEL = ("config", "secretsprovider", "encryptedkey", "encryptionsalt", "environment")
_STACK_FILE = re.compile(r"^Pulumi\.(?P<stack>.+)\.ya?ml$")
_STACK_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,100}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """One stack file. `config` is its ``config:`` block as it stands; `settings` is what it means.

    `file` is the path as a user recognises it; `lines` holds the line of every key, by path as in a Problem's `key`.
    """

    name: str
    path: Path
    config: Mapping[str, Any]
    settings: Settings
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict[str, int])

    def located(self, error: StackError) -> StackError:
        """The same problems with their place in this file; for problems that rooms further on find."""
        placed = (replace(problem, file=self.file, line=line_of(problem.key, self.lines)) for problem in error.problems)
        return StackError(error.stack, placed)


def read_stack(reference: str, project: Path) -> StackFile:
    """The stack file `reference` names: a stack of `project` (``prod``), or the path of any stack file.

    Raises StackError with every mistake at once.
    """
    path = _find(reference, project)
    name = stack_name(path)
    file = _shown(path, project)
    document, lines = _document(path, name, file)
    problems = _top_level(document, file, lines)
    config = document.get("config")
    if not isinstance(config, dict):
        config, blank = {}, config is None
        message = "is missing" if blank else "must be a mapping of keys to values"
        hint = "put the stack's keys under `config:`, such as `slipway:platform: vllm`"
        problems.append(Problem(key="config", message=message, hint=hint, file=file, line=lines.get(("config",))))
        raise StackError(name, problems)
    inside = {key: line for where, line in lines.items() if where[0] == "config" for key in _spellings(where[1:])}
    block = cast("dict[str, Any]", config)
    try:
        settings = from_config(name, block, file=file, lines=inside)
    except StackError as error:
        raise StackError(name, sorted([*problems, *error.problems], key=_line)) from None
    if problems:
        raise StackError(name, problems)
    return StackFile(name=name, path=path, config=block, settings=settings, file=file, lines=inside)


def stack_names(project: Path) -> tuple[str, ...]:
    """The names of the stacks whose files lie in `project`."""
    found = (_STACK_FILE.match(path.name) for path in project.iterdir() if path.is_file())
    return tuple(sorted(match["stack"] for match in found if match))


def stack_name(path: Path) -> str:
    """The stack's name from its file's: ``Pulumi.prod.yaml`` is prod, ``examples/vllm.yaml`` is vllm."""
    match = _STACK_FILE.match(path.name)
    name = match["stack"] if match else path.stem
    if not _STACK_NAME.match(name):
        problem = Problem(
            key=path.name,
            message="the file's name gives no stack name: letters, digits and _ . - only, at most 100",
            hint="rename the file, for example to Pulumi.prod.yaml",
        )
        raise StackError(name, [problem])
    return name


def _find(reference: str, project: Path) -> Path:
    if _is_path(reference):
        candidates = (Path(reference).expanduser(), project / reference)
    else:
        candidates = (project / f"Pulumi.{reference}.yaml", project / f"Pulumi.{reference}.yml")
    for path in candidates:
        if _is_file(path):
            return path.resolve()
    if _is_path(reference):
        raise StackError(reference, [Problem(key=reference, message="there is no such file")])
    names = stack_names(project) if project.is_dir() else ()
    raise StackError(
        reference,
        [
            Problem(
                key=reference,
                message="there is no such stack",
                allowed=names,
                nearest=nearest(reference, names),
                hint="a stack is a name, for which Pulumi.NAME.yaml exists, or the path of a stack file",
            )
        ],
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be read
        return False


def _is_path(reference: str) -> bool:
    return reference.endswith((".yaml", ".yml")) or "/" in reference or "\\" in reference


def _shown(path: Path, project: Path) -> str:
    """The path as a user recognises it."""
    for base in (project.resolve(), Path.cwd()):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


def _document(path: Path, name: str, file: str) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    try:
        document, lines = yaml_text.read(path.read_text(encoding="utf-8-sig"), file)
    except yaml_text.YamlError as error:
        raise StackError(name, error.problems) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = "this is not a text file" if isinstance(error, UnicodeDecodeError) else "cannot be read"
        raise StackError(name, [Problem(key=file, message=reason, file=file)]) from None
    if document is None:
        return {}, lines
    if not isinstance(document, dict):
        message = "a stack file is a mapping with the key `config`"
        raise StackError(name, [Problem(key=file, message=message, file=file, line=1)])
    return cast("dict[str, Any]", document), lines


def _top_level(document: Mapping[str, Any], file: str, lines: Mapping[tuple[str | int, ...], int]) -> list[Problem]:
    return [
        Problem(
            key=key,
            message="there is no such key in a stack file",
            allowed=TOP_LEVEL,
            nearest=nearest(key, TOP_LEVEL),
            hint="keys of the stack belong under `config:`" if ":" in key else None,
            file=file,
            line=lines.get((key,)),
        )
        for key in document
        if key not in TOP_LEVEL
    ]


def _spellings(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """How messages may name a key: as it stands, and in full where it stands without Slipway's namespace."""
    if not path:
        return ()
    written = spell(path)
    return (written,) if ":" in str(path[0]) else (written, f"{NAMESPACE}:{written}")


def _line(problem: Problem) -> int:
    """What is missing altogether comes last."""
    return problem.line if problem.line is not None else 10**9
