"""What a control plane takes of the machine, written down, so that the next run can clean up after a killed one."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from slipway.engine import cache

FOLDER = "control-planes"


class Record:
    """The namespace, link, folder and processes of one control plane, and the process it belongs to.

    Processes are known by id and start time: an id alone may long be somebody else's.
    """

    def __init__(self, *, namespace: str, link: str, folder: str) -> None:
        self._file = cache.folder(FOLDER) / f"{namespace}.json"
        self._content = {
            "namespace": namespace,
            "link": link,
            "folder": folder,
            "owner": [os.getpid(), _started(os.getpid())],
            "processes": [],
        }

    def write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self._content))
        temporary.replace(self._file)

    def add(self, process: int) -> None:
        self._content["processes"].append([process, _started(process)])
        self.write()

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)


def clear_leftovers() -> list[str]:
    """Remove what runs that are over left behind; gives the namespaces removed."""
    cleared: list[str] = []
    for file in sorted(cache.folder(FOLDER).glob("slipway-*.json")):
        content = json.loads(file.read_text())
        if _alive(*content["owner"]):
            continue
        for process, started in content["processes"]:
            if _alive(process, started):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        for command in (("ip", "netns", "delete", content["namespace"]), ("ip", "link", "delete", content["link"])):
            subprocess.run(command, check=False, capture_output=True)
        shutil.rmtree(content["folder"], ignore_errors=True)
        file.unlink(missing_ok=True)
        cleared.append(content["namespace"])
    return cleared


def _started(process: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is none (proc(5), stat, field 22)."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _alive(process: int, started: int) -> bool:
    return started != 0 and _started(process) == started
