"""Programs that tests run for real and that are built from their Go modules: once per version, kept in the cache."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from slipway import catalog
from slipway.engine import cache, go
from slipway.engine.children import ChildError, Progress
from slipway.problems import SlipwayError

KUBERNETES = "1.35.4"
"""Same minor version as the default of `slipway:kubernetes.version`, which a test asserts."""
VERSIONS = {
    "etcd": "3.6.5",
    "kube-apiserver": KUBERNETES,
    "kube-controller-manager": KUBERNETES,
    "kube-scheduler": KUBERNETES,
    "kwok": "0.7.0",
    "helm": "3.22.0",
    "controller-gen": "0.20.1",
    "caddy": catalog.pins()["caddy"].version,
}
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "helm": "helm.sh/helm/v3/cmd/helm",
    "controller-gen": "sigs.k8s.io/controller-tools/cmd/controller-gen",
    "caddy": "github.com/caddyserver/caddy/v2/cmd/caddy",
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


def obtain(*names: str) -> dict[str, Path]:
    """The binaries of these programs, each built if the cache has none.

    Raises:
        SlipwayError: one could not be built; tests that need it fail, they are not skipped.
    """
    return {name: _obtain(name) for name in names}


def _obtain(name: str) -> Path:
    version = VERSIONS[name]
    binary = cache.binary(name, version)
    if _runs(binary):
        return binary
    with to_terminal() as report, cache.lock(name, name, report):
        if _runs(binary):
            return binary  # another run built it while this one waited
        label = f"building {name} {version} with Go, once"
        report(label)
        try:
            with cache.staging(name) as stage:
                go.build(program(name), stage / "bin" / name, label, report)
                cache.keep(stage, name, version)
        except ChildError as reason:
            raise SlipwayError(f"{name} {version} could not be built with Go 1.26 or newer: {reason}") from None
    return binary


def _runs(binary: Path) -> bool:
    return os.access(binary, os.X_OK)


def program(name: str) -> go.GoProgram:
    """What to build. Kubernetes takes its own libraries from one folder; outside they are modules of their own."""
    package, version = PACKAGES[name], VERSIONS[name]
    if not package.startswith("k8s.io/kubernetes/"):
        return go.GoProgram(package=package, version=version)
    library = f"v0.{version.partition('.')[2]}"
    return go.GoProgram(
        package=package,
        version=version,
        replacements=[f"{module}={module}@{library}" for module in _staging_modules(version)],
        linked={"k8s.io/component-base/version.gitVersion": f"v{version}"},
    )


def _staging_modules(version: str) -> list[str]:
    text = Path(downloaded(f"k8s.io/kubernetes@v{version}")["GoMod"]).read_text()
    return sorted(set(re.findall(r"^\s*(?:replace )?(k8s\.io/[a-z-]+) => \./staging/", text, re.MULTILINE)))


def downloaded(module: str) -> dict[str, str]:
    """What Go says of a module version it has fetched: its folder as ``Dir``, its go.mod as ``GoMod``."""
    answer = subprocess.run(
        [go.command(), "mod", "download", "-json", module], capture_output=True, text=True, check=False
    )
    found = json.loads(answer.stdout) if answer.stdout else {"Error": answer.stderr.strip()}
    if found.get("Error"):
        raise ChildError(found["Error"])
    return found


@contextlib.contextmanager
def to_terminal() -> Iterator[Progress]:
    """Reports to the terminal itself: pytest captures what is printed, and a build of minutes must not look stuck."""
    with contextlib.ExitStack() as closing:
        try:
            terminal = closing.enter_context(Path("/dev/tty").open("w"))
        except OSError:
            terminal = sys.__stderr__ or sys.stderr
        yield lambda line: print(line, file=terminal, flush=True)
