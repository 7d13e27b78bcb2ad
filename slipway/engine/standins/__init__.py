"""Plan-only providers for aws, kubernetes, docker and random: what every user's offline plan runs against."""

from collections.abc import Mapping

from slipway.engine.standins.base import Answer, StandIn

__all__ = ["plan_only"]


def plan_only(answers: Mapping[str, Answer]) -> dict[str, StandIn]:
    """A fresh set of providers for one session."""
    from slipway.engine.standins.aws import AwsStandIn  # noqa: PLC0415 - base imports nothing of these two
    from slipway.engine.standins.kubernetes import KubernetesStandIn  # noqa: PLC0415

    return {
        "aws": AwsStandIn(answers),
        "kubernetes": KubernetesStandIn(),
        "docker": StandIn("docker", answers),
        "random": StandIn("random", answers),
    }
