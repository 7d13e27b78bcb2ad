"""How the time and size of a plan grow with the number of models in one stack.

Each round plans 1, 10 and 100 models on EKS, from settings to the graph, on the real engine: every model has a server
of its own with volumes, policies and a Service. What a stack costs that has no model in it yet (network, cluster, the
engine's own start) is in all three. The figure compares the time per model; below 1 means that the fixed part is shared
by more, above 1 that something grows faster than the models do.
"""

import math
import statistics
import time
from pathlib import Path
from typing import Any, Final

from slipway import planning
from slipway.engine import Graph, Offline
from slipway.settings import from_config

COUNTS: Final = (1, 10, 100)
ROUNDS: Final = 3
PROJECT: Final = Path(__file__).parents[1]
INSTANCE_TYPE: Final = "g6.12xlarge"
GPUS_PER_NODE: Final = 4
# An 8B model, so that one GPU serves one.
FACTS: Final = {
    "parametersB": 8.03,
    "layers": 32,
    "heads": 32,
    "kvHeads": 8,
    "headDim": 128,
    "hiddenSize": 4096,
    "vocabulary": 128256,
    "maxContext": 8192,
}


def main() -> None:
    """Print seconds and objects for each number of models and, last, ``models_growth=RATIO``."""
    seconds: dict[int, list[float]] = {count: [] for count in COUNTS}
    objects: dict[int, int] = {}
    _plan(1)  # loads the SDKs
    for _ in range(ROUNDS):
        for count in COUNTS:
            started = time.perf_counter()
            graph = _plan(count)
            seconds[count].append(time.perf_counter() - started)
            objects[count] = sum(graph.count_by_type().values())
    medians = {count: statistics.median(found) for count, found in seconds.items()}
    for count in COUNTS:
        print(f"{count:3} models  {medians[count]:6.2f} s  {objects[count]:4} objects")
    fewest, some, most = COUNTS
    before, after = ((objects[more] - objects[less]) / (more - less) for less, more in ((fewest, some), (some, most)))
    print(f"objects for each further model: {before:.1f} up to {some}, {after:.1f} up to {most}")
    print(f"models_growth={(medians[most] / most) / (medians[some] / some):.3f}")


def _plan(count: int) -> Graph:
    config = _config(count)
    planning.plan(from_config("growth", config))
    with Offline("growth", config, project=PROJECT) as session:
        return session.preview()


def _config(count: int) -> dict[str, Any]:
    nodes = math.ceil(count / GPUS_PER_NODE)
    models = [
        {"name": f"example/model-{number:03}", "tensorParallel": 1, "concurrency": 2, "facts": FACTS}
        for number in range(count)
    ]
    return {
        "aws:region": "us-east-1",
        "slipway:target": "cluster",
        "slipway:platform": "vllm",
        "slipway:instanceTypes": [INSTANCE_TYPE],
        "slipway:models": models,
        "slipway:capacity": {"min": nodes, "max": nodes},
        "slipway:demand": {"contextLength": 4096},
    }
