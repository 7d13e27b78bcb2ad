"""One model's memory proof, for either family of engines and either kind of host."""

from dataclasses import dataclass, replace

from slipway.catalog.types import EngineRelease, Gpu, InstanceType, Model
from slipway.planning import host, llamacpp, lora, memory
from slipway.planning.precision import Precision
from slipway.planning.types import Budget, Capacity, MemoryProof, MemoryTerm
from slipway.settings.models import CachePlace, ServedModel, Settings

# Of the memory taken: 95 % of 88 start-ups of vLLM 0.21 and later are predicted within 3.7 %, the worst of those that
# were not fitted within 4.6 % (docs/planning.md).
ERROR_BAND = 0.05
CPU_BATCHED_TOKENS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """What the stack runs on. `types` is empty for the local target; the first type is what the proofs are made for."""

    settings: Settings
    release: EngineRelease
    types: tuple[InstanceType, ...]
    capacity: Capacity

    @property
    def first(self) -> InstanceType | None:
        """The preferred instance type."""
        return self.types[0] if self.types else None

    @property
    def gpu(self) -> Gpu | None:
        """The GPU all machines carry; None on CPU hosts."""
        return self.first.gpu if self.first else None

    @property
    def gpu_count(self) -> int:
        """GPUs a machine; 0 on CPU hosts."""
        return self.first.gpu_count if self.first else 0

    @property
    def shared_files(self) -> bool:
        """Whether servers read their weights from a network file system."""
        return self.settings.storage.cache is CachePlace.SHARED

    @property
    def accelerator(self) -> str:
        """Which of the release's images serves here."""
        return "cuda" if self.gpu else "cpu"

    def share(self, part: float) -> host.Share:
        """A part of one machine's host memory: of the smallest type, because a replica may land on any."""
        smallest = min(self.types, key=lambda kind: kind.memory_gib, default=None)
        return host.Share(target=self.settings.target, instance_type=smallest, part=part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One served model with everything decided but its size: `sizes` are the tensor parallel sizes to try, in order."""

    index: int
    key: str
    served: ServedModel
    model: Model
    precision: Precision
    context_length: int
    requests: int
    sizes: tuple[int, ...]
    adapters: lora.LoraSlots | None = None

    @property
    def utilization(self) -> float:
        """Share of each GPU's memory the engine takes."""
        return self.served.gpu_memory_utilization or memory.DEFAULT_UTILIZATION


def engine_load(request: Request, machines: Machines, tensor_parallel: int, concurrency: int) -> memory.EngineLoad:
    """What one vLLM replica is started for: a batch of exactly the requests it must hold."""
    step = memory.default_max_num_batched_tokens(machines.gpu) if machines.gpu else CPU_BATCHED_TOKENS
    load = request.precision.load(
        tensor_parallel=tensor_parallel,
        context_length=request.context_length,
        max_num_seqs=concurrency,
        max_num_batched_tokens=max(step, concurrency),
    )
    return replace(load, adapters=request.adapters)


def vllm_proof(request: Request, machines: Machines, load: memory.EngineLoad) -> MemoryProof:
    """GPU budget from the calibrated terms; on a CPU the same terms count against host memory."""
    checkpoint = request.precision.checkpoint
    checkpoint_gib = memory.checkpoint_gib(request.model, checkpoint)
    adapters = _adapters_gib(request)
    disk = host.disk_budget(checkpoint_gib, machines.settings.storage.disk_gib, adapters_gib=adapters)
    terms = memory.gpu_terms(request.model, checkpoint, load)
    if machines.gpu is None:
        return MemoryProof(gpu=None, host=_cpu_budget(machines, terms), disk=disk, error_band=None)
    part = load.tensor_parallel / machines.gpu_count
    weights = memory.weights_gib(request.model, checkpoint, dtype=load.dtype, tensor_parallel=load.tensor_parallel)
    memory_of_host = host.host_budget(
        machines.share(part),
        host.vllm_terms(weights * load.tensor_parallel, load.tensor_parallel, adapters_gib=adapters),
    )
    if machines.shared_files:
        memory_of_host = host.prefetched(memory_of_host, checkpoint_gib)
    return MemoryProof(
        gpu=gpu_budget(machines.gpu, request.utilization, terms),
        host=memory_of_host,
        disk=disk,
        error_band=None if request.adapters else ERROR_BAND,
    )


def _adapters_gib(request: Request) -> float:
    """Files of all adapters, each as large as its rank allows."""
    inner = memory.block_width(request.model)
    return sum(lora.adapter_gib(request.model, found.rank, inner=inner) for found in request.served.lora_adapters)


def _cpu_budget(machines: Machines, terms: tuple[MemoryTerm, ...]) -> Budget:
    engine = MemoryTerm(name="engine", gib=host.VLLM_PROCESSES_GIB, how="reserve for the server and its worker")
    kept = tuple(term for term in terms if term.name not in {"cuda graphs", "runtime"})
    return host.host_budget(machines.share(1), (*kept, engine))


def gpu_budget(gpu: Gpu, utilization: float, terms: tuple[MemoryTerm, ...]) -> Budget:
    """The engine's share of one GPU."""
    return Budget(
        available_gib=gpu.memory_gib * utilization,
        available_how=f"{gpu.memory_gib:g} GiB on {gpu.name} ({gpu.source.name}) x {utilization:g}",
        terms=terms,
    )


def llama_cpp_proof(request: Request, machines: Machines, slots: llamacpp.Slots, *, others_gib: float) -> MemoryProof:
    """One model of a server that holds all models of the stack; `others_gib` is what those take on each GPU."""
    checkpoint = request.precision.checkpoint
    weights = llamacpp.weights_gib(request.model, checkpoint)
    terms = llamacpp.terms(request.model, checkpoint, slots, gpus=machines.gpu_count)
    engine = host.llama_cpp_terms(weights)
    others = (MemoryTerm(name="other models", gib=others_gib, how="in the same server"),) if others_gib else ()
    return MemoryProof(
        gpu=gpu_budget(machines.gpu, request.utilization, (*terms, *others)) if machines.gpu else None,
        host=host.host_budget(machines.share(1), engine if machines.gpu else (*terms, *engine[:1])),
        disk=host.disk_budget(weights, machines.settings.storage.disk_gib),
        error_band=None,
    )
