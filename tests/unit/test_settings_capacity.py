"""Who adds machines and which are reserved: every combination that would do nothing, or fail later, is refused."""

from pathlib import Path

import pytest
from settings_stacks import GOOD, refused

pytestmark = pytest.mark.unit

CLUSTER = GOOD + "slipway:target: cluster\n"
GPUSTACK = CLUSTER.replace("platform: vllm", "platform: gpustack")
CR = "cr-0a1b2c3d4e5f60718"

BAD: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "an autoscaler of no such name": (
        CLUSTER + "slipway:capacity: {max: 2, autoscaler: karpentr}",
        [("slipway:capacity.autoscaler", "must be one of clusterAutoscaler, karpenter, none")],
    ),
    "an autoscaler for one instance": (
        GOOD + "slipway:capacity: {autoscaler: karpenter}",
        [("slipway:capacity.autoscaler", "needs target cluster: an instance is a single machine")],
    ),
    "an autoscaler for GPUStack": (
        GPUSTACK + "slipway:capacity: {max: 2, autoscaler: clusterAutoscaler}",
        [
            (
                "slipway:capacity.autoscaler",
                "GPUStack asks Kubernetes for no room, so an autoscaler would never add a machine",
            )
        ],
    ),
    "Karpenter without room": (
        CLUSTER + "slipway:capacity: {min: 2, autoscaler: karpenter}",
        [
            (
                "slipway:capacity.autoscaler",
                "leaves Karpenter nothing to do: max is 2, and as many machines always run on demand",
            )
        ],
    ),
    "Karpenter with nothing but the base": (
        CLUSTER + "slipway:capacity: {market: spot, onDemandBase: 2, min: 2, autoscaler: karpenter}",
        [
            (
                "slipway:capacity.autoscaler",
                "leaves Karpenter nothing to do: max is 2, and as many machines always run on demand",
            )
        ],
    ),
    "a reservation by its name": (
        CLUSTER + "slipway:capacity: {reservationId: mine, reservationZone: us-east-1a}",
        [
            (
                "slipway:capacity.reservationId",
                "must be the id of a Capacity Reservation, such as cr-0a1b2c3d4e5f60718",
            )
        ],
    ),
    "a zone of no reservation": (
        CLUSTER + "slipway:capacity: {reservationZone: us-east-1a}",
        [("slipway:capacity.reservationZone", "needs reservationId, the reservation it is the zone of")],
    ),
    "a reservation without its zone": (
        CLUSTER + f"slipway:capacity: {{reservationId: {CR}}}",
        [
            (
                "slipway:capacity.reservationZone",
                "is missing; a reservation's machines can only start in its own zone",
            )
        ],
    ),
    "a reservation in a zone without the machine": (
        CLUSTER + f"slipway:capacity: {{reservationId: {CR}, reservationZone: us-east-1e}}",
        [("slipway:capacity.reservationZone", "does not offer g6.xlarge, which the reservation must be for")],
    ),
    "a reservation for spot machines": (
        CLUSTER + f"slipway:capacity: {{market: spot, reservationId: {CR}, reservationZone: us-east-1a}}",
        [("slipway:capacity.reservationId", "has no machines to hold: all are spot")],
    ),
    "a reservation for one instance": (
        GOOD + f"slipway:capacity: {{reservationId: {CR}}}",
        [("slipway:capacity.reservationId", "needs target cluster")],
    ),
}


@pytest.mark.parametrize(("body", "expected"), BAD.values(), ids=BAD)
def test_a_capacity_that_cannot_work_is_refused(tmp_path: Path, body: str, expected: list[tuple[str, str]]) -> None:
    assert [(problem.key, problem.message) for problem in refused(tmp_path, body)] == expected
