"""Load the SDK classes a program names while the engine starts: a plan takes 1 s less when neither waits.

It also makes several plans at once safe. SDK modules load on first use, and Python before 3.11.8 shows a module
that one thread is loading half finished to another.
"""

import ast
import contextlib
import gc
import importlib
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

from pulumi import Resource

from slipway.engine.standins import aws_api, schema
from slipway.engine.turn import TURN

_PACKAGES: Final = ("pulumi_aws", "pulumi_kubernetes", "pulumi_docker", "pulumi_random")
_IMPORT: Final = re.compile(r"^(?:from|import)\s+(\w+)", re.MULTILINE)
_DONE: set[Path] = set()


def load(program: Path) -> None:
    """Import what `program` and the packages beside it name, once per process. Other threads' programs wait."""
    with TURN:
        if program in _DONE:
            return
        _DONE.add(program)
        with _uncollected():
            for path in _sources(program):
                for name in _names(path):
                    _touch(name)


@contextlib.contextmanager
def _uncollected() -> Generator[None]:
    """Keep what is loaded here out of the garbage collector's sight.

    The SDKs are a million objects that live as long as the process. Looking through them took 0.6 s of a first plan's
    1.9 s, and 0.2 s of most later ones.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def _sources(program: Path) -> Iterator[Path]:
    """The program, and the modules of every package or module beside it that it imports and that use an SDK."""
    text = program.read_text(encoding="utf-8")
    candidates = [program]
    for name in dict.fromkeys(_IMPORT.findall(text)):
        candidates += sorted((program.parent / name).rglob("*.py"))
        candidates.append(program.parent / f"{name}.py")
    for path in candidates:
        if path.is_file() and any(package in path.read_text(encoding="utf-8") for package in _PACKAGES):
            yield path


def _names(path: Path) -> set[str]:
    """The dotted SDK names in a source file, such as ``pulumi_aws.ec2.Instance``, whatever it calls the SDK."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return set()  # the program itself will say so, better
    local: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            local.update({name.asname or name.name: name.name for name in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            local.update({name.asname or name.name: f"{node.module}.{name.name}" for name in node.names})
    chains = (_chain(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    dotted = {f"{local.get(root, root)}.{rest}" for root, rest in filter(None, chains)}
    return {name for name in dotted | set(local.values()) if name.startswith(_PACKAGES)}


def _chain(node: ast.expr) -> tuple[str, str] | None:
    """``aws.ec2.Instance`` as ("aws", "ec2.Instance"); None when it does not start at a plain name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, ".".join(reversed(parts))) if isinstance(node, ast.Name) else None


def _touch(name: str) -> None:
    package, *rest = name.split(".")
    if package not in _PACKAGES:
        return
    found: Any = importlib.import_module(package)
    for part in rest:
        found = getattr(found, part, None)
        if isinstance(found, type):
            break
    if isinstance(found, type) and issubclass(found, Resource):
        token = schema.token_of(found)
        if token is not None:
            schema.resource(token)
            aws_api.load(token)
