"""Settings in, ServingPlan out: the one door of this room."""

from dataclasses import replace
from datetime import UTC, date, datetime

from slipway import catalog
from slipway.catalog.types import Checkpoint, EngineRelease, InstanceType, Model, Platform
from slipway.findings import Finding
from slipway.planning import (
    coldstart,
    drain,
    flags,
    host,
    lora,
    misfit,
    own_model,
    placement,
    precision,
    rollout,
    root_disk,
    storage,
    suggest,
    support,
)
from slipway.planning.layout import Seat, llama_cpp_seats, shared_misfit, vllm_seats
from slipway.planning.sizing import Machines, Request
from slipway.planning.types import ColdStart, PlannedModel, ServingPlan, Update
from slipway.problems import Problem, StackError
from slipway.settings.models import ServedModel, Settings, Target


def plan(settings: Settings, *, today: date | None = None) -> ServingPlan:
    """The whole plan of one stack, proven to fit.

    `today` decides only what is said about Kubernetes' support; default: today in UTC. Raises StackError with every
    mistake found, or with what does not fit and what would.
    """
    day = today or datetime.now(UTC).date()
    try:
        return draft(settings, day)
    except misfit.DoesNotFitError as error:
        hint = suggest.hint(settings, error, lambda variant: draft(variant, day))
        problems = tuple(
            replace(problem, hint=hint) if problem.hint is None and hint else problem for problem in error.problems
        )
        raise misfit.DoesNotFitError(settings.stack, problems, error.misfits) from None


def draft(settings: Settings, today: date) -> ServingPlan:
    """`plan` without suggestions."""
    types = tuple(catalog.instance_types()[name] for name in settings.instance_types)
    if settings.target is Target.LOCAL:
        types = ()
    machines = Machines(
        settings=settings,
        release=catalog.release(settings.platform),
        types=types,
        capacity=placement.capacity(settings),
    )
    problems = _machine_problems(machines)
    about_kubernetes = support.kubernetes(settings, today)
    problems += [found for found in about_kubernetes if isinstance(found, Problem)]
    requests: list[Request] = []
    for index, served in enumerate(settings.served):
        found = _request(index, served, machines)
        if isinstance(found, Request):
            requests.append(found)
        else:
            problems += found
    if problems:
        raise StackError(settings.stack, problems)
    seats = _seats(requests, machines)
    taken = _taken_gpus(seats, machines)
    disk = _root_disk(seats, machines)
    if problems := _cache_problems(seats, machines, disk.gib):
        raise StackError(settings.stack, problems)
    findings = [found for found in about_kubernetes if isinstance(found, Finding)]
    return ServingPlan(
        stack=settings.stack,
        region=settings.region,
        target=settings.target,
        platform=settings.platform,
        release=machines.release,
        instance_types=types,
        zones=placement.zones(settings, types),
        capacity=machines.capacity,
        models=tuple(_planned(seat, machines, taken) for seat in seats),
        settings=settings,
        findings=tuple(findings + _findings(seats, machines)),
        root_disk_gib=disk.gib,
        root_disk_how=disk.how,
    )


def _machine_problems(machines: Machines) -> list[Problem]:
    settings = machines.settings
    if settings.target is Target.LOCAL:
        return []
    if machines.first is None:
        return [Problem(key=placement.INSTANCE_TYPES_KEY, message="names no instance type")]
    return placement.region_problems(settings, machines.types) + _gpu_floor(machines.first, machines)


def _gpu_floor(first: InstanceType, machines: Machines) -> list[Problem]:
    if first.gpu is None:
        problem = support.platform_on_cpu(machines.settings, first.name)
    else:
        problem = precision.engine_problem(first.gpu, first.name, machines.release)
    return [problem] if problem else []


def _request(index: int, served: ServedModel, machines: Machines) -> Request | list[Problem]:
    """One model with its form and dtype decided, or everything that is wrong with it."""
    settings = machines.settings
    key = "slipway:model" if settings.model else f"slipway:models[{index}]"
    model = own_model.resolve(served)
    checkpoint = precision.choose_checkpoint(served, model, settings.platform, key)
    if isinstance(checkpoint, Problem):
        return [checkpoint]
    problems = _model_problems(served, model, checkpoint, machines, key)
    if problems:
        return problems
    return Request(
        index=index,
        key=key,
        served=served,
        model=model,
        adapters=_adapters(served, machines.release),
        precision=precision.decide(served, model, checkpoint, machines.gpu),
        context_length=served.context_length or settings.demand.context_length,
        requests=served.concurrency or settings.demand.concurrency,
        sizes=_sizes(served, model, machines),
    )


