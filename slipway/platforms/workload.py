"""What one server process needs, wherever it runs. Platforms produce it; targets (Docker, EC2, EKS) run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from slipway.planning.drain import STOP_MARGIN_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Success is a 2xx answer. Durations are seconds; `failures` in a row make it fail."""

    path: str
    port: str
    period_seconds: int = 10
    timeout_seconds: int = 5
    failures: int = 3
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecProbe:
    """Success is exit code 0 of `command` inside the container; for images without an HTTP client."""

    command: tuple[str, ...]
    period_seconds: int = 10
    timeout_seconds: int = 5
    failures: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """`startup` covers download, load and compile; the other two begin after it."""

    startup: HttpProbe
    readiness: HttpProbe
    liveness: HttpProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port the server listens on. `public` ports serve clients; the others are for scraping or internal use."""

    name: str
    number: int
    public: bool


class VolumeKind(StrEnum):
    """What a volume must survive."""

    MODELS = "models"  # weights: survives replacement of the container
    CACHE = "cache"  # compiled kernels and the like: good to keep, safe to lose
    SCRATCH = "scratch"  # dies with the container
    SHARED_MEMORY = "shared-memory"  # /dev/shm


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A directory the container needs, with its size in GiB."""

    name: str
    kind: VolumeKind
    mount_path: str
    size_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretEnv:
    """Environment variable `variable` takes its value from the stack's secret `secret`, by reference only."""

    variable: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """A request the target makes once after the server is ready; idempotent."""

    method: str
    path: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How models reach a running server: requests after it is ready, and files it reads at start."""

    calls: tuple[HttpCall, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One server, ready to be placed. `args` follow the image's entry point, exec form, no shell.

    Memory is GiB and is a request and a limit; `cpu` is cores and a request only. `gpus` are whole devices.
    `user` is uid:gid, None for the image's own (root). `drain_seconds` is how long running requests get on SIGTERM.
    `capabilities` are the Linux capabilities it needs, in Kubernetes' spelling; all others are taken away.
    """

    name: str
    image: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    secret_env: tuple[SecretEnv, ...]
    ports: tuple[Port, ...]
    probes: Probes
    volumes: tuple[Volume, ...]
    gpus: int
    cpu: float
    memory_gib: float
    user: tuple[int, int] | None
    drain_seconds: int
    served_models: tuple[str, ...]
    metrics_path: str | None
    setup: Setup = field(default_factory=Setup)
    container_health: ExecProbe | None = None
    capabilities: tuple[str, ...] = ()

    @property
    def stop_seconds(self) -> int:
        """From SIGTERM to the kill: draining, and a margin, or the last answer would be cut off as it ends."""
        return self.drain_seconds + STOP_MARGIN_SECONDS
