"""How large each replica is and how many there are: the smallest sizes at which every model fits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slipway.planning import llamacpp, misfit, placement
from slipway.planning.memory import EngineLoad
from slipway.planning.packing import machines_needed
from slipway.planning.sizing import Machines, Request, engine_load, llama_cpp_proof, vllm_proof
from slipway.planning.types import Budget, MemoryProof, MemoryTerm
from slipway.problems import Problem, StackError
from slipway.settings.models import Autoscaler


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

    All models that do not fit grow together: a model that grows leaves the others fewer replicas, never more, so who
    does not fit now would not fit later either. Where that finds no room there is no solution, and they grow one by
    one, so that only those are named that are too large. Raises StackError where there are too few machines.
    """
    search = _Search(requests, machines)
    steps = [0] * len(requests)
    seats = search.seats(steps)
    together = True
    while growable := [index for index, seat in enumerate(seats) if seat.misfit and _has_more(seat, steps[index])]:
        chosen = growable if together else growable[:1]
        larger = _grown(steps, chosen)
        try:
            seats = search.seats(larger)
        except StackError:
            if len(chosen) == 1:
                return seats  # growing further is no way out: what does not fit at this size is the thing to say
            together = False
        else:
            steps = larger
    return seats


def _grown(steps: Sequence[int], chosen: Sequence[int]) -> list[int]:
    larger = list(steps)
    for index in chosen:
        larger[index] += 1
    return larger


def _has_more(seat: Seat, step: int) -> bool:
    return step + 1 < len(seat.request.sizes)


class _Search:
    """Seats at given sizes. Each is proven once, which keeps a hundred models as fast as a hundred times one."""

    def __init__(self, requests: Sequence[Request], machines: Machines) -> None:
        self._requests = requests
        self._machines = machines
        self._known: dict[tuple[int, int, placement.Placement], Seat] = {}

    def seats(self, steps: Sequence[int]) -> tuple[Seat, ...]:
        """One seat for each model, at the size of its step. Raises StackError where there are too few machines."""
        sizes = tuple(request.sizes[step] for request, step in zip(self._requests, steps, strict=True))
        placed = _placed(self._requests, sizes, self._machines)
        return tuple(self._seat(*item) for item in zip(self._requests, sizes, placed, strict=True))

    def _seat(self, request: Request, size: int, found: placement.Placement) -> Seat:
        key = (request.index, size, found)
        if key not in self._known:
            self._known[key] = _vllm_seat(request, self._machines, size, found)
        return self._known[key]


def _placed(requests: Sequence[Request], sizes: tuple[int, ...], machines: Machines) -> list[placement.Placement]:
    """Replicas of each model at these sizes, as many as asked. Raises StackError where machines cannot hold them."""
    # A CPU host runs one replica of each model; its memory is checked, its cores are shared.
    gpu_count = machines.gpu_count or sum(sizes)
    places = placement.place(sizes, gpu_count, machines.capacity)
    if isinstance(places, int):
        raise StackError(machines.settings.stack, [_too_few(places, sizes, machines)])
    fixed = [_fixed(request, found) for request, found in zip(requests, places, strict=True)]
    if problems := _room_problems(requests, sizes, fixed, machines, gpu_count):
        raise StackError(machines.settings.stack, problems)
    return fixed


def _room_problems(
    requests: Sequence[Request],
    sizes: Sequence[int],
    fixed: Sequence[placement.Placement],
    machines: Machines,
    gpu_count: int,
) -> list[Problem]:
    """Whether all replicas together find machines: at full load, and at all times where nothing adds any."""
    asked = [request for request in requests if request.served.replicas is not None]
    if not asked:
        return []
    at_most, at_least = Counter[int](), Counter[int]()
    for size, found in zip(sizes, fixed, strict=True):
        at_most[size] += found.maximum
        at_least[size] += found.minimum
    capacity = machines.capacity
    if (needed := machines_needed(at_most, gpu_count)) > capacity.maximum:
        return [_replicas_problem(request, needed, capacity.maximum, "max") for request in asked]
    needed = machines_needed(at_least, gpu_count)
    if capacity.autoscaler is Autoscaler.NONE and needed > capacity.minimum:
        return [_replicas_problem(request, needed, capacity.minimum, "min") for request in asked]
    return []


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


def _replicas_problem(request: Request, needed: int, there: int, key: str) -> Problem:
    """`there` machines, by the setting `key`, cannot hold the replicas of all models, which take `needed`."""
    when = "at full load" if key == "max" else "at all times, and nothing adds any"
    return Problem(
        key=f"{request.key}.replicas",
        message=f"the replicas of all models take {needed} machines; there are {there} {when}",
        given=str(request.served.replicas),
        hint=f"write `{key}: {needed}` under slipway:capacity, or fewer replicas",
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