def _adapters(served: ServedModel, release: EngineRelease) -> lora.LoraSlots | None:
    """Room for all adapters at a time: a request for any of them never waits for another's to leave."""
    ranks = [adapter.rank for adapter in served.lora_adapters]
    rank = lora.slot_rank(ranks, release.lora_ranks) if ranks else None
    return None if rank is None else lora.LoraSlots(count=len(ranks), rank=rank)


def _adapter_problems(served: ServedModel, release: EngineRelease, key: str) -> list[Problem]:
    if not release.lora_ranks:
        return []  # the settings refuse adapters on such a platform
    largest = max(release.lora_ranks)
    return [
        Problem(
            key=f"{key}.loraAdapters[{index}].rank",
            message=f"{release.platform.value} {release.version} takes adapters up to rank {largest}",
            given=str(adapter.rank),
            hint="train the adapter with a smaller rank, or merge it into the model's weights",
        )
        for index, adapter in enumerate(served.lora_adapters)
        if adapter.rank > largest
    ]


def _sizes(served: ServedModel, model: Model, machines: Machines) -> tuple[int, ...]:
    if served.tensor_parallel is not None:
        return (served.tensor_parallel,)
    return placement.tensor_parallel_sizes(model.attention, max(1, machines.gpu_count))


def _model_problems(
    served: ServedModel, model: Model, checkpoint: Checkpoint, machines: Machines, key: str
) -> list[Problem]:
    found = _context_problems(served, model, machines.settings, key)
    found += _tensor_parallel_problems(served, model, machines, key)
    found += _adapter_problems(served, machines.release, key)
    if machines.gpu is not None and machines.settings.platform in precision.VLLM_ENGINES:
        found += precision.gpu_problems(served, checkpoint, machines.gpu, machines.release, key)
    if served.tool_calling and model.tool_call_parser is None and machines.settings.platform in precision.VLLM_ENGINES:
        found.append(
            Problem(
                key=f"{key}.toolCalling",
                message=f"vLLM has no tool call parser for {served.name}",
                given="true",
                hint="leave toolCalling out, or choose a model with tool calling, such as llama-3.1-8b-instruct",
            )
        )
    return found


def _context_problems(served: ServedModel, model: Model, settings: Settings, key: str) -> list[Problem]:
    asked = served.context_length or settings.demand.context_length
    if asked <= model.max_context:
        return []
    own = served.context_length is not None
    where = key if own else "slipway:demand"
    return [
        Problem(
            key=f"{where}.contextLength",
            message=f"{served.name} was made for at most {model.max_context} tokens",
            given=str(asked),
            hint=f"write `contextLength: {model.max_context}` under {where}",
        )
    ]


def _tensor_parallel_problems(served: ServedModel, model: Model, machines: Machines, key: str) -> list[Problem]:
    size = served.tensor_parallel
    if size is None:
        return []
    gpus = machines.gpu_count if machines.settings.platform in precision.VLLM_ENGINES else 1
    allowed = placement.tensor_parallel_sizes(model.attention, max(1, gpus))
    if size in allowed:
        return []
    if size > max(1, gpus):
        reason = f"one replica runs on one machine, which has {max(1, gpus)} to split over here"
    else:
        attention = model.attention
        reason = f"it must divide {attention.heads} attention heads and share {attention.kv_heads} KV heads evenly"
    return [
        Problem(
            key=f"{key}.tensorParallel",
            message=f"{served.name} cannot be split over {size} GPUs: {reason}",
            given=str(size),
            allowed=tuple(str(found) for found in allowed),
            hint="leave it out: the smallest size that fits is chosen",
        )
    ]


def _seats(requests: list[Request], machines: Machines) -> tuple[Seat, ...]:
    vllm = machines.settings.platform in precision.VLLM_ENGINES
    seats = vllm_seats(requests, machines) if vllm else llama_cpp_seats(requests, machines)
    misfits = [found for seat in seats if (found := seat.misfit)]
    together = None if vllm else shared_misfit(seats)
    if together:
        misfits.append(together)
    if misfits:
        problems = tuple(misfit.problem(found, machines.first) for found in misfits)
        raise misfit.DoesNotFitError(machines.settings.stack, problems, tuple(misfits))
    return seats


