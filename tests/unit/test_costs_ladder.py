"""The capacity ladder's bill: spot and its fallback share one room, Karpenter's nodes are priced from their pool."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from planned import graph, pod, resource

from slipway.costs import Estimate, price
from slipway.engine.graph import Resource
from slipway.labels import POOL, RUNG

pytestmark = pytest.mark.unit

TODAY = date(2026, 11, 23)
HOURS = 730
ON_DEMAND_G6 = Decimal("0.8048")
ON_DEMAND_G6_2X = Decimal("0.9776")


def group(rung: str, minimum: int, maximum: int, pool: str = "serving") -> Resource:
    return resource(
        "aws:eks/nodeGroup:NodeGroup",
        f"{pool}-{rung}",
        {
            "instanceTypes": ["g6.xlarge", "g6.2xlarge"],
            "capacityType": "SPOT" if rung == "spot" else "ON_DEMAND",
            "scalingConfig": {"minSize": minimum, "desiredSize": minimum, "maxSize": maximum},
            "labels": {POOL: pool, RUNG: rung},
        },
    )


def bill(*resources: Resource) -> Estimate:
    return price(graph(*resources), today=TODAY)


def test_the_dearest_case_of_spot_with_a_fallback_is_all_on_demand_and_counted_once():
    spot, fallback = group("spot", 0, 3), group("fallback", 0, 3)
    (item,) = bill(spot, fallback).items
    assert (item.resource, item.category) == ("serving-spot", "compute spot")
    assert item.monthly_usd.high == (HOURS * 3 * ON_DEMAND_G6_2X).quantize(Decimal("0.01"))
    assert item.how.endswith("spot, estimated, at most all on demand)") or item.how.endswith(
        "spot, at most all on demand)"
    )


def test_the_fallback_changes_no_typical_bill():
    spot, fallback = group("spot", 1, 3), group("fallback", 0, 3)
    assert bill(spot, fallback).monthly_usd.typical == bill(spot).monthly_usd.typical
    assert bill(spot, fallback).monthly_usd.low == bill(spot).monthly_usd.low


def test_spot_without_a_fallback_is_never_dearer_than_spot():
    assert bill(group("spot", 0, 3)).monthly_usd.high < HOURS * 3 * ON_DEMAND_G6_2X


def test_a_fallback_without_spot_is_priced_itself():
    """Machines above a reservation."""
    (item,) = bill(group("fallback", 0, 2)).items
    assert item.monthly_usd.high == (HOURS * 2 * ON_DEMAND_G6_2X).quantize(Decimal("0.01"))


def test_a_fallback_of_another_pool_stands_in_for_nothing_here():
    both = bill(group("spot", 0, 3), group("fallback", 0, 3, pool="other"))
    assert {item.resource for item in both.items} == {"serving-spot", "other-fallback"}


def node_pool(bought: list[str], limit: str | None = "3") -> Resource:
    requirements = [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": bought},
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge", "g6.2xlarge"]},
    ]
    spec: dict[str, Any] = {"template": {"spec": {"requirements": requirements, "nodeClassRef": {"name": "serving"}}}}
    if limit:
        spec["limits"] = {"nvidia.com/gpu": limit}
    return resource("kubernetes:karpenter.sh/v1:NodePool", "pool", {"spec": spec})


NODE_CLASS = resource(
    "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass",
    "class",
    {
        "metadata": {"name": "serving"},
        "spec": {"blockDeviceMappings": [{"ebs": {"volumeType": "gp3", "volumeSize": "100Gi", "throughput": 125}}]},
    },
)


def servers(replicas: int) -> Resource:
    found = pod("Deployment", "server", {"resources": {"limits": {"nvidia.com/gpu": 1}}})
    return resource(found.type, found.name, {**found.inputs, "spec": {**found.inputs["spec"], "replicas": replicas}})


def test_karpenters_nodes_are_those_that_pods_need_beyond_the_node_groups():
    """Three servers, one on the base: two nodes, typically; at most the pool's three."""
    found = bill(group("base", 1, 1), servers(3), node_pool(["on-demand"]), NODE_CLASS).items
    machines, disks = [item for item in found if item.resource == "pool"]
    assert machines.monthly_usd.typical == (HOURS * 2 * ON_DEMAND_G6).quantize(Decimal("0.01"))
    assert machines.monthly_usd.high == (HOURS * 3 * ON_DEMAND_G6_2X).quantize(Decimal("0.01"))
    assert (disks.category, disks.monthly_usd.typical, disks.monthly_usd.high) == ("disk", Decimal(16), Decimal(24))


def test_karpenters_spot_nodes_may_all_become_on_demand():
    (item,) = [
        one for one in bill(node_pool(["spot", "on-demand"]), servers(1), NODE_CLASS).items if one.category != "disk"
    ]
    assert item.category == "compute spot"
    assert item.monthly_usd.typical < HOURS * ON_DEMAND_G6
    assert item.monthly_usd.high == (HOURS * 3 * ON_DEMAND_G6_2X).quantize(Decimal("0.01"))


def test_no_more_nodes_than_the_limit_however_many_pods_wait():
    machines, _ = bill(node_pool(["on-demand"]), servers(9), NODE_CLASS).items
    assert machines.monthly_usd.typical == (HOURS * 3 * ON_DEMAND_G6).quantize(Decimal("0.01"))


def test_a_pool_without_a_limit_has_no_price_and_says_so():
    estimate = bill(node_pool(["spot"], limit=None), NODE_CLASS)
    assert estimate.items == ()
    assert [entry.reason for entry in estimate.unpriced] == [
        "how many nodes of which size Karpenter makes is not in the plan"
    ]
    assert not estimate.complete


def test_interruption_rules_are_free_and_the_queue_is_named():
    rule = resource("aws:cloudwatch/eventRule:EventRule", "rule", {"eventPattern": "{}"})
    queue = resource("aws:sqs/queue:Queue", "queue", {})
    assert [(entry.resource, entry.reason) for entry in bill(rule, queue).unpriced] == [("queue", "requests, by use")]
