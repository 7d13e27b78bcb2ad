"""Quotas over all stacks together: figures worked out here from vCPUs, and what AWS's answers make of them."""

import io
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber
from planned import graph, resource
from rich.console import Console, RenderableType

from slipway import catalog
from slipway.catalog.types import Market
from slipway.checks.quota import Answer, Need, needs
from slipway.engine.graph import UNKNOWN, Graph, Resource
from slipway.findings import Severity
from slipway.operate.quotas import _limit, limits  # pyright: ignore[reportPrivateUsage]
from slipway.reports import quota_table

pytestmark = pytest.mark.unit


def text_of(renderable: RenderableType) -> str:
    written = io.StringIO()
    Console(file=written, width=160, highlight=False).print(renderable)
    return written.getvalue()


ON_DEMAND_G, SPOT_G, STANDARD = "L-DB2E81BA", "L-3819A6DF", "L-1216C47A"


def group(name: str, types: list[str], low: int, high: int, *, spot: bool = False, **more: Any) -> Resource:
    scaling = {"minSize": low, "desiredSize": low, "maxSize": high}
    capacity = "SPOT" if spot else "ON_DEMAND"
    token = "aws:eks/nodeGroup:NodeGroup"
    return resource(token, name, {"instanceTypes": types, "scalingConfig": scaling, "capacityType": capacity}, **more)


def figures(*graphs: Graph) -> dict[str, tuple[int, int]]:
    return {need.quota.code: (need.minimum, need.maximum) for need in needs(graphs)}


LADDER = graph(
    group("system", ["m7i.large"], 2, 2),
    group("base", ["g6.xlarge", "g6.2xlarge"], 1, 1),
    group("spot", ["g6.xlarge", "g6.2xlarge"], 0, 3, spot=True),
    group("fallback", ["g6.xlarge", "g6.2xlarge"], 0, 3),
)


def test_the_ladder_counts_at_its_largest_machines_and_the_fallback_against_on_demand():
    """g6.xlarge has 4 vCPUs, g6.2xlarge 8, m7i.large 2."""
    assert figures(LADDER) == {
        STANDARD: (4, 4),
        ON_DEMAND_G: (4, 8 + 3 * 8),
        SPOT_G: (0, 3 * 8),
    }


def test_stacks_of_a_region_share_its_quotas():
    two = graph(group("base", ["g5.xlarge"], 1, 2))
    (need,) = [found for found in needs([LADDER, two]) if found.quota.code == ON_DEMAND_G]
    assert (need.minimum, need.maximum) == (4 + 4, 32 + 8)
    other = graph(group("base", ["g5.xlarge"], 1, 2), region="eu-west-1")
    assert {(found.region, found.quota.code, found.maximum) for found in needs([two, other])} == {
        ("us-east-1", ON_DEMAND_G, 8),
        ("eu-west-1", ON_DEMAND_G, 8),
    }


def test_karpenter_may_use_up_either_quota():
    requirements = [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.12xlarge"]},
    ]
    spec = {"template": {"spec": {"requirements": requirements}}, "limits": {"nvidia.com/gpu": "8"}}
    pool = resource("kubernetes:karpenter.sh/v1:NodePool", "pool", {"spec": spec})
    assert figures(graph(pool)) == {ON_DEMAND_G: (0, 96), SPOT_G: (0, 96)}  # 2 nodes of 48


TEMPLATE = resource("aws:ec2/launchTemplate:LaunchTemplate", "template", {"instanceType": "g4dn.xlarge"})


def test_an_instance_takes_its_type_and_market_from_its_launch_template():
    instance = resource(
        "aws:ec2/instance:Instance",
        "server",
        {"launchTemplate": {"id": UNKNOWN}},
        depends={"launchTemplate": (TEMPLATE.urn,)},
    )
    assert figures(graph(TEMPLATE, instance)) == {ON_DEMAND_G: (4, 4)}


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ({"onDemandBaseCapacity": 0, "onDemandPercentageAboveBaseCapacity": 0}, {SPOT_G: (4, 12)}),
        (
            {"onDemandBaseCapacity": 1, "onDemandPercentageAboveBaseCapacity": 50},
            {ON_DEMAND_G: (4, 8), SPOT_G: (0, 4)},
        ),
        ({}, {ON_DEMAND_G: (4, 12)}),  # AWS's default: all on demand
    ],
)
def test_an_auto_scaling_group_is_split_as_its_policy_says(distribution: dict[str, int], expected: dict[str, Any]):
    policy = {
        "instancesDistribution": distribution,
        "launchTemplate": {"overrides": [{"instanceType": "g4dn.xlarge"}]},
    }
    inputs = {"minSize": 1, "maxSize": 3, "mixedInstancesPolicy": policy}
    assert figures(graph(resource("aws:autoscaling/group:Group", "group", inputs))) == expected


