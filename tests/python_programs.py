"""Programs that tests run for real and that come from PyPI: each in an environment of its own, kept in the cache."""

import sys
from pathlib import Path

import go_programs

from slipway import catalog
from slipway.engine import cache
from slipway.engine.children import ChildError, run
from slipway.problems import SlipwayError

LITELLM = catalog.pins()["litellm"].version
INSTALL_SECONDS = 900.0

# Prints what the proxy needs, one requirement a line. Of what the image adds, the metrics are run here and the client
# of a database, which LiteLLM imports when it refuses a request. The list of certificate authorities is taken as it
# comes: LiteLLM asks for one of the last days, and no request leaves this machine.
_REQUIREMENTS = """
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
BESIDE = {"prometheus-client": ["proxy-runtime"], "prisma": ["extra-proxy", "extra_proxy"]}
for line in requires("litellm"):
    found = Requirement(line)
    extras = ("", "proxy", *BESIDE.get(found.name, ()))
    if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in extras):
        found.marker = None
        print("certifi" if found.name == "certifi" else found)
"""


def litellm() -> Path:
    """The Python that runs the pinned LiteLLM, made if the cache has none.

    Raises:
        SlipwayError: it could not be installed; tests that need it fail, they are not skipped.
    """
    python = cache.folder("litellm") / LITELLM / "bin" / "python"
    if python.exists():
        return python
    with go_programs.to_terminal() as report, cache.lock("litellm", "litellm", report):
        if python.exists():
            return python  # another run installed it while this one waited
        label = f"installing LiteLLM {LITELLM} from PyPI, once (about a minute)"
        report(label)
        try:
            with cache.staging("litellm") as stage:
                _install(stage, label, report)
                cache.keep(stage, "litellm", LITELLM)
        except ChildError as reason:
            raise SlipwayError(f"LiteLLM {LITELLM} could not be installed: {reason}") from None
    return python


def _install(stage: Path, label: str, report: go_programs.Progress) -> None:
    python = stage / "bin" / "python"
    script, needed = stage / "requirements.py", stage / "requirements.txt"
    script.write_text(_REQUIREMENTS)
    pip = [python, "-m", "pip", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", stage],
        [*pip, "--no-deps", f"litellm=={LITELLM}"],
        ["/bin/sh", "-c", f"'{python}' '{script}' > '{needed}'"],
        [*pip, "--requirement", needed],
    ):
        run(command, stage, label, INSTALL_SECONDS, report)
