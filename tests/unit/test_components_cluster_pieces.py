"""The pure parts of the cluster target: addresses, sizes, taints, user data, names."""

import email
import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from machine_plans import planned, serving_plan, vllm_like

from components.gpu_cluster import GpuClusterArgs, kubeconfig
from components.gpu_node_group import GpuNodeGroupArgs, GroupSize, ami_type, group_sizes
from components.gpu_runtime import device_plugin_values
from components.iam import ASSUME_AND_TAG, trust_policy
from components.model_cache import CacheKind, choose_cache, claimed
from components.naming import dns_label, named, stack_tags
from components.network import Nat, NetworkArgs, address_plan
from components.nodes import gp3_iops, node_user_data
from components.pod import PodSecurity, grace_period_seconds, pod_security
from components.scheduling import GPU_TAINT, serving_labels
from components.secrets import StackSecretsArgs
from components.serving_deployment import patience_seconds, server_name
from components.targets.cluster import ClusterNeeds, cluster_zones, replicas, system_instance_type
from slipway import catalog
from slipway.catalog.types import Market, Platform
from slipway.labels import Rung
from slipway.planning.types import Capacity
from slipway.platforms.workload import VolumeKind, Workload
from slipway.settings.models import Autoscaler

pytestmark = pytest.mark.unit

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d")


def test_a_vpc_of_16_bits_gives_each_zone_8190_private_and_254_public_addresses():
    plan = address_plan("10.64.0.0/16", ZONES[:2])
    assert [(addresses.private, addresses.public) for addresses in plan.values()] == [
        ("10.64.0.0/19", "10.64.128.0/24"),
        ("10.64.32.0/19", "10.64.129.0/24"),
    ]


@given(prefix=st.integers(16, 24), zones=st.integers(1, 4))
def test_subnets_lie_in_the_vpc_apart_from_each_other_and_are_large_enough_for_ec2(prefix: int, zones: int):
    whole = ip_network("10.64.0.0/16").supernet(new_prefix=8).network_address
    vpc = ip_network(f"{whole}/{prefix}")
    plan = address_plan(str(vpc), ZONES[:zones])
    subnets = [ip_network(cidr) for found in plan.values() for cidr in (found.private, found.public)]
    assert tuple(plan) == ZONES[:zones]
    assert all(subnet.subnet_of(vpc) and 16 <= subnet.prefixlen <= 28 for subnet in subnets)
    assert not any(one.overlaps(other) for number, one in enumerate(subnets) for other in subnets[:number])


def test_a_zone_added_later_moves_no_subnet():
    two, three = address_plan("10.64.0.0/16", ZONES[:2]), address_plan("10.64.0.0/16", ZONES[:3])
    assert {zone: three[zone] for zone in two} == two


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.0.0.0/25", "fd00::/56"])
def test_a_range_ec2_would_refuse_is_refused(cidr: str):
    with pytest.raises(ValueError, match="expected an IPv4 range from /16 to /24"):
        address_plan(cidr, ZONES[:2])


def test_an_adopted_vpc_needs_its_subnets():
    with pytest.raises(ValueError, match="private_subnet_ids"):
        NetworkArgs(region="us-east-1", vpc_id="vpc-0a1b2c3d")
    assert NetworkArgs(region="us-east-1", zones=("us-east-1a",)).nat is Nat.SINGLE


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        (("us-east-1c", "us-east-1d"), ("us-east-1c", "us-east-1d")),
        (("us-east-1f",), ("us-east-1f", "us-east-1a")),
    ],
)
def test_eks_gets_two_zones_even_where_one_offers_the_machine(serving: tuple[str, ...], expected: tuple[str, ...]):
    assert cluster_zones(serving, catalog.zones("us-east-1")) == expected


def test_a_zone_that_eks_refuses_is_never_added():
    assert cluster_zones(("us-east-1f",), ("us-east-1e", "us-east-1f", "us-east-1a"))[1:] == ("us-east-1a",)


def test_spot_above_an_on_demand_base_is_two_groups():
    capacity = Capacity(market=Market.SPOT, on_demand_base=1, minimum=2, maximum=4)
    assert group_sizes(capacity) == (
        GroupSize(rung=Rung.BASE, minimum=1, maximum=1),
        GroupSize(rung=Rung.SPOT, minimum=1, maximum=3),
    )


