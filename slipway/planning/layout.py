"""How large each replica is and how many there are: the smallest sizes at which every model fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slipway.planning import llamacpp, misfit, placement
from slipway.planning.memory import EngineLoad
from slipway.planning.sizing import Machines, Request, engine_load, llama_cpp_proof, vllm_proof
from slipway.planning.types import Budget, MemoryProof, MemoryTerm
from slipway.problems import Problem, StackError


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One model with its size, replicas and proof. `load` is None where llama.cpp serves."""

    request: Request
    tensor_parallel: int
    concurrency: int
    replicas_min: int
    replicas_max: int
    proof: MemoryProof
    load: EngineLoad | None

    @property
    def misfit(self) -> misfit.Misfit | None:
        """The budget that does not hold, if any."""
        return misfit.misfit_of(
            index=self.request.index,
            name=self.request.served.name,
            key=self.request.key,
            proof=self.proof,
            tensor_parallel=self.tensor_parallel,
        )


def vllm_seats(requests: Sequence[Request], machines: Machines) -> tuple[Seat, ...]:
    """The smallest tensor parallel sizes that fit; where nothing does, the largest ones there are GPUs for.

    Raises StackError where there are too few machines for one replica of each model, or for the replicas asked.
    """
    tries = [0] * len(requests)
    seats: tuple[Seat, ...] = ()
    while True:
        sizes = tuple(request.sizes[step] for request, step in zip(requests, tries, strict=True))
        # A CPU host runs one replica of each model; its memory is checked, its cores are shared.
        placed = placement.place(sizes, machines.gpu_count or sum(sizes), machines.capacity)
        problems = (
            [_too_few(placed, sizes, machines)] if isinstance(placed, int) else _replica_problems(requests, placed)
        )
        if problems and seats:
            return seats  # growing further is no way out: what does not fit at this size is the thing to say
        if problems or isinstance(placed, int):
            raise StackError(machines.settings.stack, problems)
        seats = tuple(
            _vllm_seat(request, machines, size, _fixed(request, found))
            for request, size, found in zip(requests, sizes, placed, strict=True)
        )
        growable = _growable(seats, tries)
        if growable is None:
            return seats
        tries[growable] += 1


def _growable(seats: Sequence[Seat], tries: Sequence[int]) -> int | None:
    """The first model that does not fit and has a larger size to try."""
    for index, (seat, step) in enumerate(zip(seats, tries, strict=True)):
        if seat.misfit and step + 1 < len(seat.request.sizes):
            return index
    return None


def _replica_problems(requests: Sequence[Request], placed: Sequence[placement.Placement]) -> list[Problem]:
    return [
        problem
        for request, found in zip(requests, placed, strict=True)
        if (problem := _replicas_problem(request, found.maximum))
    ]


def _fixed(request: Request, found: placement.Placement) -> placement.Placement:
    replicas = request.served.replicas
    return found if replicas is None else replace(found, minimum=replicas, maximum=replicas)


def _vllm_seat(request: Request, machines: Machines, size: int, found: placement.Placement) -> Seat:
    concurrency = placement.per_replica(request.requests, found.maximum)
    load = engine_load(request, machines, size, concurrency)
    return Seat(
        request=request,
        tensor_parallel=size,
        concurrency=concurrency,
        replicas_min=found.minimum,
        replicas_max=found.maximum,
        proof=vllm_proof(request, machines, load),
        load=load,
    )


def _too_few(needed: int, sizes: tuple[int, ...], machines: Machines) -> Problem:
    name = machines.first.name if machines.first else "this machine"
    return Problem(
        key="slipway:capacity.min",
        message=f"{len(sizes)} models take {sum(sizes)} GPUs, which is {needed} machines of type {name} at all times; "
        f"there are {machines.capacity.minimum}",
        given=str(machines.capacity.minimum),
        hint=f"write `min: {needed}` under slipway:capacity (target cluster), or choose a type with more GPUs",
    )


def _replicas_problem(request: Request, maximum: int) -> Problem | None:
    replicas = request.served.replicas
    if replicas is None or replicas <= maximum:
        return None
    return Problem(
        key=f"{request.key}.replicas",
        message=f"{request.served.name} has room for {maximum} replicas on the most machines the stack may have",
        given=str(replicas),
        hint=f"write `replicas: {maximum}`, or raise `max` under slipway:capacity",
    )


def llama_cpp_seats(requests: Sequence[Request], machines: Machines) -> tuple[Seat, ...]:
    """One server a machine holds all models; the number of slots is the server's, so the largest demand decides."""
    replicas = machines.capacity.maximum
    parallel = max(placement.per_replica(request.requests, replicas) for request in requests)
    own = [_llama_gpu_gib(request, machines, parallel) for request in requests]
    return tuple(
        Seat(
            request=request,
            tensor_parallel=1,
            concurrency=parallel,
            replicas_min=machines.capacity.minimum,
            replicas_max=replicas,
            proof=llama_cpp_proof(request, machines, _slots(request, parallel), others_gib=sum(own) - taken),
            load=None,
        )
        for request, taken in zip(requests, own, strict=True)
    )


def _slots(request: Request, parallel: int) -> llamacpp.Slots:
    return llamacpp.Slots(parallel=parallel, context_length=request.context_length)


def _llama_gpu_gib(request: Request, machines: Machines, parallel: int) -> float:
    if not machines.gpu_count:
        return 0.0
    terms = llamacpp.terms(
        request.model, request.precision.checkpoint, _slots(request, parallel), gpus=machines.gpu_count
    )
    return sum(term.gib for term in terms)


def shared_misfit(seats: Sequence[Seat]) -> misfit.Misfit | None:
    """Models that each fit a host's memory, but not together in their one server."""
    first = seats[0]
    taken = sum(seat.proof.host.used_gib for seat in seats)
    if len(seats) == 1 or first.proof.host.available_how.startswith("required"):
        return None
    if taken <= first.proof.host.available_gib:
        return None
    largest = max(seats, key=lambda seat: seat.proof.host.used_gib)
    budget = Budget(
        available_gib=first.proof.host.available_gib,
        available_how=first.proof.host.available_how,
        terms=tuple(
            MemoryTerm(name=seat.request.served.name, gib=seat.proof.host.used_gib, how="all its host memory")
            for seat in seats
        ),
    )
    return misfit.Misfit(
        index=largest.request.index,
        name=f"{len(seats)} models in one server",
        key=largest.request.key,
        room="host",
        budget=budget,
        tensor_parallel=1,
    )
