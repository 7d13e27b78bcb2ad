"""The stack's configuration as typed, frozen values. Keys are camelCase in YAML, snake_case here."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from slipway.catalog.types import Market, Platform, Quantization


class Target(StrEnum):
    """Where a stack runs: Docker on this machine, one EC2 instance, or an EKS cluster."""

    LOCAL = "local"
    INSTANCE = "instance"
    CLUSTER = "cluster"


class Preset(StrEnum):
    """A whole tier in one word: instance types, context length, concurrency."""

    SMALL = "small"
    BALANCED = "balanced"
    LARGE = "large"


class OnExceed(StrEnum):
    """What a broken budget does to the plan."""

    WARN = "warn"
    FAIL = "fail"


class Autoscaler(StrEnum):
    """Who adds machines to a cluster when pods find no room, and takes empty ones away."""

    CLUSTER_AUTOSCALER = "clusterAutoscaler"
    KARPENTER = "karpenter"
    NONE = "none"


class KvCacheDtype(StrEnum):
    """How the KV cache is stored."""

    AUTO = "auto"
    FP8 = "fp8"


class CachePlace(StrEnum):
    """Where a cluster's servers keep their weights."""

    AUTO = "auto"
    NODE = "node"
    VOLUME = "volume"
    SHARED = "shared"


class PrometheusPlace(StrEnum):
    """Whose Prometheus watches a cluster."""

    INSTALL = "install"
    EXISTING = "existing"
    NONE = "none"


class Exposure(StrEnum):
    """Who reaches a cluster's gateway."""

    CLUSTER = "cluster"
    INTERNAL = "internal"
    PUBLIC = "public"


class SecretName(StrEnum):
    """The secrets a stack can carry, each a top-level key of its own: ``slipway:hfToken: {secure: ...}``."""

    HF_TOKEN = "hfToken"  # noqa: S105 - the key's name
    API_KEY = "apiKey"


class Strict(BaseModel):
    """Frozen; unknown keys and silent type changes are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )


# Far above any real value: a slipped digit is a mistake with a message, not an overflow later on.
LARGEST = 10**12

PositiveInt = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, le=LARGEST, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]


class ModelFacts(Strict):
    """The shape of a model the catalogue does not know, from its config.json."""

    parameters_b: Positive
    """Billions of parameters, all experts counted."""
    active_parameters_b: Positive | None = None
    """Billions of parameters used per token; only for mixtures of experts."""
    layers: PositiveInt
    """num_hidden_layers."""
    heads: PositiveInt
    """num_attention_heads."""
    kv_heads: PositiveInt
    """num_key_value_heads; the same as heads where the model shares none."""
    head_dim: PositiveInt
    """head_dim, or hidden_size / num_attention_heads."""
    hidden_size: PositiveInt
    """hidden_size."""
    vocabulary: PositiveInt
    """vocab_size."""
    max_context: PositiveInt
    """Longest context the model was made for, in tokens."""
    gated: Flag = False
    """Whether the download needs a Hugging Face token."""


class LoraAdapter(Strict):
    """A LoRA adapter of a model, which clients ask for by a name of its own."""

    name: Text
    """What clients call it."""
    repo: Text
    """Its Hugging Face id."""
    rank: PositiveInt
    """Its rank: `r` in its adapter_config.json. Memory is set aside for it."""


class ServedModel(Strict):
    """One model to serve."""

    name: Text
    """A catalogue name, or a Hugging Face id together with `facts`."""
    quantization: Quantization | None = None
    """Which published form to load. Default: full precision on vLLM and GPUStack, q4_k_m on Ollama and LocalAI."""
    tensor_parallel: PositiveInt | None = None
    """GPUs one replica is split over. Default: all GPUs of the instance type that the model's heads allow."""
    context_length: PositiveInt | None = None
    """Tokens per request for this model; overrides demand.contextLength."""
    concurrency: PositiveInt | None = None
    """Requests in flight for this model over all replicas; overrides demand.concurrency."""
    replicas: PositiveInt | None = None
    """Fixed number of replicas; default: one per GPU node, following capacity."""
    kv_cache_dtype: KvCacheDtype | None = None
    """`auto` (the model's dtype) or `fp8`, where GPU and engine allow it."""
    gpu_memory_utilization: Fraction | None = None
    """Share of the GPU's memory the engine may use; default 0.90."""
    tool_calling: Flag = False
    """Turn tool calling on, with the model's own parser."""
    revision: Text | None = None
    """Commit or tag of the model repository to pin; not a branch, whose files change."""
    lora_adapters: tuple[LoraAdapter, ...] = ()
    """LoRA adapters served beside the model from the same memory; vLLM only."""
    facts: ModelFacts | None = None
    """Needed when `name` is not in the catalogue."""


