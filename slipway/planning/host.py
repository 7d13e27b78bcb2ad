"""Host memory and disk of one replica, as budgets. GiB throughout.

No published measurements pin the host side down, so its terms are reserves and say so; weights and KV cache on a CPU
host are computed like those on a GPU.
"""

import math
from dataclasses import dataclass

from slipway.catalog.types import InstanceType
from slipway.planning.types import Budget, MemoryTerm
from slipway.settings.models import Target

# Reserves, seen from the outside: Python, torch and CUDA libraries in the API server and the first engine process.
VLLM_PROCESSES_GIB = 4.0
VLLM_WORKER_GIB = 2.0
LLAMA_CPP_PROCESS_GIB = 1.0
# One safetensors shard is at most 5 GB; older pages of the mapped files are dropped by the kernel under pressure.
LARGEST_SHARD_GIB = 5e9 / 1024**3
# vLLM's Kubernetes guide gives /dev/shm 2 GiB on NVIDIA.
SHARED_MEMORY_GIB = 2
# CNI, device plugin, exporters and log agents on every node; the allocatable figure is stated before them.
DAEMONSETS_GIB = 0.75
# Kernel, systemd, dockerd and the SSM agent on a plain instance.
SYSTEM_GIB = 1.5

COMPILE_CACHE_GIB = 2
DISK_HEADROOM = 0.15

# The Deep Learning AMI's snapshot is 75 GiB; images of 15-20 GB unpack beside it.
INSTANCE_ROOT_DISK_GIB = 125


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of a machine one replica may take: `part` of 1, such as half of a node with two replicas."""

    target: Target
    instance_type: InstanceType | None
    part: float

    def whole_gib(self) -> tuple[float, str]:
        """Memory of the whole machine and where the figure comes from."""
        found = self.instance_type
        if found is None:
            raise ValueError("a local machine's memory is not known while planning")
        if self.target is Target.CLUSTER and found.allocatable_memory_mib is not None:
            return found.allocatable_memory_mib / 1024, f"allocatable on {found.name}, {found.source.name}"
        return found.memory_gib, f"memory of {found.name}, {found.source.name}"


def vllm_terms(weights_gib: float, tensor_parallel: int, *, adapters_gib: float = 0.0) -> tuple[MemoryTerm, ...]:
    """Host memory of vLLM on GPUs: its processes, one shard on its way to the GPU, shared memory, LoRA adapters."""
    workers = (tensor_parallel - 1) * VLLM_WORKER_GIB
    copies = MemoryTerm(
        name="lora adapters", gib=adapters_gib * tensor_parallel, how="a copy of each adapter in every GPU worker"
    )
    return (
        MemoryTerm(name="engine", gib=VLLM_PROCESSES_GIB + workers, how="reserve for the server and its GPU workers"),
        MemoryTerm(name="staging", gib=min(weights_gib, LARGEST_SHARD_GIB), how="largest shard while loading"),
        MemoryTerm(name="shared memory", gib=SHARED_MEMORY_GIB, how="size vLLM's Kubernetes guide gives it"),
        *((copies,) if adapters_gib else ()),
    )


def prefetched(budget: Budget, checkpoint_gib: float) -> Budget:
    """`budget` where vLLM first reads the whole checkpoint into the page cache, as it must from a network file system.

    Only one shard needs room. More is taken where there is more, up to the checkpoint: these pages count against the
    pod's limit, the kernel drops them under pressure, and a page dropped before its use is read a second time.
    """
    wanted = max(0.0, checkpoint_gib - sum(term.gib for term in budget.terms if term.name == "staging"))
    more = min(wanted, math.floor(max(0.0, budget.free_gib) * 100) / 100)
    whole = "all" if more == wanted else "the kernel drops the rest"
    how = f"page cache for {checkpoint_gib:.1f} GiB read ahead from the shared cache, {whole}"
    terms = tuple(
        MemoryTerm(name=term.name, gib=term.gib + more, how=how) if term.name == "staging" else term
        for term in budget.terms
    )
    return Budget(available_gib=budget.available_gib, available_how=budget.available_how, terms=terms)


def llama_cpp_terms(weights_gib: float) -> tuple[MemoryTerm, ...]:
    """Host memory of llama.cpp on GPUs: the process and the mapped file's resident pages."""
    return (
        MemoryTerm(name="engine", gib=LLAMA_CPP_PROCESS_GIB, how="reserve for the server"),
        MemoryTerm(name="staging", gib=min(weights_gib, LARGEST_SHARD_GIB), how="pages of the mapped file, reserve"),
    )


def host_budget(share: Share, terms: tuple[MemoryTerm, ...]) -> Budget:
    """Terms against the machine less the system's reserve; against what they need where the machine is not known."""
    if share.instance_type is None:
        need = math.ceil(sum(term.gib for term in terms))
        return Budget(
            available_gib=need,
            available_how=f"required: {need} GiB must be free on this machine; the plan does not look, to be the "
            "same everywhere",
            terms=terms,
        )
    whole, how = share.whole_gib()
    reserve = DAEMONSETS_GIB if share.target is Target.CLUSTER else SYSTEM_GIB
    part = "" if share.part == 1 else f", {share.part:.3g} of it for this replica"
    return Budget(
        available_gib=(whole - reserve) * share.part,
        available_how=f"{how}, less {reserve:g} GiB for the system and its agents{part}",
        terms=terms,
    )


def disk_budget(weights_gib: float, disk_gib: int | None, *, adapters_gib: float = 0.0) -> Budget:
    """The model volume: the checkpoint, compiled kernels, headroom for a new revision, LoRA adapters."""
    adapters = MemoryTerm(name="lora adapters", gib=adapters_gib, how="all linear layers at each adapter's rank")
    terms = (
        MemoryTerm(name="weights", gib=weights_gib, how="checkpoint as published"),
        MemoryTerm(name="compile cache", gib=COMPILE_CACHE_GIB, how="reserve for torch.compile and Triton kernels"),
        MemoryTerm(
            name="headroom", gib=DISK_HEADROOM * weights_gib, how=f"{DISK_HEADROOM:.0%} of the weights, reserve"
        ),
        *((adapters,) if adapters_gib else ()),
    )
    need = math.ceil(sum(term.gib for term in terms))
    return Budget(
        available_gib=disk_gib or need,
        available_how="slipway:storage.diskGib" if disk_gib else "volume of the computed size",
        terms=terms,
    )
