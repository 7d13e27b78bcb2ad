"""The capacity ladder: its groups, what Cluster Autoscaler is told of them, and what it may do."""

from dataclasses import replace

import pytest
from planning_stacks import planned
from recording import Recording, record

from components import targets
from components.autoscaler import ClusterAutoscalerArgs, policy, priorities, values
from components.gpu_node_group import GroupSize, group_sizes, node_labels, scaling_hints
from components.nodes import allocatable_disk_gib
from components.scheduling import GPU_TAINT
from slipway import catalog, platforms
from slipway.catalog.types import Market
from slipway.labels import Rung
from slipway.planning.types import Capacity
from slipway.settings.models import Autoscaler

pytestmark = pytest.mark.unit

LADDER = Capacity(market=Market.SPOT, on_demand_base=1, minimum=2, maximum=4, autoscaler=Autoscaler.CLUSTER_AUTOSCALER)
RESERVATION = "cr-0a1b2c3d4e5f60718"


def recorded(**changes: object) -> Recording:
    found = planned(**changes)
    return record(lambda: targets.deploy(found, platforms.workloads(found), {}))


def test_the_ladder_is_a_base_spot_above_it_and_an_empty_fallback_as_large_as_spot():
    assert group_sizes(LADDER) == (
        GroupSize(rung=Rung.BASE, minimum=1, maximum=1),
        GroupSize(rung=Rung.SPOT, minimum=1, maximum=3),
        GroupSize(rung=Rung.FALLBACK, minimum=0, maximum=3),
    )
    assert [(size.name, size.market) for size in group_sizes(LADDER)] == [
        ("on-demand", Market.ON_DEMAND),
        ("spot", Market.SPOT),
        ("fallback", Market.ON_DEMAND),
    ]


def test_without_an_autoscaler_there_is_no_fallback():
    """Nobody would ever fill it."""
    sizes = group_sizes(replace(LADDER, autoscaler=Autoscaler.NONE))
    assert [size.rung for size in sizes] == [Rung.BASE, Rung.SPOT]


def test_karpenter_leaves_only_the_base_to_a_node_group():
    karpenter = replace(LADDER, autoscaler=Autoscaler.KARPENTER)
    assert group_sizes(karpenter) == (GroupSize(rung=Rung.BASE, minimum=1, maximum=1),)
    assert group_sizes(replace(karpenter, on_demand_base=0)) == ()


def test_machines_above_a_reservation_stand_in_a_group_of_their_own():
    """In the reservation's group they could never start: it holds only as many machines as are reserved."""
    reserved = replace(LADDER, market=Market.ON_DEMAND, on_demand_base=0, reservation=RESERVATION)
    assert group_sizes(reserved) == (
        GroupSize(rung=Rung.BASE, minimum=2, maximum=2),
        GroupSize(rung=Rung.FALLBACK, minimum=0, maximum=2),
    )


def test_nodes_say_which_step_of_the_ladder_and_which_gpu_they_are():
    types = catalog.instance_types()
    assert node_labels("1.35", types["g6.xlarge"], Rung.SPOT) == {
        "slipway/pool": "serving",
        "slipway/rung": "spot",
        "k8s.amazonaws.com/accelerator": "nvidia-l4",
    }
    assert node_labels("1.35", types["m7i.large"], Rung.BASE) == {"slipway/pool": "serving", "slipway/rung": "base"}


@pytest.mark.parametrize(
    ("name", "root_disk_gib", "expected"),
    [
        ("g6.xlarge", 100, 208),  # 250 GB are 232.8 GiB, nine tenths are 209.5, less 1
        ("g5g.xlarge", 100, 89),  # no NVMe: the root disk
    ],
)
def test_pods_get_what_the_kubelet_leaves_of_the_disk(name: str, root_disk_gib: int, expected: int):
    assert allocatable_disk_gib(catalog.instance_types()[name], root_disk_gib=root_disk_gib) == expected


def test_an_empty_group_says_what_its_nodes_will_be():
    """Without the disk a pod that keeps weights on the node never starts an empty group."""
    types = [catalog.instance_types()[name] for name in ("g6.xlarge", "g6.2xlarge")]
    assert scaling_hints({"slipway/pool": "serving"}, GPU_TAINT, types, 100) == {
        "k8s.io/cluster-autoscaler/node-template/label/slipway/pool": "serving",
        "k8s.io/cluster-autoscaler/node-template/taint/nvidia.com/gpu": "true:NoSchedule",
        "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu": "1",
        "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage": "208Gi",
    }


