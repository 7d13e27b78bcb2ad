"""The gateway's two servers: Caddy, which clients reach, and LiteLLM behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from slipway import catalog
from slipway.gateway.backends import ENGINE_KEY_VARIABLE, Backend
from slipway.gateway.door import ALIVE_PATH, KEY_VARIABLE, READY_PATH, ROUTER_KEY_VARIABLE, caddyfile
from slipway.gateway.routing import MASTER_KEY_VARIABLE, config
from slipway.platforms.workload import (
    ExecProbe,
    HttpProbe,
    Port,
    Probes,
    SecretEnv,
    Setup,
    Volume,
    VolumeKind,
    Workload,
)
from slipway.settings.models import SecretName

ROUTER_KEY = "routerKey"
"""Secret between the two servers, which whoever runs them makes up; begins with `ROUTER_KEY_PREFIX`."""
ROUTER_KEY_PREFIX = "sk-"
"""By this LiteLLM knows a key, and writes its hash where it would otherwise write the key."""
PORT = 8080
ROUTER_PORT = 4000
METRICS_PORT = 4001
NOBODY = (65534, 65534)
"""The user of LiteLLM's `non_root` image; Caddy's image runs as any."""
TEMPORARY = "/tmp"  # noqa: S108 - a volume of its own
DRAIN_SECONDS = 300
"""Longest stream that outlives a rollout: the time a load balancer of AWS gives a target that leaves, too."""
CADDYFILE = "/etc/caddy/Caddyfile"
CONFIG = "/etc/litellm/config.yaml"
# LiteLLM 1.108.5 at rest, measured 2026-11-23: 0.38 GiB, and 0.2 GiB for the process that serves its metrics.
ROUTER_MEMORY_GIB = 1.5
STARTUP_PERIOD_SECONDS = 5
# Ready 9 s after start on two cores; a full node takes a multiple of that.
STARTUP_FAILURES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The gateway as two servers. Only `door` is for clients; `router` must be out of their reach."""

    door: Workload
    router: Workload


def gateway(backends: Sequence[Backend], *, router_host: str) -> Gateway:
    """The gateway in front of `backends`; the door finds the router at `router_host`."""
    return Gateway(door=_door(backends, f"{router_host}:{ROUTER_PORT}"), router=_router(backends))


def _door(backends: Sequence[Backend], upstream: str) -> Workload:
    return Workload(
        name="gateway",
        image=_image("caddy"),
        args=("caddy", "run", "--config", CADDYFILE, "--adapter", "caddyfile"),  # the image has no entry point
        env={"XDG_CONFIG_HOME": TEMPORARY, "XDG_DATA_HOME": TEMPORARY},
        secret_env=(
            SecretEnv(variable=KEY_VARIABLE, secret=SecretName.API_KEY.value),
            SecretEnv(variable=ROUTER_KEY_VARIABLE, secret=ROUTER_KEY),
        ),
        ports=(Port(name="http", number=PORT, public=True),),
        probes=Probes(
            startup=HttpProbe(path=ALIVE_PATH, port="http", period_seconds=2, failures=30),
            readiness=HttpProbe(path=READY_PATH, port="http", period_seconds=5),
            liveness=HttpProbe(path=ALIVE_PATH, port="http"),
        ),
        volumes=(Volume(name="door-temporary", kind=VolumeKind.SCRATCH, mount_path=TEMPORARY, size_gib=1),),
        gpus=0,
        cpu=0.1,
        memory_gib=0.25,
        user=NOBODY,
        # The image's program carries this capability, and the kernel refuses to start it where it can't be had.
        capabilities=("NET_BIND_SERVICE",),
        drain_seconds=DRAIN_SECONDS,
        served_models=tuple(dict.fromkeys(backend.model for backend in backends)),
        metrics_path=None,
        setup=Setup(files={CADDYFILE: caddyfile(port=PORT, upstream=upstream, drain_seconds=DRAIN_SECONDS)}),
        container_health=ExecProbe(command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}{READY_PATH}")),
    )


def _router(backends: Sequence[Backend]) -> Workload:
    secrets = {MASTER_KEY_VARIABLE: ROUTER_KEY}
    if any(backend.key_variable for backend in backends):
        secrets[ENGINE_KEY_VARIABLE] = SecretName.API_KEY.value
    return Workload(
        name="router",
        image=_image("litellm"),
        args=(
            *("--config", CONFIG),
            *("--host", "0.0.0.0", "--port", str(ROUTER_PORT)),  # noqa: S104 - inside its own network
            # A process and a port of its own: scraping needs no key there, and clients have no way to it.
            *("--prometheus_metrics_port", str(METRICS_PORT)),
            *("--telemetry", "False"),
        ),
        env=_router_environment(),
        secret_env=tuple(SecretEnv(variable=name, secret=secret) for name, secret in secrets.items()),
        ports=(
            Port(name="router", number=ROUTER_PORT, public=False),
            Port(name="metrics", number=METRICS_PORT, public=False),
        ),
        probes=Probes(
            startup=HttpProbe(
                path="/health/liveliness",
                port="router",
                period_seconds=STARTUP_PERIOD_SECONDS,
                failures=STARTUP_FAILURES,
            ),
            readiness=HttpProbe(path="/health/readiness", port="router"),
            liveness=HttpProbe(path="/health/liveliness", port="router", timeout_seconds=10, failures=6),
        ),
        volumes=(Volume(name="router-temporary", kind=VolumeKind.SCRATCH, mount_path=TEMPORARY, size_gib=1),),
        gpus=0,
        cpu=0.5,
        memory_gib=ROUTER_MEMORY_GIB,
        user=NOBODY,
        drain_seconds=DRAIN_SECONDS,
        served_models=(),
        metrics_path="/metrics/",
        setup=Setup(files={CONFIG: config(backends)}),
        container_health=ExecProbe(command=("python", "-c", _ALIVE), timeout_seconds=10),
    )


_ALIVE = f"from urllib.request import urlopen; urlopen('http://127.0.0.1:{ROUTER_PORT}/health/readiness', timeout=8)"


def _router_environment() -> dict[str, str]:
    return {
        "HOME": TEMPORARY,
        "LITELLM_MODE": "PRODUCTION",  # reads no .env file
        "LITELLM_NON_ROOT": "true",
        "LITELLM_UI_PATH": f"{TEMPORARY}/ui",
        "LITELLM_ASSETS_PATH": f"{TEMPORARY}/assets",
        "LITELLM_LOG": "WARNING",
        "LITELLM_DONT_SHOW_FEEDBACK_BOX": "true",
        "DISABLE_ADMIN_UI": "True",
        "NO_DOCS": "True",
        "NO_REDOC": "True",
        "NO_OPENAPI": "True",
        # Prices, blog posts and the like come with the image; nothing is fetched at start.
        **dict.fromkeys(
            (
                "LITELLM_LOCAL_MODEL_COST_MAP",
                "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS",
                "LITELLM_LOCAL_AUTOROUTER_PRESETS",
                "LITELLM_LOCAL_BLOG_POSTS",
                "LITELLM_LOCAL_POLICY_TEMPLATES",
            ),
            "True",
        ),
        "GRACEFUL_SHUTDOWN_TIMEOUT": str(DRAIN_SECONDS),
    }


def _image(pin: str) -> str:
    image = catalog.pins()[pin].image
    if image is None:
        raise ValueError(f"the catalogue pins no image of {pin}")
    return image