@given(market=st.sampled_from(Market), base=st.integers(0, 9), above=st.integers(0, 9), more=st.integers(0, 9))
@pytest.mark.parametrize("autoscaler", [Autoscaler.NONE, Autoscaler.CLUSTER_AUTOSCALER])
def test_groups_add_up_to_the_capacity_and_each_could_be_made(
    autoscaler: Autoscaler, market: Market, base: int, above: int, more: int
):
    """The fallback stands in for spot machines, so it adds nothing to what there may be."""
    minimum = max(1, base + above)
    capacity = Capacity(
        market=market,
        on_demand_base=base if market is Market.SPOT else 0,
        minimum=minimum,
        maximum=minimum + more,
        autoscaler=autoscaler,
    )
    sizes = group_sizes(capacity)
    assert sum(size.minimum for size in sizes) == minimum
    assert sum(size.maximum for size in sizes if size.rung is not Rung.FALLBACK) == minimum + more
    assert all(0 <= size.minimum <= size.maximum and size.maximum >= 1 for size in sizes)
    assert sum(size.minimum for size in sizes if size.market is Market.ON_DEMAND) == (
        capacity.on_demand_base if market is Market.SPOT else minimum
    )


def test_taint_and_toleration_agree():
    taint, toleration = GPU_TAINT.on_node_group(), GPU_TAINT.toleration_values()
    assert (taint.key, taint.value, taint.effect) == ("nvidia.com/gpu", "true", "NO_SCHEDULE")
    assert toleration == {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert device_plugin_values(GPU_TAINT)["tolerations"] == [toleration]
    assert device_plugin_values(None)["tolerations"] == []


@pytest.mark.parametrize(
    ("version", "gpu", "expected"),
    [
        ("1.34", True, {"slipway/pool": "serving", "nvidia.com/gpu.present": "true"}),
        ("1.35", True, {"slipway/pool": "serving"}),
        ("1.34", False, {"slipway/pool": "serving"}),
    ],
)
def test_gpu_nodes_are_labelled_where_eks_does_not_do_it_itself(version: str, gpu: bool, expected: dict[str, str]):
    """Without the label the device plugin's DaemonSet stays at zero pods."""
    assert serving_labels(version, gpu=gpu) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("g6.xlarge", "AL2023_x86_64_NVIDIA"),
        ("g5g.xlarge", "AL2023_ARM_64_NVIDIA"),
        ("m7i.large", "AL2023_x86_64_STANDARD"),
    ],
)
def test_the_machine_image_follows_gpu_and_architecture(name: str, expected: str):
    assert ami_type(catalog.instance_types()[name]) == expected


def test_a_node_group_of_different_gpus_is_refused():
    types = catalog.instance_types()
    with pytest.raises(ValueError, match=r"g6\.xlarge, g5\.xlarge, expected the same GPUs"):
        GpuNodeGroupArgs(
            cluster_name="c",
            kubernetes_version="1.35",
            subnet_ids=["subnet-1"],
            instance_types=[types["g6.xlarge"], types["g5.xlarge"]],
            size=GroupSize(rung=Rung.SPOT, minimum=0, maximum=1),
            disk_gib=100,
            throughput_mib_s=250,
        )


def test_user_data_is_the_mime_part_eks_merges_and_the_same_every_time():
    """A boundary of chance would replace every node at every `up`."""
    text = node_user_data(local_disks=True)
    assert text == node_user_data(local_disks=True)
    message = email.message_from_string(text)
    (part,) = message.get_payload()
    assert part.get_content_type() == "application/node.eks.aws"
    assert yaml.safe_load(part.get_payload()) == {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"instance": {"localStorage": {"strategy": "RAID0"}}},
    }


@pytest.mark.parametrize(("throughput", "expected"), [(125, 3000), (750, 3000), (1000, 4000), (2000, 8000)])
def test_a_fast_disk_gets_the_iops_its_throughput_needs(throughput: int, expected: int):
    assert gp3_iops(throughput) == expected


def test_a_role_can_be_taken_by_its_service_only():
    assert json.loads(trust_policy("pods.eks.amazonaws.com", ASSUME_AND_TAG)) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }
        ],
    }


def test_the_kubeconfig_holds_a_command_and_no_credential():
    config = kubeconfig(name="slipway-prod", region="us-east-1", endpoint="https://x", certificate_authority="Q0E=")
    (user,) = config["users"]
    assert list(user["user"]) == ["exec"]
    assert user["user"]["exec"]["args"] == [
        *("--region", "us-east-1", "eks", "get-token", "--cluster-name", "slipway-prod", "--output", "json"),
    ]


def test_the_whole_internet_cannot_be_let_to_the_api():
    with pytest.raises(ValueError, match="got the whole internet"):
        GpuClusterArgs(
            cluster_name="c",
            region="us-east-1",
            kubernetes_version="1.35",
            subnet_ids=["a", "b"],
            system_instance_type="m7i.large",
            api_access_cidrs=["0.0.0.0/0"],
        )


