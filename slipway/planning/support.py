"""What a reviewer should know about a stack that plans: tokens, spot, Kubernetes support."""

from datetime import date, timedelta

from slipway import catalog
from slipway.catalog.types import Checkpoint, InstanceType, KubernetesVersion, Market, Platform
from slipway.findings import Finding, Severity
from slipway.planning.types import Capacity
from slipway.problems import Problem
from slipway.settings.models import Autoscaler, SecretName, Settings, Target

# Room for one release of add-ons and node images before the cluster becomes dearer.
NOTICE = timedelta(days=90)


def kubernetes(settings: Settings, today: date) -> list[Problem | Finding]:
    """Whether AWS still supports the asked version, and in the way the stack asks for; other targets have none."""
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
    if not known[asked].in_standard_support(today) and not settings.kubernetes.extended_support:
        return [_extended_problem(known[asked], today)]
    finding = _support_finding(known[asked], settings, today)
    return [finding] if finding else []


def _extended_problem(version: KubernetesVersion, today: date) -> Problem:
    known = catalog.kubernetes_versions().values()
    standard = tuple(found.version for found in known if found.in_standard_support(today))
    return Problem(
        key="slipway:kubernetes.version",
        message=f"Kubernetes {version.version} left standard support on {version.standard_support_ends}, and the stack "
        "refuses to pay for extended support",
        given=version.version,
        allowed=standard,
        hint=f'write `version: "{standard[0]}"`, or `extendedSupport: true` beside it, until '
        f"{version.extended_support_ends}"
        if standard
        else "write `extendedSupport: true` under slipway:kubernetes",
    )


def _support_finding(version: KubernetesVersion, settings: Settings, today: date) -> Finding | None:
    newest = next(iter(catalog.kubernetes_versions()))
    subject = settings.stack
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
        f"{version.standard_support_ends}; after that "
        + (
            "AWS charges the dearer extended rate"
            if settings.kubernetes.extended_support
            else "EKS upgrades the cluster by itself, at a time of its own"
        ),
        fix=fix,
    )


def private_endpoint(settings: Settings) -> list[Finding]:
    """A cluster nobody outside its network can reach is safe, and the first `pulumi up` from a laptop stops there."""
    if settings.target is not Target.CLUSTER or settings.network.api_access_cidrs:
        return []
    return [
        Finding(
            id="private-api-endpoint",
            severity=Severity.INFO,
            subject=settings.stack,
            message="the cluster's API answers inside its network only, and `pulumi up` has to reach it",
            fix="run Pulumi inside the VPC or over a VPN, or name its address under slipway:network.apiAccessCidrs",
        )
    ]


def unlike_machines(settings: Settings, types: tuple[InstanceType, ...], machines: Capacity) -> list[Finding]:
    """Cluster Autoscaler takes every node of a group for one of the first type."""
    if machines.autoscaler is not Autoscaler.CLUSTER_AUTOSCALER:
        return []
    first = types[0]
    smaller = [found.name for found in types[1:] if found.vcpus < first.vcpus or found.memory_gib < first.memory_gib]
    if not smaller:
        return []
    return [
        Finding(
            id="autoscaler-smaller-machines",
            severity=Severity.WARNING,
            subject=settings.stack,
            message=f"Cluster Autoscaler counts on machines like {first.name}, and {', '.join(smaller)} "
            f"{'has' if len(smaller) == 1 else 'have'} fewer cores or less memory: it may add a machine on which the "
            "waiting pod finds no room",
            fix="put the smallest type first under slipway:instanceTypes, or write `autoscaler: karpenter` under "
            "slipway:capacity",
        )
    ]


def nobody_scales(settings: Settings, machines: Capacity) -> list[Finding]:
    """A maximum that is never reached looks like room that is not there."""
    if settings.target is not Target.CLUSTER or machines.maximum == machines.minimum:
        return []
    if machines.autoscaler is Autoscaler.NONE:
        return [_no_autoscaler(settings, machines)]
    return [
        Finding(
            id="replicas-not-scaled",
            severity=Severity.WARNING,
            subject=settings.stack,
            message=f"replicas stay as for {machines.minimum} of {machines.maximum} machines until somebody scales "
            "their Deployment: the autoscaler adds machines for replicas, and nothing adds replicas for requests yet",
            fix=f"write `min: {machines.maximum}` under slipway:capacity to have them always, or scale with "
            "`kubectl --namespace serving scale deployment`",
        )
    ]


def _no_autoscaler(settings: Settings, machines: Capacity) -> Finding:
    return Finding(
        id="no-autoscaler",
        severity=Severity.INFO,
        subject=settings.stack,
        message=f"nothing adds machines above {machines.minimum} by itself; up to {machines.maximum} can be "
        "started by hand",
        fix="raise `min` under slipway:capacity to have them"
        if settings.platform is Platform.GPUSTACK
        else "leave `autoscaler` out under slipway:capacity",
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


def unpinned(settings: Settings) -> list[Finding]:
    """Weights that may change under a stack that is protected against change."""
    if not settings.protect or settings.platform is not Platform.VLLM:
        return []
    loose = [served.name for served in settings.served if served.revision is None]
    adapters = [adapter.name for served in settings.served for adapter in served.lora_adapters]
    found: list[Finding] = []
    if loose:
        found.append(
            Finding(
                id="model-revision-unpinned",
                severity=Severity.INFO,
                subject=", ".join(loose),
                message="no revision is pinned: the next start may load other weights than this one",
                fix="write `revision:` and a commit of the model's repository beside its name",
            )
        )
    if adapters:
        found.append(
            Finding(
                id="lora-adapter-unpinned",
                severity=Severity.INFO,
                subject=", ".join(adapters),
                message="vLLM loads the newest commit of an adapter's repository; it has no option to pin one",
                fix="keep adapters in repositories that only your own release process writes to",
            )
        )
    return found


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
