"""The gateway of a cluster, and who may reach it."""

from collections.abc import Iterator

from slipway.catalog.types import Platform
from slipway.settings.mistakes import Mistake
from slipway.settings.models import Exposure, Target
from slipway.settings.rules.network import named_ranges
from slipway.settings.rules.stack import Stack


def gateway_of_platform(stack: Stack) -> Iterator[Mistake]:
    """GPUStack answers through a gateway of its own."""
    settings = stack.settings
    if settings.target is Target.CLUSTER and settings.platform is Platform.GPUSTACK and "gateway" in stack.given:
        yield Mistake(
            path=("gateway",),
            message="has no meaning for GPUStack, which brings a gateway of its own",
            hint="leave it out",
        )


def balancer_settings(stack: Stack) -> Iterator[Mistake]:
    """What describes a load balancer needs one."""
    gateway = stack.settings.gateway
    if gateway.exposure is not Exposure.CLUSTER:
        return
    given = {"sourceCidrs": gateway.source_cidrs, "certificateArn": gateway.certificate_arn, "host": gateway.host}
    for key, value in given.items():
        if value:
            yield Mistake(
                path=("gateway", key),
                message="describes a load balancer, and exposure `cluster` makes none",
                hint="leave it out, or choose the exposure `internal` or `public`",
            )


def public_exposure(stack: Stack) -> Iterator[Mistake]:
    """Nothing faces the internet without TLS, or open to everybody."""
    gateway = stack.settings.gateway
    if gateway.exposure is not Exposure.PUBLIC:
        return
    if gateway.certificate_arn is None:
        yield Mistake(
            path=("gateway", "certificateArn"),
            message="is needed by the exposure `public`",
            hint="without TLS the key crosses the internet in clear",
        )
    if not gateway.source_cidrs:
        yield Mistake(
            path=("gateway", "sourceCidrs"),
            message="is needed by the exposure `public`",
            hint="name the addresses your clients come from",
        )


def named_certificate(stack: Stack) -> Iterator[Mistake]:
    """A certificate holds for a name, and never for the one AWS makes up for a load balancer."""
    gateway = stack.settings.gateway
    if gateway.certificate_arn is not None and gateway.host is None:
        yield Mistake(
            path=("gateway", "host"),
            message="is needed beside certificateArn",
            hint="name the host the certificate was made for, and point it at the load balancer",
        )


def client_ranges(stack: Stack) -> Iterator[Mistake]:
    """Clients come from ranges that are written right and are not everybody."""
    return named_ranges(
        ("gateway", "sourceCidrs"),
        stack.settings.gateway.source_cidrs,
        would="would open the gateway to every address",
        instead="name the addresses your clients come from",
    )
