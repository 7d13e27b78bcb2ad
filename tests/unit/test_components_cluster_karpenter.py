"""Karpenter: its pool and machines, what it may do in AWS, and what tells it of interruptions."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from planning_stacks import planned
from recording import Recording, record

from components import targets
from components.karpenter import (
    KarpenterArgs,
    capacity_types,
    controller_policy,
    limits,
    node_class_spec,
    node_pool_spec,
    queue_policy,
    values,
)
from components.scheduling import GPU_TAINT
from slipway import catalog, platforms
from slipway.catalog.types import Market

pytestmark = pytest.mark.unit

TYPES = catalog.instance_types()
RESERVATION = "cr-0a1b2c3d4e5f60718"
ARGS = KarpenterArgs(
    cluster_name="slipway-prod",
    region="us-east-1",
    kubernetes_version="1.35",
    subnet_ids=["subnet-1", "subnet-2"],
    security_group_id="sg-1",
    instance_types=[TYPES["g6.xlarge"], TYPES["g6.2xlarge"]],
    market=Market.SPOT,
    nodes_max=3,
    disk_gib=100,
    throughput_mib_s=250,
    taint=GPU_TAINT,
)


@cache
def recorded() -> Recording:
    found = planned(capacity={"market": "spot", "onDemandBase": 1, "max": 4, "autoscaler": "karpenter"})
    return record(lambda: targets.deploy(found, platforms.workloads(found), {}))


def test_the_pool_takes_spot_before_on_demand_and_only_ends_empty_nodes():
    assert node_pool_spec(ARGS) == {
        "template": {
            "metadata": {"labels": {"slipway/pool": "serving"}},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "serving"},
                "requirements": [
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
                    {
                        "key": "node.kubernetes.io/instance-type",
                        "operator": "In",
                        "values": ["g6.xlarge", "g6.2xlarge"],
                    },
                    {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                ],
                "expireAfter": "Never",
                "taints": [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}],
            },
        },
        "limits": {"nvidia.com/gpu": "3"},
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": "10m",
            "budgets": [{"nodes": "1"}],
        },
    }


@pytest.mark.parametrize(
    ("market", "reservation", "expected"),
    [
        (Market.SPOT, None, ["spot", "on-demand"]),
        (Market.SPOT, RESERVATION, ["reserved", "spot", "on-demand"]),
        (Market.ON_DEMAND, None, ["on-demand"]),
        (Market.ON_DEMAND, RESERVATION, ["reserved", "on-demand"]),
    ],
)
def test_a_reservation_is_filled_first(market: Market, reservation: str | None, expected: list[str]):
    assert capacity_types(replace(ARGS, market=market, reservation=reservation)) == expected


def test_nodes_of_old_versions_are_labelled_for_the_device_plugin():
    template = node_pool_spec(replace(ARGS, kubernetes_version="1.34"))["template"]
    assert template["metadata"]["labels"] == {"slipway/pool": "serving", "nvidia.com/gpu.present": "true"}


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("g6.12xlarge",), {"nvidia.com/gpu": "12"}),  # 3 nodes of 4
        (("m7i.large", "m7i.xlarge"), {"cpu": "12"}),  # 3 nodes of 4 cores
    ],
)
def test_the_pools_limit_is_what_its_nodes_may_have_together(types: tuple[str, ...], expected: dict[str, str]):
    assert limits([TYPES[name] for name in types], 3) == expected


def test_machines_are_pinned_encrypted_private_and_keep_their_metadata():
    assert node_class_spec(ARGS, "profile") == {
        "amiSelectorTerms": [{"alias": "al2023@v20260714"}],
        "instanceProfile": "profile",
        "subnetSelectorTerms": [{"id": "subnet-1"}, {"id": "subnet-2"}],
        "securityGroupSelectorTerms": [{"id": "sg-1"}],
        "associatePublicIPAddress": False,
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "rootVolume": True,
                "ebs": {
                    "volumeType": "gp3",
                    "volumeSize": "100Gi",
                    "throughput": 250,
                    "iops": 3000,
                    "encrypted": True,
                    "deleteOnTermination": True,
                },
            }
        ],
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "tags": {"Name": "karpenter-serving"},
        "instanceStorePolicy": "RAID0",
    }


def test_machines_without_local_disks_join_none_and_a_reservation_is_named():
    spec = node_class_spec(replace(ARGS, instance_types=[TYPES["g5g.xlarge"]], reservation=RESERVATION), "profile")
    assert "instanceStorePolicy" not in spec
    assert spec["capacityReservationSelectorTerms"] == [{"id": RESERVATION}]


def statements() -> dict[str, dict[str, Any]]:
    document = controller_policy(
        cluster_name="slipway-prod", region="us-east-1", node_role_arn="NODE", profile_arn="PROFILE", queue_arn="QUEUE"
    )
    return {found["Sid"]: found for found in document["Statement"]}


def test_karpenter_ends_only_machines_of_its_own_cluster():
    for name in ("EndOwn", "StartByOwnTemplates", "NameOwnMachines"):
        condition = statements()[name]["Condition"]
        assert condition["StringEquals"] == {"aws:ResourceTag/kubernetes.io/cluster/slipway-prod": "owned"}
        assert condition["StringLike"] == {"aws:ResourceTag/karpenter.sh/nodepool": "*"}


def test_karpenter_starts_only_machines_that_carry_its_clusters_tag():
    condition = statements()["StartTagged"]["Condition"]
    assert condition["StringEquals"] == {
        "aws:RequestTag/kubernetes.io/cluster/slipway-prod": "owned",
        "aws:RequestTag/eks:eks-cluster-name": "slipway-prod",
    }


def test_karpenter_writes_nothing_in_iam_and_gives_away_one_role():
    """A right to make roles or profiles would be a right to everything."""
    actions = {name: as_list(found["Action"]) for name, found in statements().items()}
    iam = {action for found in actions.values() for action in found if action.startswith("iam:")}
    assert iam == {"iam:PassRole", "iam:GetInstanceProfile", "iam:ListInstanceProfiles"}
    passing = statements()["GiveNodeRole"]
    assert passing["Resource"] == "NODE"
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_only_reading_is_allowed_everywhere():
    everywhere = [
        action for found in statements().values() if found["Resource"] == "*" for action in as_list(found["Action"])
    ]
    assert all(action.partition(":")[2].startswith(("Describe", "Get", "List")) for action in everywhere)
    assert len(everywhere) == 13


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_policy_fits_into_a_role():
    """IAM takes 10,240 characters of inline policies, white space not counted."""
    document = {"Version": "2012-10-17", "Statement": list(statements().values())}
    assert len(json.dumps(document, separators=(",", ":"))) < 10_240 - 300  # the ARNs are longer than their stand-ins


def test_only_the_stacks_own_rules_write_to_the_queue():
    allow, deny = queue_policy("QUEUE", ["RULE"])["Statement"]
    assert (allow["Principal"], allow["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": ["RULE"]}}
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_every_kind_of_interruption_reaches_the_queue():
    recording = recorded()
    patterns = [
        json.loads(rule.inputs["eventPattern"]) for rule in recording.of_type("aws:cloudwatch/eventRule:EventRule")
    ]
    assert {(pattern["source"][0], pattern["detail-type"][0]) for pattern in patterns} == {
        ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
        ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
        ("aws.ec2", "EC2 Instance State-change Notification"),
        ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
        ("aws.health", "AWS Health Event"),
    }
    aimed = recording.of_type("aws:cloudwatch/eventTarget:EventTarget")
    assert {found.inputs["arn"] for found in aimed} == {"arn:aws:test:::karpenter-interruptions"}
    assert len(aimed) == 5
    queue = recording.only("aws:sqs/queue:Queue").inputs
    assert (queue["sqsManagedSseEnabled"], queue["messageRetentionSeconds"]) == (True, 300)


def test_the_controllers_values():
    assert values("slipway-prod", "us-east-1", "queue") == {
        "serviceAccount": {"name": "karpenter"},
        "settings": {"clusterName": "slipway-prod", "interruptionQueue": "queue"},
        "nodeSelector": {"slipway/pool": "system"},
        "controller": {
            "env": [{"name": "AWS_REGION", "value": "us-east-1"}],
            "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        },
    }


def test_karpenter_outlives_its_pool_and_starts_with_its_definitions_and_its_rights():
    """Deleted first, it could not end its machines any more; they would run, and cost, for ever."""
    recording = recorded()
    release = recording.named("karpenter-release")
    assert release.depends_on >= {"karpenter-definitions", "karpenter-rights", "karpenter-identity"}
    assert release.inputs["skipCrds"] is True
    assert {recording.named(name).inputs["version"] for name in ("karpenter-release", "karpenter-definitions")} == {
        "1.14.1"
    }
    assert "karpenter-release" in recording.named("karpenter-node-class").depends_on
    assert "karpenter-node-class" in recording.named("karpenter-pool").depends_on


def test_its_nodes_may_join_the_cluster():
    recording = recorded()
    entry = recording.named("karpenter-node-access").inputs
    assert (entry["type"], entry["principalArn"]) == ("EC2_LINUX", "arn:aws:test:::karpenter-node-role")
    assert recording.named("karpenter-profile").inputs["role"] == "karpenter-node-role"
    spec = recording.named("karpenter-node-class").inputs["spec"]
    assert spec["instanceProfile"] == "karpenter-profile"
    assert spec["securityGroupSelectorTerms"] == [{"id": "cluster-cluster-group-id"}]


def test_the_base_stays_a_node_group_of_fixed_size_and_no_other_autoscaler_runs():
    recording = recorded()
    (base,) = [found for found in recording.of_type("aws:eks/nodeGroup:NodeGroup") if found.name != "cluster-system"]
    assert base.inputs["scalingConfig"] == {"minSize": 1, "maxSize": 1, "desiredSize": 1}
    assert base.ignore_changes == ()
    assert not [found for found in recording.resources if found.type == "slipway:index:ClusterAutoscaler"]
    assert recording.of_type("aws:autoscaling/tag:Tag") == []


def test_servers_wait_for_karpenter():
    (server,) = recorded().of_type("slipway:index:ServingDeployment")
    assert "karpenter-pool" in server.depends_on


def test_a_pool_without_room_is_refused():
    with pytest.raises(ValueError, match="nodes_max: got 0, expected at least 1"):
        replace(ARGS, nodes_max=0)
