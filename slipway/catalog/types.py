"""The facts Slipway knows: GPUs, instance types, models, engine releases, prices. Dated, sourced, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Platform(StrEnum):
    """A server that answers OpenAI-compatible requests."""

    VLLM = "vllm"
    GPUSTACK = "gpustack"
    LOCALAI = "localai"
    OLLAMA = "ollama"


class Market(StrEnum):
    """How EC2 capacity is bought."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Arch(StrEnum):
    """CPU architecture, in Kubernetes' spelling."""

    AMD64 = "amd64"
    ARM64 = "arm64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a figure comes from and when it was true."""

    name: str
    as_of: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU. `memory_gib` is what the driver reports, not what the data sheet prints.

    `aws_memory_mib` is what EC2's DescribeInstanceTypes states for it, always a little more. `share` is below 1 for
    the slices of a GPU that EC2 sells; bandwidth and TFLOPS are then that share too.
    """

    name: str
    memory_gib: float
    compute_capability: tuple[int, int]
    bandwidth_gb_s: float
    fp16_tflops: float
    fp8_tflops: float | None
    aws_memory_mib: int
    share: float = 1.0
    source: Source

    def supports(self, capability: tuple[int, int]) -> bool:
        """Whether this GPU has at least the given compute capability."""
        return self.compute_capability >= capability


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One EC2 instance type. `gpu` is None on CPU types; `gpu_count` is 0 there.

    `network_gbps` is the baseline, not the burst AWS advertises. `allocatable_*` is what Kubernetes can schedule on an
    EKS node of this type, before DaemonSets; None if unmeasured. A slice of a GPU counts as one GPU whose `share` is
    below 1.
    """

    name: str
    arch: Arch
    vcpus: int
    memory_gib: float
    gpu: Gpu | None
    gpu_count: int
    local_nvme_gb: int
    network_gbps: float
    efa_interfaces: int
    max_pods: int | None
    allocatable_memory_mib: int | None
    allocatable_cpu_milli: int | None
    source: Source

    @property
    def family(self) -> str:
        """The part before the dot, as in ``g6e``."""
        return self.name.partition(".")[0]


