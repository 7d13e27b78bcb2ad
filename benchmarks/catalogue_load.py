"""How long a fresh interpreter takes to load the whole catalogue, against parsing the same files with nothing else."""

import statistics
import subprocess
import sys
from typing import Final

ROUNDS: Final = 7
LOAD: Final = """
import time
import slipway.catalog as c
from slipway.catalog.types import Platform
began = time.perf_counter()
c.gpus(), c.instance_types(), c.models(), c.pins(), c.kubernetes_versions(), c.quotas()
[c.release(platform) for platform in Platform]
c.on_demand_price("g6.xlarge", "us-east-1"), c.spot_price("g5.2xlarge", "eu-west-1")
c.zones_offering("g6.xlarge", "us-east-1"), c.service_rates("us-east-1")
print(time.perf_counter() - began)
"""
PARSE: Final = """
import csv, time, yaml
from pathlib import Path
import slipway.catalog as c
files = sorted((Path(c.__file__).parent / "data").iterdir())
began = time.perf_counter()
for file in files:
    text = file.read_text(encoding="utf-8")
    list(csv.reader(text.splitlines())) if file.suffix == ".csv" else yaml.load(text, Loader=yaml.CSafeLoader)
print(time.perf_counter() - began)
"""


def main() -> None:
    """Print both medians; the last line is their ratio."""
    loads, parses = [], []
    for _ in range(ROUNDS):
        loads.append(_seconds(LOAD))
        parses.append(_seconds(PARSE))
    load, parse = statistics.median(loads), statistics.median(parses)
    print(f"parsing  median {parse * 1000:.1f} ms")
    print(f"loading  median {load * 1000:.1f} ms")
    print(f"catalogue_load={load / parse:.3f}")


def _seconds(program: str) -> float:
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)