class CapacitySettings(Strict):
    """How much GPU capacity, and how it is bought."""

    market: Market = Market.ON_DEMAND
    """`spot` is cheaper and can be taken away with two minutes' notice."""
    on_demand_base: Count = 0
    """On-demand machines that always run, below the spot ones."""
    min: PositiveInt = 1
    """Machines that always run, base included; default: 1, or `onDemandBase` where that is more."""
    max: PositiveInt | None = None
    """Machines at full load, base included; default: `min`."""
    autoscaler: Autoscaler | None = None
    """Who adds machines up to `max` when pods find no room; default: clusterAutoscaler where `max` is above `min`."""
    reservation_id: Annotated[str, Field(strict=True, pattern=r"^cr-[0-9a-f]{8,17}$")] | None = None
    """Capacity Reservation the always running on-demand machines are started in; of the first instance type."""
    reservation_zone: Text | None = None
    """Availability zone of the reservation, such as us-east-1a: its machines can start nowhere else."""


class Demand(Strict):
    """What the stack must carry."""

    tokens_per_day: PositiveInt | None = None
    """Input and output tokens a day; the basis of cost per million tokens."""
    concurrency: PositiveInt = 8
    """Requests in flight over all replicas at full load."""
    context_length: PositiveInt = 4096
    """Longest request, prompt and answer together, in tokens."""


class BudgetSettings(Strict):
    """A limit on the monthly bill."""

    monthly_usd: Positive
    """US dollars a month."""
    on_exceed: OnExceed = OnExceed.WARN
    """`fail` stops the plan."""


class NetworkSettings(Strict):
    """Which network; by default the stack makes its own VPC."""

    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]{8,17}$")] | None = None
    """Adopt this VPC instead of making one."""
    private_subnet_ids: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")], ...] = ()
    """Private subnets of the adopted VPC, in at least two zones."""
    cidr: Text = "10.64.0.0/16"
    """Address range of a VPC the stack makes."""
    zones: Annotated[int, Field(strict=True, ge=2, le=4)] = 2
    """Availability zones of a VPC the stack makes."""
    nat_per_zone: Flag = False
    """One NAT gateway per zone instead of one for all: survives the loss of a zone, costs more."""
    api_access_cidrs: tuple[Text, ...] = ()
    """Who may reach the cluster's API endpoint from the internet; empty: nobody, the endpoint is private."""


