"""Programs built from Go modules, for machines that reach a module proxy but not the programs' own downloads."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slipway.engine.children import ChildError, Progress, run

BUILD_SECONDS: Final = 1800.0
VARIABLES: Final[Mapping[str, str]] = {"GOFLAGS": "-mod=mod"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProgram:
    """One program of a Go module, by its package's path. `version` has no leading ``v``.

    `replacements` are those of the module's own go.mod as ``old=new@version``: they do not pass on to who depends on
    it. `linked` sets string variables of the program.
    """

    package: str
    version: str
    replacements: Sequence[str] = ()
    linked: Mapping[str, str] = field(default_factory=dict[str, str])


def command() -> str:
    """The Go command. Raises ChildError without one."""
    found = shutil.which("go")
    if found is None:
        raise ChildError("no `go` on PATH")
    return found


def build(program: GoProgram, binary: Path, label: str, report: Progress) -> None:
    """Build `program` into `binary`. Raises ChildError with what Go said last."""
    go = command()
    replacements = [["mod", "edit", "-replace", entry] for entry in program.replacements]
    linker = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in program.linked.items())])
    with tempfile.TemporaryDirectory(prefix="slipway-go-") as folder:
        for doing, arguments in (
            ("preparing", ["mod", "init", "slipway.local/build"]),
            *(("preparing", arguments) for arguments in replacements),
            ("downloading", ["get", f"{program.package}@v{program.version}"]),
            ("compiling", ["build", "-trimpath", "-ldflags", linker, "-o", str(binary), program.package]),
        ):
            run([go, *arguments], Path(folder), f"{label}: {doing}", BUILD_SECONDS, report, variables=VARIABLES)
