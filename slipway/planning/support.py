"""What a reviewer should know about a stack that plans: tokens, spot, Kubernetes support."""

from datetime import date, timedelta

from slipway import catalog
from slipway.catalog.types import Checkpoint, KubernetesVersion, Market, Platform
from slipway.findings import Finding, Severity
from slipway.planning.types import Capacity
from slipway.problems import Problem
from slipway.settings.models import SecretName, Settings, Target

# Room for one release of add-ons and node images before the cluster becomes dearer.
NOTICE = timedelta(days=90)


def kubernetes(settings: Settings, today: date) -> list[Problem | Finding]:
    """Whether AWS still supports the asked version; other targets have none."""
    if settings.target is not Target.CLUSTER:
        return []
    known = catalog.kubernetes_versions()
    asked = settings.kubernetes.version
    supported = tuple(found.version for found in known.values() if found.extended_support_ends >= today)
    if asked not in supported:
        ended = f" since {known[asked].extended_support_ends}" if asked in known else ""
        return [
            Problem(
                key="slipway:kubernetes.version",
                message=f"EKS does not run Kubernetes {asked}{ended}",
                given=asked,
                allowed=supported,
                hint=f'write `version: "{supported[0]}"` under slipway:kubernetes' if supported else None,
            )
        ]
    finding = _support_finding(known[asked], settings.stack, today)
    return [finding] if finding else []


def _support_finding(version: KubernetesVersion, subject: str, today: date) -> Finding | None:
    newest = next(iter(catalog.kubernetes_versions()))
    fix = f'write `version: "{newest}"` under slipway:kubernetes; EKS upgrades one minor version at a time'
    if not version.in_standard_support(today):
        return Finding(
            id="kubernetes-extended-support",
            severity=Severity.WARNING,
            subject=subject,
            message=f"Kubernetes {version.version} left standard support on {version.standard_support_ends}: AWS "
            f"charges the cluster at the dearer extended rate, and ends it on {version.extended_support_ends}",
            fix=fix,
        )
    left = version.standard_support_ends - today
    if left > NOTICE:
        return None
    return Finding(
        id="kubernetes-support-ends",
        severity=Severity.WARNING,
        subject=subject,
        message=f"Kubernetes {version.version} leaves standard support in {left.days} days, on "
        f"{version.standard_support_ends}; after that AWS charges the dearer extended rate",
        fix=fix,
    )


def gated(settings: Settings, name: str, checkpoint: Checkpoint) -> list[Finding]:
    """A gated download without a token fails after the machine has started and costs money."""
    if not checkpoint.gated or SecretName.HF_TOKEN in settings.secrets:
        return []
    return [
        Finding(
            id="gated-model-without-token",
            severity=Severity.WARNING,
            subject=name,
            message=f"{checkpoint.reference} is gated on Hugging Face and the stack has no token: the download will "
            "be refused",
            fix="accept the licence on its page, then: pulumi config set --secret slipway:hfToken",
        )
    ]


def spot(settings: Settings, machines: Capacity) -> list[Finding]:
    """Spot machines go with two minutes' notice; without a base nothing is left to answer."""
    if machines.market is not Market.SPOT or machines.on_demand_base:
        return []
    single = settings.target is Target.INSTANCE
    return [
        Finding(
            id="spot-without-base",
            severity=Severity.INFO if single else Severity.WARNING,
            subject=settings.stack,
            message="all machines are spot: AWS can take them all with two minutes' notice, and then nothing answers "
            "until there is capacity again",
            fix="write `market: on-demand` under slipway:capacity"
            if single
            else "write `onDemandBase: 1` under slipway:capacity",
        )
    ]


def local(settings: Settings, need_gib: float) -> list[Finding]:
    """The plan never looks at the machine it runs on, so the requirement is said instead."""
    if settings.target is not Target.LOCAL:
        return []
    return [
        Finding(
            id="local-memory",
            severity=Severity.INFO,
            subject=settings.stack,
            message=f"needs {need_gib:.0f} GiB of free memory on the machine that runs Docker",
            fix="check with `docker info` (Total Memory) before the first `pulumi up`",
        )
    ]


def platform_on_cpu(settings: Settings, machine: str) -> Problem | None:
    """vLLM and GPUStack on EC2 are planned for GPUs only."""
    if settings.platform not in {Platform.VLLM, Platform.GPUSTACK}:
        return None
    return Problem(
        key="slipway:instanceTypes",
        message=f"{settings.platform.value} needs a GPU; {machine} has none",
        given=machine,
        hint="choose a GPU type such as g6.xlarge, or platform ollama or localai, which serve small models on a CPU",
    )