def test_hints_are_on_the_scaling_groups_that_grow_and_stay_off_the_machines():
    tags = recorded().of_type("aws:autoscaling/tag:Tag")
    assert {tag.inputs["autoscalingGroupName"] for tag in tags} == {
        "eks-serving-spot-nodes",
        "eks-serving-fallback-nodes",
    }
    assert len(tags) == 12
    assert not any(tag.inputs["tag"]["propagateAtLaunch"] for tag in tags)


def autoscaler(**changes: object) -> ClusterAutoscalerArgs:
    args = ClusterAutoscalerArgs(
        cluster_name="slipway-prod",
        region="us-east-1",
        kubernetes_version="1.35",
        pools={"serving": group_sizes(LADDER)},
        nodes_max=6,
    )
    return replace(args, **changes)


def test_spot_is_tried_before_the_fallback():
    assert priorities({"serving": group_sizes(LADDER)}) == {
        "30": ["^eks-serving-on-demand-.*"],
        "20": ["^eks-serving-spot-.*"],
        "10": ["^eks-serving-fallback-.*"],
    }


def test_the_autoscalers_values():
    found = values(autoscaler())
    assert found["autoDiscovery"] == {"clusterName": "slipway-prod"}
    assert found["rbac"] == {"serviceAccount": {"name": "cluster-autoscaler"}}
    assert found["nodeSelector"] == {"slipway/pool": "system"}
    assert found["extraArgs"] == {
        "expander": "priority",
        "max-node-provision-time": "10m",
        "max-nodes-total": 6,
        "skip-nodes-with-local-storage": True,
        "scale-down-unneeded-time": "10m",
    }


@pytest.mark.parametrize(("version", "tag"), [("1.34", "v1.34.4"), ("1.35", "v1.35.1"), ("1.36", "v1.36.0")])
def test_the_autoscaler_is_of_the_clusters_own_version(version: str, tag: str):
    assert values(autoscaler(kubernetes_version=version))["image"] == {"tag": tag}


def test_a_version_without_an_autoscaler_is_refused():
    with pytest.raises(ValueError, match=r"kubernetes_version: got 1\.20, expected one of 1\.36"):
        autoscaler(kubernetes_version="1.20")


def test_every_version_eks_runs_has_an_autoscaler():
    known = {found.version for found in catalog.kubernetes_versions().values() if found.version >= "1.32"}
    assert known == set(catalog.pins()["cluster-autoscaler"].images)


def test_the_autoscaler_changes_only_its_own_clusters_groups():
    statements = {statement["Sid"]: statement for statement in policy("slipway-prod")["Statement"]}
    changing = {
        name
        for name, found in statements.items()
        if any(":Describe" not in action for action in as_list(found["Action"]))
    }
    assert changing == {"Look", "ScaleOwnGroups"}  # Look: GetInstanceTypesFromInstanceRequirements only reads
    assert statements["ScaleOwnGroups"]["Condition"] == {
        "StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/slipway-prod": "owned"}
    }
    assert statements["LookAtNodeGroups"]["Resource"] == "arn:aws:eks:*:*:nodegroup/slipway-prod/*/*"


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_autoscaler_has_its_identity_before_its_pods_start():
    """A pod takes its identity when it starts."""
    found = recorded()
    release = found.named("autoscaler-release")
    assert release.depends_on >= {"autoscaler-identity", "autoscaler-rights"}
    assert release.inputs["version"] == "9.59.0"
    assert found.named("autoscaler-identity").inputs["serviceAccount"] == "cluster-autoscaler"
    assert found.named("autoscaler-identity").inputs["namespace"] == release.inputs["namespace"] == "kube-system"
    assert release.inputs["values"]["extraArgs"]["max-nodes-total"] == 2 + 4


def test_a_group_that_never_grows_takes_no_autoscaler():
    found = recorded(capacity={"market": "on-demand", "min": 2}, demand={"concurrency": 8})
    assert found.of_type("aws:autoscaling/tag:Tag") == []
    assert not [one for one in found.resources if "autoscaler" in one.name]


def test_a_reserved_base_is_one_type_in_the_reservations_zone():
    found = recorded(
        capacity={
            "market": "spot",
            "onDemandBase": 1,
            "max": 4,
            "reservationId": RESERVATION,
            "reservationZone": "us-east-1d",
        }
    )
    base, spot = found.named("serving-on-demand-nodes").inputs, found.named("serving-spot-nodes").inputs
    assert (base["instanceTypes"], base["subnetIds"]) == (["g6.xlarge"], ["network-private-us-east-1d-id"])
    assert spot["instanceTypes"] == ["g6.xlarge", "g6.2xlarge"]
    assert len(spot["subnetIds"]) == 2
    specification = found.named("serving-on-demand-template").inputs["capacityReservationSpecification"]
    assert specification == {"capacityReservationTarget": {"capacityReservationId": RESERVATION}}
    assert "capacityReservationSpecification" not in found.named("serving-spot-template").inputs
