"""Which published form of a model runs on which GPU, and in what dtype. Every refusal is a Problem with its way out."""

from dataclasses import dataclass

from slipway.catalog.types import Checkpoint, EngineRelease, Gpu, Model, Platform, Quantization
from slipway.findings import Finding, Severity
from slipway.planning.memory import EngineLoad
from slipway.problems import Problem
from slipway.settings.models import KvCacheDtype, ServedModel

BFLOAT16_CAPABILITY = (8, 0)
NATIVE_FP8_CAPABILITY = (8, 9)
# Below it FlashAttention has no FP8 cache; FlashInfer serves it from 8.0 on (published A10G logs), Triton from 8.9.
HOPPER = (9, 0)
FP8_KV_CAPABILITY = (8, 0)

# vLLM's get_min_capability() of each method; weight-only Marlin kernels carry FP8, AWQ and GPTQ down to Turing.
MINIMUM_CAPABILITY = {
    Quantization.FP8: (7, 5),
    Quantization.AWQ: (7, 5),
    Quantization.GPTQ: (7, 5),
    Quantization.MXFP4: (8, 0),
}

VLLM_ENGINES = frozenset({Platform.VLLM, Platform.GPUSTACK})
GGUF = frozenset({Quantization.Q4_K_M, Quantization.Q8_0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How one model is stored and computed. `flashinfer`: the FP8 cache needs FlashInfer's kernels on this GPU."""

    checkpoint: Checkpoint
    dtype: str
    kv_cache_dtype: str
    flashinfer: bool

    def load(
        self, *, tensor_parallel: int, context_length: int, max_num_seqs: int, max_num_batched_tokens: int
    ) -> EngineLoad:
        """The engine's load at this precision."""
        return EngineLoad(
            tensor_parallel=tensor_parallel,
            dtype=self.dtype,
            kv_cache_dtype=self.kv_cache_dtype,
            context_length=context_length,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            flashinfer=self.flashinfer,
        )


def published(model: Model, platform: Platform) -> dict[Quantization, Checkpoint]:
    """The forms of a model a platform can pull, best precision first as the catalogue lists them."""
    if platform in VLLM_ENGINES:
        return {found.quantization: found for found in model.checkpoints if found.quantization not in GGUF}
    names = model.ollama if platform is Platform.OLLAMA else model.localai
    return {
        quantization: Checkpoint(quantization=quantization, reference=name, gated=False)
        for quantization, name in names.items()
    }


def default_quantization(forms: dict[Quantization, Checkpoint], platform: Platform) -> Quantization | None:
    """Full precision on vLLM and GPUStack, q4_k_m on Ollama and LocalAI; else the first there is."""
    wanted = Quantization.NONE if platform in VLLM_ENGINES else Quantization.Q4_K_M
    return wanted if wanted in forms else next(iter(forms), None)


def choose_checkpoint(served: ServedModel, model: Model, platform: Platform, key: str) -> Checkpoint | Problem:
    """The published form that `served` asks for, or why there is none."""
    forms = published(model, platform)
    allowed = tuple(form.value for form in forms)
    wanted = served.quantization or default_quantization(forms, platform)
    if wanted is None:
        return Problem(
            key=f"{key}.name",
            message=f"the catalogue knows no form of {served.name} that {platform.value} can pull",
            given=served.name,
            hint="choose another model, or another platform",
        )
    if wanted not in forms:
        return Problem(
            key=f"{key}.quantization",
            message=f"{platform.value} has no {wanted.value} form of {served.name}",
            given=wanted.value,
            allowed=allowed,
            hint=f"write quantization: {allowed[0]}",
        )
    return forms[wanted]


def gpu_problems(
    served: ServedModel, checkpoint: Checkpoint, gpu: Gpu, release: EngineRelease, key: str
) -> list[Problem]:
    """What this GPU cannot do for this model."""
    found: list[Problem] = []
    quantization = checkpoint.quantization
    minimum = MINIMUM_CAPABILITY.get(quantization)
    if minimum is not None and gpu.supports(release.minimum_compute_capability) and not gpu.supports(minimum):
        found.append(
            Problem(
                key=f"{key}.quantization",
                message=f"{quantization.value} needs compute capability {_dotted(minimum)}, "
                f"{gpu.name} has {_dotted(gpu.compute_capability)}",
                given=quantization.value,
                hint="choose an instance type with a newer GPU, such as L4 (g6), A10G (g5) or L40S (g6e)",
            )
        )
    if served.kv_cache_dtype is KvCacheDtype.FP8 and not gpu.supports(FP8_KV_CAPABILITY):
        found.append(
            Problem(
                key=f"{key}.kvCacheDtype",
                message=f"an fp8 KV cache needs compute capability {_dotted(FP8_KV_CAPABILITY)}, "
                f"{gpu.name} has {_dotted(gpu.compute_capability)}",
                given="fp8",
                allowed=("auto",),
                hint="write kvCacheDtype: auto, or choose a newer GPU",
            )
        )
    return found


def engine_problem(gpu: Gpu, instance_type: str, release: EngineRelease) -> Problem | None:
    """The engine's own floor, such as V100 under vLLM."""
    if gpu.supports(release.minimum_compute_capability):
        return None
    minimum = _dotted(release.minimum_compute_capability)
    return Problem(
        key="slipway:instanceTypes",
        message=f"{release.platform.value} {release.version} needs compute capability {minimum}; "
        f"{gpu.name} on {instance_type} has {_dotted(gpu.compute_capability)}",
        given=instance_type,
        hint="choose an instance type with T4 (g4dn), A10G (g5), L4 (g6), L40S (g6e) or newer",
    )


def decide(served: ServedModel, model: Model, checkpoint: Checkpoint, gpu: Gpu | None) -> Precision:
    """The dtype the engine computes in on this GPU; on a CPU the model's own."""
    kv_cache_dtype = served.kv_cache_dtype or KvCacheDtype.AUTO
    return Precision(
        checkpoint=checkpoint,
        dtype=compute_dtype(model, gpu),
        kv_cache_dtype=kv_cache_dtype.value,
        flashinfer=kv_cache_dtype is KvCacheDtype.FP8 and gpu is not None and not gpu.supports(HOPPER),
    )


def compute_dtype(model: Model, gpu: Gpu | None) -> str:
    """The model's own dtype; without bfloat16 (below 8.0) float16, or float32 where float16 overflows (Gemma)."""
    if model.native_dtype != "bfloat16" or gpu is None or gpu.supports(BFLOAT16_CAPABILITY):
        return model.native_dtype
    return "float16" if model.float16_safe else "float32"


def findings(served: ServedModel, precision: Precision, gpu: Gpu) -> list[Finding]:
    """What works on this GPU, but not as one would expect."""
    found: list[Finding] = []
    if precision.dtype == "float32":
        found.append(
            Finding(
                id="float32-fallback",
                severity=Severity.WARNING,
                subject=served.name,
                message=f"{gpu.name} has no bfloat16 and {served.name} overflows in float16: it runs in float32, "
                "with twice the memory and about half the speed",
                fix="choose an instance type with compute capability 8.0 or newer, such as g6.xlarge",
            )
        )
    if precision.checkpoint.quantization is Quantization.FP8 and not gpu.supports(NATIVE_FP8_CAPABILITY):
        found.append(
            Finding(
                id="fp8-weight-only",
                severity=Severity.INFO,
                subject=served.name,
                message=f"{gpu.name} has no FP8 units: the weights stay in FP8 and are widened for computing, "
                "so they save memory but not time",
                fix="choose L4, L40S or H100 for FP8 computing, or leave it so",
            )
        )
    return found


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