def cache(workload: Workload, *, replicas_max: int, types: tuple[str, ...]) -> CacheKind:
    instance_types = [catalog.instance_types()[name] for name in types]
    return choose_cache(workload, replicas_max=replicas_max, instance_types=instance_types, root_disk_gib=100)


def test_one_replica_keeps_its_weights_on_a_volume():
    assert cache(vllm_like(), replicas_max=1, types=("g6.xlarge",)) is CacheKind.CLAIM


def test_several_replicas_use_the_nodes_own_disks_where_they_suffice():
    """g6.xlarge has 250 GB: 232 GiB less 100 for images, and one server asks for 30 + 5 + 5 GiB of them."""
    assert cache(vllm_like(), replicas_max=2, types=("g6.xlarge", "g6.2xlarge")) is CacheKind.NODE_DISK


def test_the_smallest_machine_decides_and_a_full_node_counts_every_replica():
    large = replace(
        vllm_like(), volumes=tuple(replace(volume, size_gib=volume.size_gib * 4) for volume in vllm_like().volumes)
    )
    assert cache(large, replicas_max=2, types=("g6.2xlarge", "g6.xlarge")) is CacheKind.EPHEMERAL_CLAIM
    assert cache(large, replicas_max=2, types=("g6.2xlarge",)) is CacheKind.NODE_DISK
    assert cache(large, replicas_max=8, types=("g6.12xlarge",)) is CacheKind.NODE_DISK


def test_several_replicas_without_local_disks_get_a_volume_each():
    assert cache(vllm_like(), replicas_max=2, types=("g5g.xlarge",)) is CacheKind.EPHEMERAL_CLAIM


def test_only_what_is_worth_keeping_lies_on_volumes():
    kinds = {cache: {kind for kind in VolumeKind if claimed(kind, cache)} for cache in CacheKind}
    assert kinds == {
        CacheKind.CLAIM: {VolumeKind.MODELS, VolumeKind.CACHE},
        CacheKind.EPHEMERAL_CLAIM: {VolumeKind.MODELS},
        CacheKind.NODE_DISK: set(),
        CacheKind.SHARED: {VolumeKind.MODELS},
    }


def test_images_that_run_as_root_lower_the_namespace_to_baseline():
    assert pod_security([vllm_like()]) is PodSecurity.RESTRICTED
    assert pod_security([vllm_like(), replace(vllm_like(), user=None)]) is PodSecurity.BASELINE
    assert pod_security([replace(vllm_like(), user=(0, 0))]) is PodSecurity.BASELINE


def test_the_grace_period_covers_the_wait_the_drain_and_a_margin_within_spots_two_minutes():
    assert grace_period_seconds(vllm_like().drain_seconds) == 10 + 90 + 15 < 120


def test_a_rollout_waits_longer_than_the_slowest_start():
    assert patience_seconds(vllm_like()) == 900 + 30 * 10


@pytest.mark.parametrize(
    ("name", "expected"), [("vllm", "vllm-server"), ("Qwen/Qwen2.5-7B", "qwen-qwen2-5-7b"), ("7b", "7b-server")]
)
def test_no_service_is_called_vllm_and_every_name_is_a_label(name: str, expected: str):
    """A Service named `vllm` sets VLLM_PORT, which stops vLLM."""
    assert server_name(replace(vllm_like(), name=name)) == expected


@given(st.text(min_size=1))
def test_a_label_is_always_one(text: str):
    try:
        label = dns_label(text)
    except ValueError:
        assert not any(letter.isascii() and letter.isalnum() for letter in text.lower())
        return
    assert 1 <= len(label) <= 63
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert label[0] != "-" != label[-1]


def test_tags_name_stack_and_resource_and_the_users_own_win():
    tags = stack_tags("prod", {"team": "research", "slipway:stack": "mine"})
    assert tags == {"team": "research", "slipway:stack": "mine"}
    assert named(stack_tags("prod", {}), "network-vpc")["Name"] == "prod-network-vpc"


def test_a_secret_nobody_gave_is_missed_at_once_unless_it_can_be_made():
    StackSecretsArgs(needed=["apiKey"])
    with pytest.raises(ValueError, match="missing hfToken"):
        StackSecretsArgs(needed=["apiKey", "hfToken"])


@pytest.mark.parametrize("region", catalog.regions())
def test_every_region_has_a_machine_for_the_system(region: str):
    assert system_instance_type(ClusterNeeds(), region) in catalog.instance_types()


def test_replicas_are_those_of_the_servers_own_models():
    models = (replace(planned("llama-3.1-8b-instruct"), replicas_max=3), planned("qwen2.5-0.5b-instruct"))
    plan = serving_plan(Platform.VLLM, *models)
    server = replace(vllm_like(), served_models=("llama-3.1-8b-instruct",))
    assert replicas(plan, server) == (1, 3)