class KubernetesSettings(Strict):
    """The EKS cluster."""

    version: Annotated[str, Field(pattern=r"^1\.[0-9]{2}$")] = "1.35"
    """Kubernetes version; quote it, YAML reads 1.30 as 1.3."""
    extended_support: Flag = False
    """Pay for extended support once standard support has ended, instead of being upgraded by EKS."""
    admin_role_arns: tuple[
        Annotated[str, Field(strict=True, pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$")], ...
    ] = ()
    """IAM roles with cluster administration, besides the one that creates the stack."""


class StorageSettings(Strict):
    """Where weights live."""

    disk_gib: PositiveInt | None = None
    """Size of the model volume; default: computed from the weights."""
    throughput_mib_s: Annotated[int, Field(strict=True, ge=125, le=2000)] = 250
    """gp3 throughput; loading weights is bound by it."""
    cache: CachePlace = CachePlace.AUTO
    """Where a cluster's servers keep weights. node: the machine's own NVMe, gone with the pod; volume: one EBS volume,
    for a single replica; shared: one EFS file system for all replicas, which download each model once (vLLM only);
    auto: a volume for a single replica, else the machine's disks."""


class MonitoringSettings(Strict):
    """Who watches a cluster's servers, and for how long measurements are kept."""

    prometheus: PrometheusPlace = PrometheusPlace.INSTALL
    """install: Prometheus, Alertmanager and Grafana of the stack's own, by chart kube-prometheus-stack; existing: only
    PodMonitors and alert rules, for a Prometheus operator that is there; none: nothing."""
    namespace: Annotated[str, Field(strict=True, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "monitoring"
    """Namespace of Prometheus, made or existing: the only one whose pods may read the servers' metrics."""
    pod_monitor_labels: dict[str, str] = {}
    """Labels by which an existing Prometheus selects its PodMonitors and rules, such as `release: prometheus`."""
    retention_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = 15
    """Days that measurements are kept."""
    storage_gib: PositiveInt = 50
    """Volume for the measurements; the oldest are dropped when it is nearly full."""
    alertmanager: Flag = True
    """Install Alertmanager, which groups alerts and passes them on."""


class GatewaySettings(Strict):
    """The one address of a cluster's models, behind which nobody reaches them otherwise."""

    exposure: Exposure = Exposure.INTERNAL
    """Who reaches it. cluster: pods only; internal: a load balancer in the private subnets; public: one that faces the
    internet, which needs a certificate and the clients' addresses."""
    source_cidrs: tuple[Text, ...] = ()
    """Address ranges of the clients; default for `internal`: the stack's own VPC, or all private ranges where the VPC
    is adopted."""
    certificate_arn: (
        Annotated[str, Field(strict=True, pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$")] | None
    ) = None
    """ACM certificate the load balancer answers with, on port 443; without it: plain HTTP on port 80."""
    host: (
        Annotated[str, Field(strict=True, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")]
        | None
    ) = None
    """Name of the certificate, which you point at the load balancer; default: the load balancer's own name."""


class Settings(Strict):
    """One stack, fully checked. `stack` and `region` come from outside the `slipway:` namespace."""

    stack: str
    region: str | None = None
    target: Target = Target.INSTANCE
    """Where it runs. local: Docker on this machine; instance: one EC2 GPU instance; cluster: EKS."""
    platform: Platform
    """The server that answers: vllm, gpustack, localai or ollama."""
    preset: Preset | None = None
    """Fills instance types, context length and concurrency for a whole tier: small, balanced or large."""
    instance_types: tuple[Text, ...] = ()
    """EC2 instance types with the same GPU; the first is preferred. Not used by the local target."""
    model: ServedModel | None = None
    """The model to serve: a name, or a mapping."""
    models: tuple[ServedModel, ...] = ()
    """Several models in one stack, instead of `model`."""
    capacity: CapacitySettings = CapacitySettings()
    """How many machines, and how they are bought."""
    demand: Demand = Demand()
    """What the stack must carry: tokens a day, requests in flight, context length."""
    budget: BudgetSettings | None = None
    """A limit on the monthly bill."""
    network: NetworkSettings = NetworkSettings()
    """The stack's own VPC, or one to adopt; who may reach the cluster's API."""
    kubernetes: KubernetesSettings = KubernetesSettings()
    """The EKS cluster: version and administrators."""
    gateway: GatewaySettings = GatewaySettings()
    """The one address of a cluster's models: who reaches it, and by which name."""
    storage: StorageSettings = StorageSettings()
    """The volume the weights live on: size and throughput."""
    monitoring: MonitoringSettings = MonitoringSettings()
    """Prometheus, alert rules and Grafana on a cluster."""
    tags: dict[str, str] = {}
    """Tags on every AWS resource."""
    protect: Flag = False
    """Refuse to delete what holds data."""
    secrets: frozenset[str] = frozenset()
    """Names of the stack's secrets that are set, such as `hfToken`; never their values."""

    @property
    def served(self) -> tuple[ServedModel, ...]:
        """The models to serve, whichever of the two keys named them."""
        return (self.model,) if self.model else self.models