class Quantization(StrEnum):
    """How a checkpoint's weights are stored."""

    NONE = "none"
    FP8 = "fp8"
    AWQ = "awq"
    GPTQ = "gptq"
    MXFP4 = "mxfp4"
    Q4_K_M = "q4_k_m"
    Q8_0 = "q8_0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One published form of a model's weights.

    `reference` is what the platform pulls: a Hugging Face repository, or an Ollama or LocalAI name.
    `weights_gib` is the measured size where it is known; None means it is computed from the architecture.
    """

    quantization: Quantization
    reference: str
    gated: bool
    weights_gib: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What decides the size of the KV cache. `windowed_layers` keep only `window` tokens each."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    windowed_layers: int = 0
    window: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """The gated feed-forward block of one layer: its inner width, per expert where there are several."""

    size: int
    experts: int = 1
    active_experts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model. Parameters are billions; `active_parameters_b` differs from `parameters_b` for mixtures of experts.

    `embedding_parameters_b` (input embedding and untied output head) stay in 16 bits under most quantizations.
    `vision_parameters_b` is the part of `parameters_b` that reads images. `native_dtype` is the dtype of the
    published weights. `ollama` and `localai` hold the exact name each platform knows a quantization by.
    """

    name: str
    parameters_b: float
    active_parameters_b: float
    embedding_parameters_b: float
    hidden_size: int
    vocabulary: int
    attention: Attention
    max_context: int
    native_dtype: str
    licence: str
    checkpoints: tuple[Checkpoint, ...]
    ollama: Mapping[Quantization, str] = field(default_factory=dict[Quantization, str])
    localai: Mapping[Quantization, str] = field(default_factory=dict[Quantization, str])
    tool_call_parser: str | None = None
    float16_safe: bool = True
    feed_forward: FeedForward | None = None
    tied_embeddings: bool = False
    vision_parameters_b: float = 0.0
    source: Source

    def checkpoint(self, quantization: Quantization) -> Checkpoint | None:
        """The published form with this quantization; None where there is none."""
        return next((found for found in self.checkpoints if found.quantization is quantization), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A pinned Helm chart. `reference` is an OCI address, or a chart's name where `repository` is set."""

    reference: str
    version: str
    repository: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """Unpacked size in GiB of an image of another `version` than the pinned one."""

    gib: float
    version: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRelease:
    """One pinned release of a serving platform.

    `images` maps an accelerator (``cuda``, ``cpu``) to an exact image reference; `image_gib` has its unpacked size
    only where a source states one, `known_images` the newest that is stated of another version. `flags` are the options
    its command line accepts, with leading dashes; empty where the platform is configured by environment variables only.
    `metrics` are the names on its Prometheus endpoint. `lora_ranks` are the ranks of adapters it makes room for.
    `tool_templates` are chat templates inside its images, by the tool call parser that needs one.
    """

    platform: Platform
    version: str
    images: Mapping[str, str]
    image_gib: Mapping[str, float]
    flags: frozenset[str]
    minimum_compute_capability: tuple[int, int]
    minimum_driver: int | None
    metrics: frozenset[str] = frozenset()
    chart: Chart | None = None
    lora_ranks: tuple[int, ...] = ()
    tool_templates: Mapping[str, str] = field(default_factory=dict[str, str])
    known_images: Mapping[str, ImageSize] = field(default_factory=dict[str, ImageSize])
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One pinned image or chart that is not a serving platform, such as the gateway or Prometheus.

    `images` is by Kubernetes version, for what must be of the cluster's own.
    """

    version: str
    image: str | None
    chart: Chart | None
    source: Source
    images: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesVersion:
    """One EKS version with the last days of its two support phases; `estimated` where AWS has not stated them here."""

    version: str
    released: date
    standard_support_ends: date
    extended_support_ends: date
    estimated: bool
    source: Source

    def in_standard_support(self, day: date) -> bool:
        """Whether `day` falls before the dearer extended support begins."""
        return day <= self.standard_support_ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One EC2 service quota, counted in vCPUs."""

    code: str
    name: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per hour for one instance on demand."""

    usd_per_hour: float
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotRange:
    """USD per hour for one spot instance over the zones of a region; spot is never one number.

    `estimated` marks ranges derived from the Spot Advisor's savings rather than quoted per zone. `interruption` is the
    Spot Advisor's band for the share of machines taken away in a month, such as ``5-10%``; None where it has none.
    """

    low: float
    typical: float
    high: float
    estimated: bool
    interruption: str | None = None
    source: Source


class Service(StrEnum):
    """A priced part of an AWS service other than an EC2 instance."""

    EKS_CLUSTER = "eks-cluster"
    EKS_CLUSTER_EXTENDED = "eks-cluster-extended"
    EBS_GP3 = "ebs-gp3"
    EBS_GP3_IOPS = "ebs-gp3-iops"
    EBS_GP3_THROUGHPUT = "ebs-gp3-throughput"
    NAT_GATEWAY = "nat-gateway"
    NAT_GATEWAY_DATA = "nat-gateway-data"
    ALB = "alb"
    ALB_LCU = "alb-lcu"
    NLB = "nlb"
    NLB_LCU = "nlb-lcu"
    PUBLIC_IPV4 = "public-ipv4"
    INTERFACE_ENDPOINT = "interface-endpoint"
    INTERFACE_ENDPOINT_DATA = "interface-endpoint-data"
    EFS_STANDARD = "efs-standard"
    EFS_ONE_ZONE = "efs-one-zone"
    S3_STANDARD = "s3-standard"
    S3_PUT = "s3-put"
    S3_GET = "s3-get"
    KMS_KEY = "kms-key"
    SECRETS_MANAGER = "secrets-manager"
    LOGS_INGESTED = "logs-ingested"
    LOGS_STORED = "logs-stored"
    ECR_STORAGE = "ecr-storage"
    DATA_CROSS_ZONE = "data-cross-zone"
    DATA_CROSS_REGION = "data-cross-region"
    DATA_EGRESS = "data-egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """USD for one `unit` of a service, such as ``hour`` or ``GB-month``.

    `estimated` marks the us-east-1 price standing in for a region no source has, and figures from weak sources.
    """

    service: Service
    usd: float
    unit: str
    estimated: bool
    source: Source
