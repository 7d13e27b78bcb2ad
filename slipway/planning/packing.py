"""How many machines hold replicas of these sizes. In time that grows with the number of sizes, not of replicas."""

from collections.abc import Mapping


def machines_needed(replicas: Mapping[int, int], gpu_count: int) -> int:
    """Machines of `gpu_count` GPUs for so many replicas of each size; no replica spans two machines.

    Largest first, into the fullest machine that has room: at most 11/9 of the best packing, and exact when all sizes
    are powers of two. Raises ValueError for a size that no machine holds.
    """
    if replicas and max(replicas) > gpu_count:
        raise ValueError(f"replicas: a size of {max(replicas)} GPUs on machines of {gpu_count}")
    machines = 0
    with_free = [0] * (gpu_count + 1)  # how many machines have so many GPUs left
    for size, number in sorted(replicas.items(), reverse=True):
        left = number
        for free in range(size, gpu_count + 1):
            left = _fill(with_free, free, size, left)
        fresh = -(-left // (gpu_count // size))
        machines += fresh
        with_free[gpu_count] += fresh
        _fill(with_free, gpu_count, size, left)
    return machines


def _fill(with_free: list[int], free: int, size: int, wanted: int) -> int:
    """Put replicas into the machines with `free` GPUs left, one machine after the other; the rest comes back."""
    each = free // size
    full = min(with_free[free], wanted // each)
    with_free[free] -= full
    with_free[free - each * size] += full
    wanted -= full * each
    if wanted and with_free[free]:
        with_free[free] -= 1
        with_free[free - min(wanted, each) * size] += 1
        wanted -= min(wanted, each)
    return wanted


def sure_of_room(free_gpus: int, size: int, machines: int) -> bool:
    """Whether some machine has `size` GPUs free, however the scheduler has spread the rest.

    With `machines` x (size - 1) GPUs free each machine could be one short; one more and it cannot.
    """
    return free_gpus > machines * (size - 1)
