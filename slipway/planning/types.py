"""What planning gives: for each model the memory proof, the engine flags, replicas and placement."""

from dataclasses import dataclass
from enum import StrEnum

from slipway.catalog.types import Checkpoint, EngineRelease, InstanceType, Market, Model, Platform
from slipway.findings import Finding
from slipway.settings.models import Autoscaler, Settings, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTerm:
    """One part of a memory budget; `how` says how the figure was computed, with its source."""

    name: str
    gib: float
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Terms against what there is, in GiB. One for GPU memory, one for host memory, one for disk."""

    available_gib: float
    available_how: str
    terms: tuple[MemoryTerm, ...]

    @property
    def used_gib(self) -> float:
        """Sum of all terms."""
        return sum(term.gib for term in self.terms)

    @property
    def free_gib(self) -> float:
        """What is left; negative when it does not fit."""
        return self.available_gib - self.used_gib

    @property
    def fits(self) -> bool:
        """Whether every term finds room."""
        return self.free_gib >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryProof:
    """Per GPU where there is one (`gpu` is None on a CPU host), plus host memory and disk per replica.

    `error_band` is the measured relative error of the prediction, from the calibration data; None where nobody
    published measurements to calibrate against.
    """

    gpu: Budget | None
    host: Budget
    disk: Budget
    error_band: float | None

    @property
    def fits(self) -> bool:
        """Whether all budgets hold."""
        return self.host.fits and self.disk.fits and (self.gpu is None or self.gpu.fits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """Predicted seconds from a started machine to the first token, by phase; None where a phase cannot be known."""

    phases: tuple[tuple[str, float | None], ...]

    @property
    def total_seconds(self) -> float:
        """Sum of the known phases: a lower bound when `unknown` names any."""
        return sum(seconds for _, seconds in self.phases if seconds is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the phases without a figure."""
        return tuple(name for name, seconds in self.phases if seconds is None)


class UpdateKind(StrEnum):
    """How pods are replaced: all before the new ones, one before its successor, or one after its successor."""

    RECREATE = "recreate"
    ONE_BY_ONE = "one-by-one"
    SURGE = "surge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How a new version of a server replaces the old one.

    `downtime` is the start nobody answers during, after the old pods have drained; None where others answer meanwhile.
    """

    kind: UpdateKind
    why: str
    downtime: ColdStart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """One model of the stack, placed. `concurrency` is per replica; `context_length` is tokens per request.

    `adapters` are names clients can ask for beside the model's own. `update` is None where no Deployment serves it.
    """

    name: str
    model: Model
    checkpoint: Checkpoint
    dtype: str
    kv_cache_dtype: str
    tensor_parallel: int
    gpus: int
    context_length: int
    concurrency: int
    replicas_min: int
    replicas_max: int
    memory: MemoryProof
    cold_start: ColdStart
    flags: tuple[str, ...]
    adapters: tuple[str, ...] = ()
    update: Update | None = None

    @property
    def served_names(self) -> tuple[str, ...]:
        """Every name a client can ask for: the model's and its adapters'."""
        return (self.name, *self.adapters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Nodes of the GPU pool (or instances, or 1 for a local host), by market.

    `reservation` is the Capacity Reservation of the machines that always run, or None.
    """

    market: Market
    on_demand_base: int
    minimum: int
    maximum: int
    autoscaler: Autoscaler = Autoscaler.NONE
    reservation: str | None = None

    @property
    def guaranteed(self) -> int:
        """On-demand machines that always run."""
        return self.minimum if self.market is Market.ON_DEMAND else self.on_demand_base


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlan:
    """Everything the components need to know; they compute no sizes of their own.

    `instance_types` is empty for the local target; the first one is what the proofs were made for, and the others
    carry the same GPU in the same number. `root_disk_gib` is each machine's system disk, which also holds the images;
    `root_disk_how` says how it was computed.
    """

    stack: str
    region: str | None
    target: Target
    platform: Platform
    release: EngineRelease
    instance_types: tuple[InstanceType, ...]
    zones: tuple[str, ...]
    capacity: Capacity
    models: tuple[PlannedModel, ...]
    settings: Settings
    findings: tuple[Finding, ...]
    root_disk_gib: int = 0
    root_disk_how: str = ""

    @property
    def instance_type(self) -> InstanceType | None:
        """The instance type the proofs were made for; None on the local target."""
        return self.instance_types[0] if self.instance_types else None
