"""What does not fit, as a Problem that names the failing term and both its size and its surplus in GiB."""

from dataclasses import dataclass
from typing import Literal

from slipway.catalog.types import InstanceType
from slipway.planning.types import Budget, MemoryProof, MemoryTerm
from slipway.problems import Problem, StackError

Room = Literal["gpu", "host", "disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One model whose budget does not hold. `key` is the model's path in the stack file."""

    index: int
    name: str
    key: str
    room: Room
    budget: Budget
    tensor_parallel: int

    @property
    def term(self) -> MemoryTerm:
        """The term to change: what is fixed is counted first, the KV cache last, and the first to overflow fails."""
        return failing_term(self.budget)

    @property
    def surplus_gib(self) -> float:
        """GiB too much."""
        return -self.budget.free_gib


class DoesNotFitError(StackError):
    """A stack that is sound but too big for its machines."""

    def __init__(self, stack: str, problems: tuple[Problem, ...], misfits: tuple[Misfit, ...]) -> None:
        self.misfits = misfits
        super().__init__(stack, problems)


def failing_term(budget: Budget) -> MemoryTerm:
    """The first term to overflow, weights first and KV cache last; the largest one if only rounding overflows."""
    order = sorted(budget.terms, key=lambda term: (term.name == "kv cache", term.name != "weights"))
    used = 0.0
    for term in order:
        used += term.gib
        if used > budget.available_gib:
            return term
    return max(budget.terms, key=lambda term: term.gib)


def misfit_of(*, index: int, name: str, key: str, proof: MemoryProof, tensor_parallel: int) -> Misfit | None:
    """The first budget of `proof` that does not hold."""
    rooms: tuple[tuple[Room, Budget | None], ...] = (("gpu", proof.gpu), ("host", proof.host), ("disk", proof.disk))
    for room, budget in rooms:
        if budget is not None and not budget.fits:
            return Misfit(index=index, name=name, key=key, room=room, budget=budget, tensor_parallel=tensor_parallel)
    return None


def problem(misfit: Misfit, machine: InstanceType | None) -> Problem:
    """The sentence a user reads; suggestions are added as its hint."""
    rest = ", ".join(
        f"{term.name} {term.gib:.1f}"
        for term in misfit.budget.terms
        if term is not misfit.term and term.gib >= 0.05  # noqa: PLR2004 - would read 0.0
    )
    message = (
        f"{misfit.name} does not fit {_where(misfit, machine)}: {misfit.term.name} {_verb(misfit.term.name)} "
        f"{misfit.term.gib:.1f} GiB, "
        f"{misfit.surplus_gib:.1f} GiB too much" + (f" ({rest})" if rest else "")
    )
    if misfit.room == "disk":
        need = -(-misfit.budget.used_gib // 1)
        return Problem(
            key="slipway:storage.diskGib",
            message=message,
            given=f"{misfit.budget.available_gib:g}",
            hint=f"write `diskGib: {need:.0f}` under slipway:storage, or leave it out: the size is computed",
        )
    return Problem(
        key="slipway:instanceTypes" if machine else misfit.key,
        message=message,
        given=machine.name if machine else misfit.name,
    )


def _verb(term: str) -> str:
    return "need" if term.endswith("s") else "needs"


def _where(misfit: Misfit, machine: InstanceType | None) -> str:
    available = misfit.budget.available_gib
    if misfit.room == "disk":
        return f"on a disk of {available:g} GiB"
    if machine is None:
        return f"in {available:.1f} GiB of memory"
    if misfit.room == "host" or machine.gpu is None:
        return f"on {machine.name} ({available:.1f} GiB of host memory usable)"
    split = f", split over {misfit.tensor_parallel}" if misfit.tensor_parallel > 1 else ""
    each = " each" if machine.gpu_count > 1 else ""
    return f"on {machine.name} ({machine.gpu_count} x {machine.gpu.name}, {available:.1f} GiB usable{each}{split})"