def _planned(seat: Seat, machines: Machines, taken_gpus: int) -> PlannedModel:
    request = seat.request
    checkpoint = request.precision.checkpoint
    utilization = request.utilization if machines.gpu else None
    cold_start = coldstart.estimate(
        target=machines.settings.target,
        instance_type=machines.first,
        release=machines.release,
        accelerator=machines.accelerator,
        weights_gib=seat.proof.disk.terms[0].gib,
        disk_throughput_mib_s=machines.settings.storage.throughput_mib_s,
        shared_files=machines.shared_files,
    )
    return PlannedModel(
        name=request.served.name,
        model=request.model,
        checkpoint=checkpoint,
        dtype=request.precision.dtype if seat.load else checkpoint.quantization.value,
        kv_cache_dtype=request.precision.kv_cache_dtype if seat.load else "f16",
        tensor_parallel=seat.tensor_parallel,
        gpus=_gpus(seat, machines),
        context_length=request.context_length,
        concurrency=seat.concurrency,
        replicas_min=seat.replicas_min,
        replicas_max=seat.replicas_max,
        memory=seat.proof,
        cold_start=cold_start,
        flags=flags.vllm_flags(
            request.served,
            request.model,
            checkpoint,
            seat.load,
            utilization,
            release=machines.release,
            drain_seconds=drain.drain_seconds(machines.capacity.market),
            shared_files=machines.shared_files,
        )
        if seat.load
        else (),
        adapters=tuple(adapter.name for adapter in request.served.lora_adapters),
        update=_update(seat, machines, cold_start, taken_gpus),
    )


def _gpus(seat: Seat, machines: Machines) -> int:
    """GPUs of one replica: vLLM's own, or all of the machine for a server of all models."""
    return seat.tensor_parallel if seat.load and machines.gpu else machines.gpu_count


def _taken_gpus(seats: tuple[Seat, ...], machines: Machines) -> int:
    """GPUs of all replicas that always run."""
    servers = [seat for seat in seats if seat.load] or seats[:1]
    return sum(seat.replicas_min * _gpus(seat, machines) for seat in servers)


def _update(seat: Seat, machines: Machines, cold: ColdStart, taken_gpus: int) -> Update | None:
    """How this model's pods are replaced; GPUStack replaces its own."""
    settings = machines.settings
    if settings.target is not Target.CLUSTER or settings.platform is Platform.GPUSTACK:
        return None
    volume = rollout.keeps_volume(settings.storage.cache, seat.replicas_max)
    kind, why = rollout.choose(
        replicas=seat.replicas_min,
        gpus=_gpus(seat, machines),
        taken_gpus=taken_gpus,
        gpu_count=machines.gpu_count,
        machines=machines.capacity,
        keeps_volume=volume,
    )
    return rollout.update(kind, why, cold, keeps_weights=volume or machines.shared_files)


def _root_disk(seats: tuple[Seat, ...], machines: Machines) -> root_disk.RootDisk:
    """Each machine's system disk. A single instance has what its image asks for; a local machine is what it is."""
    settings = machines.settings
    if settings.target is Target.LOCAL:
        return root_disk.RootDisk(gib=0, how="")
    if settings.target is Target.INSTANCE:
        return root_disk.RootDisk(gib=host.INSTANCE_ROOT_DISK_GIB, how="reserve for AWS's machine image and ours")
    on_gpus = [machines.gpu_count // seat.tensor_parallel for seat in seats if seat.load]
    # A CPU host runs one server of each model; llama.cpp serves all models from one.
    servers = max(on_gpus, default=1) if machines.gpu_count else len(on_gpus)
    beside = [seat.proof.disk.available_gib for seat in seats] if settings.platform is Platform.GPUSTACK else []
    return root_disk.node_root_disk(machines.release, machines.accelerator, servers=max(1, servers), weights_gib=beside)


def _cache_problems(seats: tuple[Seat, ...], machines: Machines, root_disk_gib: int) -> list[Problem]:
    """What speaks against the place the user chose for weights, now that sizes and replicas are known."""
    problems = storage.volume_problems(
        machines.settings, {seat.request.served.name: seat.replicas_max for seat in seats}
    )
    gpus = max(1, machines.gpu_count)
    # vLLM: as many replicas of the largest model as a machine has room for; llama.cpp: one server with all models.
    vllm = [seat.proof.disk.available_gib * (gpus // seat.tensor_parallel) for seat in seats if seat.load]
    together = [seat.proof.disk.available_gib for seat in seats if not seat.load]
    return problems + storage.node_problems(
        machines.settings,
        machines.types,
        weights_gib=max(vllm, default=0.0) + sum(together),
        root_disk_gib=root_disk_gib,
    )


def _findings(seats: tuple[Seat, ...], machines: Machines) -> list[Finding]:
    settings = machines.settings
    found = support.spot(settings, machines.capacity) + support.private_endpoint(settings)
    found += support.nobody_scales(settings, machines.capacity)
    found += support.unlike_machines(settings, machines.types, machines.capacity)
    found += support.unpinned(settings)
    found += support.local(settings, sum(seat.proof.host.available_gib for seat in seats))
    for seat in seats:
        request = seat.request
        found += support.gated(settings, request.served.name, request.precision.checkpoint)
        if machines.gpu is not None and seat.load:
            found += precision.findings(request.served, request.precision, machines.gpu)
    return found
