"""The network a plan asks for, the same way on every target in AWS: made over its zones, or adopted."""

from collections.abc import Sequence

from components.naming import stack_tags
from components.network import Nat, NetworkArgs
from slipway.planning.types import ServingPlan


def region_of(plan: ServingPlan) -> str:
    """The plan's AWS region; targets in AWS have one.

    Raises:
        ValueError: the plan names none.
    """
    if plan.region is None:
        raise ValueError("plan: names no region")
    return plan.region


def network_of(plan: ServingPlan, *, zones: Sequence[str], nat: Nat) -> NetworkArgs:
    """A network over `zones` with the given way out, or the adopted one."""
    wanted = plan.settings.network
    return NetworkArgs(
        region=region_of(plan),
        zones=zones,
        cidr=wanted.cidr,
        nat=nat,
        vpc_id=wanted.vpc_id,
        private_subnet_ids=wanted.private_subnet_ids,
        tags=stack_tags(plan.stack, plan.settings.tags),
    )