@pytest.mark.parametrize(
    "nodes",
    [
        group("leaving", ["g6.xlarge"], 1, 1, change="delete"),
        group("unknown", ["x9.huge"], 1, 1),
        resource("aws:eks/nodeGroup:NodeGroup", "open", {"instanceTypes": ["g6.xlarge"], "scalingConfig": UNKNOWN}),
    ],
    ids=lambda nodes: nodes.name,
)
def test_what_leaves_or_is_not_known_is_left_out(nodes: Resource):
    assert figures(graph(nodes)) == {}


def need(minimum: int, maximum: int) -> Need:
    quota = catalog.quotas()["G", Market.ON_DEMAND]
    return Need(region="us-east-1", quota=quota, minimum=minimum, maximum=maximum, stacks={"prod": maximum})


@pytest.mark.parametrize(
    ("allowed", "severity"),
    [(None, None), (32.0, None), (31.0, Severity.WARNING), (4.0, Severity.WARNING), (3.0, Severity.ERROR)],
)
def test_only_a_limit_that_is_known_and_too_small_is_a_finding(allowed: float | None, severity: Severity | None):
    found = Answer(need=need(4, 32), allowed=allowed).finding
    assert (found.severity if found else None) == severity


def test_the_finding_says_who_needs_how_much_of_what():
    found = Answer(need=need(4, 32), allowed=0.0).finding
    assert found is not None
    assert (found.id, found.subject) == ("SW091", "L-DB2E81BA in us-east-1")
    assert found.message == (
        "prod takes 4 vCPUs at all times of “Running On-Demand G and VT instances”; the account is allowed 0"
    )


def quota_client() -> Any:
    return boto3.client("service-quotas", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")


def test_the_applied_value_counts():
    client = quota_client()
    with Stubber(client) as aws:
        aws.add_response("get_service_quota", {"Quota": {"Value": 64.0}}, {"ServiceCode": "ec2", "QuotaCode": SPOT_G})
        assert _limit(client, SPOT_G) == 64.0


def test_the_default_counts_where_no_value_was_applied():
    client = quota_client()
    with Stubber(client) as aws:
        aws.add_client_error("get_service_quota", "NoSuchResourceException")
        aws.add_response("get_aws_default_service_quota", {"Quota": {"Value": 5.0}})
        assert _limit(client, SPOT_G) == 5.0


@pytest.mark.parametrize("code", ["AccessDeniedException", "TooManyRequestsException", "UnrecognizedClientException"])
def test_what_may_not_be_read_is_unknown_and_no_error(code: str):
    client = quota_client()
    with Stubber(client) as aws:
        aws.add_client_error("get_service_quota", code)
        assert _limit(client, SPOT_G) is None


def test_without_credentials_every_limit_is_unknown(monkeypatch: pytest.MonkeyPatch):
    class Client:
        def get_service_quota(self, **_: str) -> None:
            raise NoCredentialsError

    monkeypatch.setattr("slipway.operate.quotas._client", lambda region: Client())
    monkeypatch.setattr(Client, "get_aws_default_service_quota", Client.get_service_quota, raising=False)
    assert limits([("us-east-1", SPOT_G), ("us-east-1", SPOT_G)]) == {("us-east-1", SPOT_G): None}


def test_a_profile_that_does_not_exist_leaves_every_limit_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert limits([("us-east-1", SPOT_G)]) == {("us-east-1", SPOT_G): None}


def test_nothing_needed_asks_nobody(monkeypatch: pytest.MonkeyPatch):
    def never(region: str) -> None:
        raise AssertionError(region)

    monkeypatch.setattr("slipway.operate.quotas._client", never)
    assert limits([]) == {}


def test_the_table_says_what_was_not_asked_and_what_is_too_small():
    asked = text_of(quota_table.table([Answer(need=need(4, 32), allowed=8.0)], asked=True))
    row = "Running On-Demand G and VT instances L-DB2E81BA us-east-1 4 32 8"
    lines = [" ".join(line.split()) for line in asked.splitlines()]
    assert row in lines
    assert "! L-DB2E81BA in us-east-1: prod takes 32 vCPUs at full capacity of" in asked
    quiet = text_of(quota_table.table([Answer(need=need(4, 32), allowed=None)], asked=False))
    assert quiet.rstrip().endswith("Allowed: not asked; --quota asks AWS. Many accounts start with 0 for GPUs.")
