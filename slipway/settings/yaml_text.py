"""YAML as Pulumi's engine reads it, with the line of every key, and duplicate keys refused.

The engine reads stack files with yaml.v3: ``yes`` is text, ``1_000`` and ``5e6`` are numbers. PyYAML's own rules
differ, and a value that means one thing in the plan and another in the engine would be a trap.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from slipway.problems import Problem
from slipway.settings.mistakes import Path, spell
from slipway.settings.secrecy import show

_INT = re.compile(r"^[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^([-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(~|null|Null|NULL|)$")
# Far more than any stack has; a handful of anchors can ask for billions.
_MOST_VALUES = 20_000
_MOST_LEVELS = 30


class _Loader(yaml.SafeLoader):
    """Composes nodes with yaml.v3's rules for plain scalars."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own way to hold them


for _tag, _pattern in (
    ("null", _NULL),
    ("bool", _BOOL),
    ("int", _INT),
    ("float", _FLOAT),
    ("merge", re.compile("^<<$")),
):
    cast("Any", _Loader).add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, None)


class YamlError(Exception):
    """The text cannot be read; holds what to tell the user."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in problems))


@dataclass(slots=True)
class _Reading:
    file: str
    lines: dict[Path, int] = field(default_factory=dict[Path, int])
    problems: list[Problem] = field(default_factory=list[Problem])
    open_nodes: set[int] = field(default_factory=set[int])
    values: int = 0

    def refuse(self, path: Path, message: str, node: yaml.Node) -> None:
        """Note a mistake at `path`; keys inside ``config:`` are spelled as Pulumi spells them."""
        inside = path[1:] if len(path) > 1 and path[0] == "config" else path
        key = show(spell(inside)) if inside else self.file
        self.problems.append(Problem(key=key, message=message, file=self.file, line=node.start_mark.line + 1))


def read(text: str, file: str) -> tuple[Any, dict[Path, int]]:
    """The document in `text`, and the line of every key and list item by path. Raises YamlError."""
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise YamlError([_syntax_problem(error, file)]) from None
    except yaml.YAMLError:
        raise YamlError([Problem(key=file, message="this is not a text file", file=file)]) from None
    except RecursionError:
        raise YamlError([Problem(key=file, message="the file is nested too deeply to be read", file=file)]) from None
    reading = _Reading(file)
    document = _value(node, (), reading) if node is not None else None
    if reading.problems:
        raise YamlError(reading.problems)
    return document, reading.lines


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        cast("Any", loader).dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = " ".join(part for part in (error.context, error.problem) if part)
    return Problem(
        key=file,
        message=f"this is not valid YAML: {show(said)}",
        file=file,
        line=mark.line + 1 if mark else None,
        hint="indent with spaces, put a space after each colon, close every bracket and quote",
    )


def _value(node: yaml.Node, path: Path, reading: _Reading) -> Any:
    if len(path) > _MOST_LEVELS:
        reading.refuse(path[:_MOST_LEVELS], "is nested too deeply", node)
        raise YamlError(reading.problems[-1:])
    reading.values += 1
    if id(node) in reading.open_nodes or reading.values > _MOST_VALUES:
        reading.refuse(path, "anchors make this file endless", node)
        raise YamlError(reading.problems[:1])
    reading.open_nodes.add(id(node))
    try:
        if isinstance(node, yaml.MappingNode):
            return _mapping(node, path, reading)
        if isinstance(node, yaml.SequenceNode):
            return [
                _item(item, (*path, index), reading) for index, item in enumerate(cast("list[yaml.Node]", node.value))
            ]
        return _scalar(cast("yaml.ScalarNode", node), path, reading)
    finally:
        reading.open_nodes.discard(id(node))


def _item(node: yaml.Node, path: Path, reading: _Reading) -> Any:
    reading.lines[path] = node.start_mark.line + 1
    return _value(node, path, reading)


def _mapping(node: yaml.MappingNode, path: Path, reading: _Reading) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        if key.tag == "tag:yaml.org,2002:merge":
            for source in _merge_sources(value, path, reading):
                merged = source | merged
            continue
        if not isinstance(key, yaml.ScalarNode):
            reading.refuse(path, "a key must be text", key)
            continue
        name = str(key.value)
        if name in own:
            first = reading.lines[(*path, name)]
            reading.refuse((*path, name), f"this key stands twice; the first is on line {first}", key)
            continue
        reading.lines[(*path, name)] = key.start_mark.line + 1
        own[name] = _value(value, (*path, name), reading)
    return {**own, **{name: value for name, value in merged.items() if name not in own}}


def _merge_sources(node: yaml.Node, path: Path, reading: _Reading) -> Iterator[dict[str, Any]]:
    nodes = cast("list[yaml.Node]", node.value) if isinstance(node, yaml.SequenceNode) else [node]
    for source in nodes:
        value = _value(source, path, reading)
        if isinstance(value, dict):
            yield cast("dict[str, Any]", value)
        else:
            reading.refuse((*path, "<<"), "only mappings can be merged", source)


def _scalar(node: yaml.ScalarNode, path: Path, reading: _Reading) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    text = str(node.value)
    try:
        return _plain(kind, text)
    except ValueError:
        reading.refuse(path, "YAML tags are not used in stack files", node)
        return text


def _plain(kind: str, text: str) -> Any:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return _integer(text)
        case "float":
            return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        case "str":
            return text
        case _:
            raise ValueError(kind)


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits.removeprefix("+"))
    if len(digits) > 1 and digits.isdecimal() and digits[0] == "0":
        return sign * int(digits, 8 if set(digits) <= set("01234567") else 10)
    return sign * int(digits, 0)
