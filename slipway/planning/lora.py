"""LoRA adapters in vLLM: the ranks it takes, and the memory it sets aside for them. Memory is GiB on each GPU.

vLLM gives every adapter slot a pair of buffers at each linear layer when it starts, whatever the adapter changes: A of
rank x inputs and B of outputs x rank (vllm/lora/layers of 0.33.0). The sizes follow from shapes alone; nobody published
start-ups with adapters to calibrate against.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.catalog.types import Model

GIB = 1024**3
ADAPTER_BYTES = 2
"""Adapters are published in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSlots:
    """Room for `count` adapters at a time, each of at most `rank`."""

    count: int
    rank: int


def slot_rank(ranks: Sequence[int], allowed: Sequence[int]) -> int | None:
    """The smallest rank vLLM takes that holds every adapter; None where an adapter's is too large."""
    return min((rank for rank in allowed if rank >= max(ranks)), default=None)


def values_per_rank(model: Model, tensor_parallel: int, *, inner: float, embeddings: bool) -> float:
    """Numbers that one slot keeps on each GPU, per unit of rank.

    Tensor parallelism divides B of layers split by their outputs (queries, keys, values, gate, up) and A of those split
    by their inputs (output, down); the other half of each pair is whole on every GPU. `inner` is the width of one
    feed-forward block, which a mixture has once for each expert. With `embeddings` also the input embedding and the
    output head: vLLM gives some architectures buffers there, so counting them is the larger case.
    """
    attention = model.attention
    hidden, queries = model.hidden_size, attention.heads * attention.head_dim / tensor_parallel
    keys = max(1, attention.kv_heads // tensor_parallel) * attention.head_dim
    projections = 3 * hidden + queries + 2 * keys + queries + hidden
    experts = model.feed_forward.experts if model.feed_forward else 1
    block = experts * 3 * (hidden + inner / tensor_parallel)
    router = hidden + experts if experts > 1 else 0
    ends = 2 * (model.vocabulary + hidden) if embeddings else 0
    return attention.layers * (projections + block + router) + ends


def slots_gib(model: Model, slots: LoraSlots, *, tensor_parallel: int, inner: float, element_bytes: int) -> float:
    """GiB of all slots on each GPU, in the model's own dtype."""
    values = values_per_rank(model, tensor_parallel, inner=inner, embeddings=True)
    return slots.count * slots.rank * values * element_bytes / GIB


def adapter_gib(model: Model, rank: int, *, inner: float) -> float:
    """GiB of one adapter that changes every linear layer: its files, and its copy in each worker's host memory."""
    return rank * values_per_rank(model, 1, inner=inner, embeddings=False) * ADAPTER_BYTES / GIB
