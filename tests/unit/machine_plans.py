"""Hand-made plans for one machine: tests of platforms and targets must not depend on the planner's figures."""

from types import MappingProxyType

from slipway import catalog
from slipway.catalog.types import Checkpoint, Market, Platform, Quantization
from slipway.planning.types import (
    Budget,
    Capacity,
    ColdStart,
    MemoryProof,
    MemoryTerm,
    PlannedModel,
    ServingPlan,
)
from slipway.platforms.workload import (
    HttpCall,
    HttpProbe,
    Port,
    Probes,
    SecretEnv,
    Setup,
    Volume,
    VolumeKind,
    Workload,
)
from slipway.settings.models import ServedModel, Settings, StorageSettings, Target

LLAMA = "llama-3.1-8b-instruct"
QWEN = "qwen2.5-0.5b-instruct"


def budget(used_gib: float, available_gib: float) -> Budget:
    return Budget(
        available_gib=available_gib,
        available_how="by hand",
        terms=(MemoryTerm(name="all", gib=used_gib, how="by hand"),),
    )


def planned(
    name: str = LLAMA,
    *,
    reference: str = "llama3.1:8b-instruct-q4_K_M",
    gpus: int = 1,
    context_length: int = 4096,
    concurrency: int = 4,
    host_gib: float = 3.0,
    disk_gib: float = 10.4,
    cold_start_seconds: float = 120.0,
) -> PlannedModel:
    return PlannedModel(
        name=name,
        model=catalog.models()[name],
        checkpoint=Checkpoint(quantization=Quantization.Q4_K_M, reference=reference, gated=False),
        dtype="float16",
        kv_cache_dtype="auto",
        tensor_parallel=1,
        gpus=gpus,
        context_length=context_length,
        concurrency=concurrency,
        replicas_min=1,
        replicas_max=1,
        memory=MemoryProof(
            gpu=budget(9.0, 14.56) if gpus else None,
            host=budget(host_gib, 14.0),
            disk=budget(disk_gib, 100.0),
            error_band=0.05,
        ),
        cold_start=ColdStart(phases=(("download", cold_start_seconds),)),
        flags=(),
    )


def serving_plan(
    platform: Platform = Platform.OLLAMA,
    *models: PlannedModel,
    target: Target = Target.INSTANCE,
    instance_types: tuple[str, ...] = ("g4dn.xlarge", "g4dn.2xlarge"),
    market: Market = Market.SPOT,
    storage: StorageSettings | None = None,
    protect: bool = False,
) -> ServingPlan:
    served = models or (planned(),)
    local = target is Target.LOCAL
    return ServingPlan(
        stack="dev",
        region=None if local else "us-east-1",
        target=target,
        platform=platform,
        release=catalog.release(platform),
        instance_types=() if local else tuple(catalog.instance_types()[name] for name in instance_types),
        zones=() if local else ("us-east-1a", "us-east-1b"),
        capacity=Capacity(market=market, on_demand_base=0, minimum=1, maximum=1),
        models=served,
        settings=Settings(
            stack="dev",
            region=None if local else "us-east-1",
            target=target,
            platform=platform,
            models=tuple(ServedModel(name=model.name) for model in served),
            storage=storage or StorageSettings(),
            tags={"team": "research"},
            protect=protect,
        ),
        findings=(),
    )


def vllm_like(name: str = "chat", *, gpus: int = 1, args: tuple[str, ...] | None = None) -> Workload:
    """A server as vLLM's platform describes one: secrets, shared memory, a user of its own, arguments to quote."""
    probe = HttpProbe(path="/health", port="http", failures=30)
    return Workload(
        name=name,
        image="vllm/vllm-openai:v0.33.0",
        args=args if args is not None else ("Qwen/Qwen2.5-7B-Instruct", "--max-model-len", "8192"),
        env=MappingProxyType({"HF_HOME": "/home/vllm/.cache/huggingface"}),
        secret_env=(
            SecretEnv(variable="VLLM_API_KEY", secret="apiKey"),
            SecretEnv(variable="HF_TOKEN", secret="hfToken"),
        ),
        ports=(Port(name="http", number=8000, public=True),),
        probes=Probes(startup=probe, readiness=probe, liveness=probe),
        volumes=(
            Volume(name="models", kind=VolumeKind.MODELS, mount_path="/home/vllm/.cache/huggingface", size_gib=30),
            Volume(name="compiled", kind=VolumeKind.CACHE, mount_path="/home/vllm/.cache/vllm", size_gib=5),
            Volume(name="tmp", kind=VolumeKind.SCRATCH, mount_path="/tmp", size_gib=5),
            Volume(name="shm", kind=VolumeKind.SHARED_MEMORY, mount_path="/dev/shm", size_gib=8),
        ),
        gpus=gpus,
        cpu=3.0,
        memory_gib=12.5,
        user=(2000, 0),
        drain_seconds=90,
        served_models=(name,),
        metrics_path="/metrics",
        setup=Setup(calls=(HttpCall(method="POST", path="/v1/load", body='{"it\'s": "100% $HOME"}'),)),
    )
