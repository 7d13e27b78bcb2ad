"""Each rule against figures worked out here from the list prices of us-east-1, independently of the rules' code."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from planned import graph, pod, resource

from slipway.costs import Estimate, Money, price
from slipway.engine.graph import UNKNOWN, Resource

pytestmark = pytest.mark.unit

INFRACOST = "Infracost golden files of the AWS price list, us-east-1"
TODAY = date(2026, 11, 23)
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"


def bill(*resources: Resource, region: str | None = "us-east-1") -> Estimate:
    return price(graph(*resources, region=region), today=TODAY)


def money(low: str, typical: str | None = None, high: str | None = None) -> Money:
    return Money(low=Decimal(low), typical=Decimal(typical or low), high=Decimal(high or low))


def lines(estimate: Estimate) -> list[tuple[str, Money]]:
    return [(item.category, item.monthly_usd) for item in estimate.items]


def reasons(estimate: Estimate) -> list[str]:
    return [entry.reason for entry in estimate.unpriced]


def test_an_on_demand_instance_is_730_hours_of_its_list_price_and_its_disk_and_its_address() -> None:
    estimate = bill(
        resource(
            "aws:ec2/instance:Instance",
            "server",
            {
                "instanceType": "g5.xlarge",
                "associatePublicIpAddress": True,
                "rootBlockDevice": {"volumeSize": 100, "volumeType": "gp3", "throughput": 250, "iops": 4000},
            },
        )
    )
    assert lines(estimate) == [
        ("compute on demand", money("734.38")),  # 730 x 1.006
        ("disk", money("8.00")),  # 100 x 0.08
        ("disk", money("5.00")),  # (4000 - 3000) x 0.005
        ("disk", money("5.00")),  # (250 - 125) x 0.04
        ("network", money("3.65")),  # 730 x 0.005
    ]
    assert estimate.monthly_usd == money("756.03")
    assert estimate.unpriced == ()


def test_a_spot_instance_is_a_range_over_the_zones() -> None:
    estimate = bill(
        resource(
            "aws:ec2/instance:Instance",
            "server",
            {
                "instanceType": "g4dn.xlarge",
                "instanceMarketOptions": {"marketType": "spot"},
                "associatePublicIpAddress": False,
                "rootBlockDevice": {"volumeSize": 50, "volumeType": "gp3"},
            },
        )
    )
    assert lines(estimate) == [
        ("compute spot", money("155.64", "156.95", "157.68")),  # 730 x 0.2132, 0.2150, 0.2160
        ("disk", money("4.00")),
    ]


def test_an_instance_whose_root_disk_is_left_to_the_image_says_so() -> None:
    estimate = bill(
        resource(
            "aws:ec2/instance:Instance", "server", {"instanceType": "g5.xlarge", "associatePublicIpAddress": False}
        )
    )
    assert reasons(estimate) == ["root disk: its size is left to the machine image"]


def test_an_instance_from_a_launch_template_has_its_type_market_disks_and_address() -> None:
    template = resource(
        TEMPLATE,
        "template",
        {
            "instanceType": "g4dn.xlarge",
            "instanceMarketOptions": {"marketType": "spot"},
            "blockDeviceMappings": [{"ebs": {"volumeSize": 125, "volumeType": "gp3"}}, {"virtualName": "ephemeral0"}],
            "networkInterfaces": [{"associatePublicIpAddress": "true"}],
        },
    )
    server = resource(
        "aws:ec2/instance:Instance",
        "server",
        {"launchTemplate": {"id": UNKNOWN}},
        depends={"launchTemplate": (template.urn,)},
    )
    estimate = bill(template, server)
    assert lines(estimate) == [
        ("compute spot", money("155.64", "156.95", "157.68")),
        ("disk", money("10.00")),
        ("network", money("3.65")),
    ]
    assert estimate.unpriced == ()


def test_a_launch_template_that_refuses_an_address_has_none() -> None:
    template = resource(TEMPLATE, "template", {"networkInterfaces": [{"associatePublicIpAddress": "false"}]})
    machine = {"instanceType": "g5.xlarge", "rootBlockDevice": {"volumeSize": 50, "volumeType": "gp3"}}
    server = resource("aws:ec2/instance:Instance", "server", {**machine, "launchTemplate": {"id": UNKNOWN}})
    assert [category for category, _ in lines(bill(template, server))] == ["compute on demand", "disk"]


def test_machines_of_a_group_have_the_addresses_of_its_launch_template() -> None:
    template, group = node_group(instanceTypes=["g6.xlarge"])
    template.inputs["networkInterfaces"] = [{"associatePublicIpAddress": "true"}]
    assert lines(bill(template, group))[-1] == ("network", money("3.65", "7.30", "14.60"))


def test_a_public_subnet_gives_its_instances_an_address() -> None:
    subnet = resource("aws:ec2/subnet:Subnet", "public", {"mapPublicIpOnLaunch": True})
    machine = {"instanceType": "g5.xlarge", "rootBlockDevice": {"volumeSize": 50, "volumeType": "gp3"}}
    server = resource("aws:ec2/instance:Instance", "server", machine, depends={"subnetId": (subnet.urn,)})
    assert ("network", money("3.65")) in lines(bill(subnet, server))


def test_an_instance_in_an_unknown_subnet_may_have_an_address_and_that_is_said() -> None:
    machine = {"instanceType": "g5.xlarge", "rootBlockDevice": {"volumeSize": 50, "volumeType": "gp3"}}
    assert reasons(bill(resource("aws:ec2/instance:Instance", "server", machine))) == [
        "a public IPv4 address, if its subnet gives one"
    ]


# g4dn.xlarge an hour: 0.526 on demand; 0.2132, 0.2150, 0.2160 spot.
@pytest.mark.parametrize(
    ("base", "percentage", "on_demand", "spot"),
    [
        pytest.param(1, 0, ("0.00", "383.98", "383.98"), ("0.00", "156.95", "473.04"), id="base first, spot above"),
        pytest.param(0, None, ("0.00", "767.96", "1535.92"), None, id="no percentage means all on demand"),
        pytest.param(0, 50, ("0.00", "383.98", "767.96"), ("0.00", "156.95", "315.36"), id="half and half"),
        pytest.param(1, 50, ("0.00", "767.96", "1151.94"), ("0.00", "0.00", "157.68"), id="a broken one on demand"),
    ],
)
def test_an_auto_scaling_group_splits_its_machines_over_the_markets(
    base: int, percentage: int | None, on_demand: tuple[str, ...], spot: tuple[str, ...] | None
) -> None:
    distribution: dict[str, Any] = {"onDemandBaseCapacity": base}
    if percentage is not None:
        distribution["onDemandPercentageAboveBaseCapacity"] = percentage
    template = resource(TEMPLATE, "template", {"blockDeviceMappings": []})
    group = resource(
        GROUP,
        "group",
        {
            "minSize": 0,
            "desiredCapacity": 2,
            "maxSize": 4,
            "mixedInstancesPolicy": {
                "instancesDistribution": distribution,
                "launchTemplate": {
                    "launchTemplateSpecification": {"launchTemplateId": UNKNOWN},
                    "overrides": [{"instanceType": "g4dn.xlarge"}],
                },
            },
        },
        depends={"mixedInstancesPolicy": (template.urn,)},
    )
    wanted = [("compute on demand", money(*on_demand)), *([("compute spot", money(*spot))] if spot else [])]
    assert lines(bill(template, group)) == wanted


def test_a_group_without_a_desired_size_starts_at_its_minimum() -> None:
    template = resource(TEMPLATE, "template", {"instanceType": "g4dn.xlarge", "blockDeviceMappings": []})
    group = resource(GROUP, "group", {"minSize": 1, "maxSize": 2, "launchTemplate": {"id": UNKNOWN}})
    assert lines(bill(template, group)) == [("compute on demand", money("383.98", "383.98", "767.96"))]


def test_a_group_by_weight_is_not_priced_as_if_it_counted_machines() -> None:
    override = {"instanceType": "g5.xlarge", "weightedCapacity": "4"}
    policy = {"launchTemplate": {"launchTemplateSpecification": {}, "overrides": [override]}}
    estimate = bill(resource(GROUP, "group", {"minSize": 4, "maxSize": 8, "mixedInstancesPolicy": policy}))
    assert estimate.items == ()
    assert reasons(estimate) == ["overrides by weight or requirements: the number of machines is not in the plan"]


def node_group(**changes: Any) -> tuple[Resource, Resource]:
    disk = {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 200, "volumeType": "gp3", "throughput": 250}}
    template = resource(TEMPLATE, "template", {"blockDeviceMappings": [disk]})
    inputs = {
        "capacityType": "ON_DEMAND",
        "instanceTypes": ["g6.2xlarge", "g6.xlarge", "g6.4xlarge"],
        "scalingConfig": {"minSize": 1, "desiredSize": 2, "maxSize": 4},
        "launchTemplate": {"id": UNKNOWN, "version": UNKNOWN},
        **changes,
    }
    return template, resource(NODE_GROUP, "gpu", inputs, depends={"launchTemplate": (template.urn,)})


def test_a_node_group_ranges_from_cheapest_type_at_minimum_to_dearest_at_maximum() -> None:
    assert lines(bill(*node_group())) == [
        # 730 x 1 x 0.8048 (g6.xlarge); 730 x 2 x 0.9776 (g6.2xlarge, the first); 730 x 4 x 1.3232 (g6.4xlarge)
        ("compute on demand", money("587.50", "1427.30", "3863.74")),
        ("disk", money("16.00", "32.00", "64.00")),  # 200 GiB x 0.08 each
        ("disk", money("5.00", "10.00", "20.00")),  # 125 MiB/s above the free 125, x 0.04 each
    ]


def test_a_spot_node_group_takes_cheapest_zone_low_and_dearest_zone_high() -> None:
    one = {"minSize": 1, "desiredSize": 1, "maxSize": 1}
    found = lines(bill(*node_group(capacityType="SPOT", instanceTypes=["g6.xlarge"], scalingConfig=one)))
    assert found[0] == ("compute spot", money("253.31", "264.11", "403.33"))  # 730 x 0.3470, 0.3618, 0.5525


def test_nodes_at_zero_cost_nothing_at_minimum_and_are_priced_at_maximum() -> None:
    scaling = {"minSize": 0, "desiredSize": 0, "maxSize": 1}
    found = lines(bill(*node_group(instanceTypes=["g6.xlarge"], scalingConfig=scaling)))
    assert found[0] == ("compute on demand", money("0.00", "0.00", "587.50"))


def test_a_capacity_block_is_not_priced_as_on_demand() -> None:
    estimate = bill(*node_group(capacityType="CAPACITY_BLOCK"))
    assert reasons(estimate) == ["machines with capacity type CAPACITY_BLOCK"]
    assert {item.category for item in estimate.items} == {"disk"}


def test_a_type_without_a_price_is_named_and_the_others_are_priced() -> None:
    estimate = bill(*node_group(instanceTypes=["g6.xlarge", "x9.colossal"]))
    assert reasons(estimate) == ["x9.colossal on demand: no price in us-east-1"]
    assert estimate.items[0].monthly_usd.low == Decimal("587.50")


def test_a_preferred_type_without_a_price_leaves_the_machines_unpriced() -> None:
    estimate = bill(*node_group(instanceTypes=["x9.colossal", "g6.xlarge"]))
    assert reasons(estimate) == ["x9.colossal on demand: no price in us-east-1"]
    assert {item.category for item in estimate.items} == {"disk"}
    assert not estimate.complete


def test_an_estimate_is_complete_when_every_machine_has_a_price() -> None:
    """Data transfer and alarms without a price do not make a total meaningless; missing machines do."""
    template, group = node_group()
    assert bill(template, group, resource("aws:cloudwatch/metricAlarm:MetricAlarm", "alarm")).complete


def test_node_disks_without_a_launch_template_are_not_priced() -> None:
    _, group = node_group(launchTemplate=None)
    assert reasons(bill(group)) == ["node disks: size or volume type are left to AWS without a launch template"]


def test_node_disks_of_an_adopted_launch_template_are_not_guessed_from_another_one() -> None:
    template, group = node_group(launchTemplate={"id": "lt-0123456789abcdef0", "version": "1"})
    assert reasons(bill(template, group)) == ["node disks: the launch template is not in the plan"]


def test_unknown_sizes_are_not_priced() -> None:
    _, group = node_group(scalingConfig={"minSize": UNKNOWN, "desiredSize": UNKNOWN, "maxSize": UNKNOWN})
    assert reasons(bill(group)) == ["the scaling configuration is not in the plan"]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param({"version": "1.35"}, "73.00", id="standard support"),
        pytest.param({"version": "1.33"}, "438.00", id="extended support since 29 July 2026"),
        pytest.param(
            {"version": "1.33", "upgradePolicy": {"supportType": "STANDARD"}}, "73.00", id="extended support refused"
        ),
        pytest.param({}, "73.00", id="AWS's default version"),
    ],
)
def test_the_control_plane_costs_by_the_support_of_its_version(inputs: dict[str, Any], expected: str) -> None:
    assert lines(bill(resource("aws:eks/cluster:Cluster", "cluster", inputs))) == [("control plane", money(expected))]


def test_extended_support_begins_the_day_after_standard_support_ends() -> None:
    stack = graph(resource("aws:eks/cluster:Cluster", "cluster", {"version": "1.34"}))
    assert price(stack, today=date(2026, 12, 2)).monthly_usd == money("73.00")
    assert price(stack, today=date(2026, 12, 3)).monthly_usd == money("438.00")


def test_a_version_nobody_knows_has_no_control_plane_price() -> None:
    estimate = bill(resource("aws:eks/cluster:Cluster", "cluster", {"version": "1.99"}))
    assert reasons(estimate) == ["control plane: the support dates of Kubernetes 1.99 are not known"]
    assert estimate.items == ()


@pytest.mark.parametrize(
    ("token", "inputs", "expected"),
    [
        pytest.param("aws:ec2/natGateway:NatGateway", {}, "32.85", id="NAT gateway"),
        pytest.param("aws:ec2/eip:Eip", {}, "3.65", id="public IPv4, attached or idle"),
        pytest.param(
            "aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "network", "internal": True}, "16.43", id="NLB"
        ),
        pytest.param(
            "aws:lb/loadBalancer:LoadBalancer", {"subnets": [UNKNOWN, UNKNOWN]}, "23.73", id="public ALB, two addresses"
        ),
        pytest.param(
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            {"vpcEndpointType": "Interface", "subnetIds": [UNKNOWN, UNKNOWN]},
            "14.60",
            id="interface endpoint in two zones",
        ),
        pytest.param("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Gateway"}, "0", id="gateway endpoint"),
        pytest.param("aws:ec2/vpcEndpoint:VpcEndpoint", {}, "0", id="endpoint without a type is a gateway"),
        pytest.param("aws:ebs/volume:Volume", {"type": "gp3", "size": 60}, "4.80", id="volume"),
        pytest.param(
            "aws:ebs/volume:Volume", {"type": "gp3", "size": 60, "iops": 3000, "throughput": 125}, "4.80", id="baseline"
        ),
        pytest.param("aws:kms/key:Key", {}, "1.00", id="KMS key"),
        pytest.param("aws:secretsmanager/secret:Secret", {}, "0.40", id="secret"),
        pytest.param(
            "aws:secretsmanager/secret:Secret", {"replicas": [{"region": "x"}]}, "0.80", id="replicated secret"
        ),
        pytest.param("aws:iam/role:Role", {}, "0", id="IAM"),
        pytest.param("aws:ssm/parameter:Parameter", {"type": "SecureString"}, "0", id="standard parameter"),
        pytest.param("aws:eks/addon:Addon", {"addonName": "vpc-cni"}, "0", id="AWS's own add-on"),
    ],
)
def test_flat_rates(token: str, inputs: dict[str, Any], expected: str) -> None:
    assert bill(resource(token, "it", inputs)).monthly_usd == money(expected)


@pytest.mark.parametrize(
    ("token", "inputs", "reason"),
    [
        ("aws:ebs/volume:Volume", {"type": "io2", "size": 100}, "100 GiB disk of type io2"),
        ("aws:ebs/volume:Volume", {"type": "gp3", "size": UNKNOWN}, "a disk whose size is not in the plan"),
        ("aws:eks/addon:Addon", {"addonName": "kubecost_kubecost"}, "add-on kubecost_kubecost"),
        ("aws:ssm/parameter:Parameter", {"tier": "Advanced"}, "parameter of tier Advanced"),
        ("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "gateway"}, "load balancer of type gateway"),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {}, "alarm, which has no sourced price yet"),
        ("aws:rds/instance:Instance", {}, "no pricing rule for this resource type"),
        (
            "kubernetes:karpenter.sh/v1:NodePool",
            {},
            "how many nodes of which size Karpenter makes is not in the plan",
        ),
        ("kubernetes:helm.sh/v3:Release", {}, "disks and load balancers that the chart itself may create"),
    ],
)
def test_what_has_no_price_is_listed_and_never_zero(token: str, inputs: dict[str, Any], reason: str) -> None:
    estimate = bill(resource(token, "it", inputs))
    assert estimate.items == ()
    assert reasons(estimate) == [reason]


def test_a_claim_that_a_charts_values_spell_out_is_priced_as_a_disk() -> None:
    """What a chart makes is not in the plan, but Prometheus' volume is what a user would look for."""
    storage = resource(
        "kubernetes:storage.k8s.io/v1:StorageClass",
        "gp3",
        {"metadata": {"name": "gp3"}, "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}},
    )
    claim = {"spec": {"storageClassName": "gp3", "resources": {"requests": {"storage": "50Gi"}}}}
    values = {
        "prometheus": {"prometheusSpec": {"replicas": 2, "storageSpec": {"volumeClaimTemplate": claim}}},
        "thanosRuler": {"extra": [{"volumeClaimTemplate": claim}]},
    }
    estimate = bill(storage, resource("kubernetes:helm.sh/v3:Release", "monitoring", {"values": values}))
    assert [(item.resource, item.monthly_usd, item.how) for item in estimate.items] == [
        ("monitoring", money("8.00"), "0.08 USD x 50 x 2 (GiB gp3)"),
        ("monitoring", money("4.00"), "0.08 USD x 50 x 1 (GiB gp3)"),
    ]
    assert reasons(estimate) == ["other disks and load balancers that the chart itself may create"]


def test_usage_is_listed_with_its_rate_and_date() -> None:
    estimate = bill(resource("aws:ec2/natGateway:NatGateway", "nat"))
    assert reasons(estimate) == [
        f"data through the gateway, by use: 0.045 USD per GB ({INFRACOST}, 2025-07-01)",
    ]


def test_rates_of_one_source_name_it_once() -> None:
    assert reasons(bill(resource("aws:cloudwatch/logGroup:LogGroup", "logs"))) == [
        f"logs, by use: 0.5 USD per GB, 0.03 USD per GB-month ({INFRACOST}, 2025-07-01)"
    ]


def test_what_leaves_through_the_internet_gateway_is_listed() -> None:
    source = "Infracost golden file of data transfer prices, 28 regions, 2024-09-25"
    assert reasons(bill(resource("aws:ec2/internetGateway:InternetGateway", "gateway"))) == [
        f"data out to the internet, by use: 0.09 USD per GB up to 10 TB a month ({source})"
    ]


def test_another_regions_service_price_standing_in_is_marked_as_an_estimate() -> None:
    estimate = bill(resource("aws:ebs/volume:Volume", "data", {"type": "gp3", "size": 10}), region="eu-north-1")
    assert estimate.items[0].how == "0.08 USD x 10 x 1 (GiB gp3, estimated)"


def test_without_a_region_nothing_in_aws_is_priced() -> None:
    estimate = bill(resource("aws:ec2/eip:Eip", "address"), region=None)
    assert estimate.items == ()
    assert reasons(estimate) == ["public IPv4: no price in a stack without an AWS region"]


GP3 = resource(
    "kubernetes:storage.k8s.io/v1:StorageClass",
    "gp3",
    {
        "metadata": {"name": "gp3", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "ebs.csi.aws.com",
        "parameters": {"type": "gp3", "throughput": "250"},
    },
)


def claim(size: str = "100Gi", **spec: Any) -> Resource:
    inputs = {"spec": {"resources": {"requests": {"storage": size}}, **spec}}
    return resource("kubernetes:core/v1:PersistentVolumeClaim", "models", inputs)


def test_a_claim_is_an_ebs_volume_of_its_class() -> None:
    assert lines(bill(GP3, claim(storageClassName="gp3"))) == [("disk", money("8.00")), ("disk", money("5.00"))]


def test_a_claim_without_a_class_takes_the_default_one() -> None:
    assert bill(GP3, claim()).monthly_usd == money("13.00")


@pytest.mark.parametrize(("size", "gib"), [("1Ti", 1024), ("1500Mi", 2), ("10G", 10), ("0.5Gi", 1)])
def test_kubernetes_quantities_are_whole_gib_rounded_up(size: str, gib: int) -> None:

    plain = resource(GP3.type, "gp3", {**GP3.inputs, "parameters": {"type": "gp3"}})
    assert bill(plain, claim(size)).monthly_usd == money(str(Decimal("0.08") * gib))


EFS = resource(
    "kubernetes:storage.k8s.io/v1:StorageClass",
    "efs",
    {"metadata": {"name": "efs"}, "provisioner": "efs.csi.aws.com", "parameters": {"provisioningMode": "efs-ap"}},
)
EFS_FILES = "aws:efs/fileSystem:FileSystem"


def test_a_claim_on_efs_is_priced_as_if_it_were_full_and_not_as_a_disk() -> None:
    """12 GiB of gp3 would be 0.96 USD; EFS is 12 x 0.30."""
    files = resource(EFS_FILES, "files", {"encrypted": True, "throughputMode": "elastic"})
    estimate = bill(GP3, EFS, files, claim("12Gi", storageClassName="efs"))
    assert lines(estimate) == [("disk", money("3.60"))]
    assert estimate.items[0].how == "0.3 USD x 12 x 1 (GiB EFS, estimated by the size of the claim)"
    assert reasons(estimate) == ["reads and writes, elastic throughput, by use"]


def test_files_that_no_claim_or_more_than_one_file_system_stands_for_are_by_use() -> None:
    assert [reason.partition(" (")[0] for reason in reasons(bill(resource(EFS_FILES, "files", {})))] == [
        "files stored, by use: 0.3 USD per GB-month"
    ]
    two = bill(EFS, resource(EFS_FILES, "one", {}), resource(EFS_FILES, "two", {}), claim(storageClassName="efs"))
    assert len(two.unpriced) == 2


@pytest.mark.parametrize(("mode", "expected"), [("provisioned", ["throughput of mode provisioned"]), ("bursting", [])])
def test_throughput_is_never_taken_as_free_unless_it_is(mode: str, expected: list[str]) -> None:
    files = resource(EFS_FILES, "files", {"throughputMode": mode})
    assert reasons(bill(EFS, files, claim(storageClassName="efs"))) == expected


@pytest.mark.parametrize(("status", "expected"), [("DISABLED", []), ("ENABLED", ["backups of its files, by use"])])
def test_backups_are_by_use_where_they_are_made(status: str, expected: list[str]) -> None:
    policy = resource("aws:efs/backupPolicy:BackupPolicy", "backup", {"backupPolicy": {"status": status}})
    target = resource("aws:efs/mountTarget:MountTarget", "target", {"subnetId": "subnet-1"})
    assert reasons(bill(policy, target)) == expected


def test_a_claim_on_a_class_outside_the_stack_is_not_priced() -> None:
    assert reasons(bill(claim(storageClassName="fast"))) == ["claim of 100 GiB: its storage class is not in the plan"]


def test_a_claim_bound_to_an_existing_volume_is_priced_where_that_is_made() -> None:
    estimate = bill(GP3, claim(volumeName="weights"))
    assert (estimate.items, estimate.unpriced) == ((), ())


def test_replicas_of_a_deployment_never_count_twice() -> None:
    server = pod("Deployment", "server", {"resources": {"limits": {"nvidia.com/gpu": 1}}})
    server.inputs["spec"]["replicas"] = 4
    template, group = node_group()
    assert bill(template, group, server).monthly_usd == bill(template, group).monthly_usd


def test_each_replica_of_a_stateful_set_brings_its_own_volume() -> None:
    server = pod("StatefulSet", "server", {})
    server.inputs["spec"].update(
        replicas=3, volumeClaimTemplates=[{"spec": {"resources": {"requests": {"storage": "10Gi"}}}}]
    )
    assert bill(GP3, server).items[0].monthly_usd == money("2.40")  # 3 x 10 x 0.08


@pytest.mark.parametrize(
    ("token", "spec", "expected"),
    [
        pytest.param(
            "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
            {"minReplicas": 1, "maxReplicas": 5},
            ("0.80", "1.60", "4.00"),
            id="HPA",
        ),
        pytest.param(
            "kubernetes:keda.sh/v1alpha1:ScaledObject",
            {"maxReplicaCount": 3},
            ("0.00", "1.60", "2.40"),
            id="KEDA",
        ),
    ],
)
def test_volumes_of_pods_follow_the_autoscaler(
    token: str, spec: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    ephemeral = {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "10Gi"}}}}}
    server = pod("Deployment", "server", {}, volumes=[{"name": "cache", "ephemeral": ephemeral}])
    server.inputs["spec"]["replicas"] = 2
    scaler = resource(token, "scaler", {"spec": {"scaleTargetRef": {"name": "server"}, **spec}})
    assert bill(GP3, server, scaler).items[0].monthly_usd == money(*expected)


def test_a_load_balancer_service_is_an_nlb_and_public_ones_have_an_address_per_public_subnet() -> None:
    subnets = [
        resource("aws:ec2/subnet:Subnet", name, {"tags": {"kubernetes.io/role/elb": "1"}}) for name in ("a", "b")
    ]
    service = resource(
        "kubernetes:core/v1:Service",
        "gateway",
        {
            "metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"}},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "service.k8s.aws/nlb"},
        },
    )
    assert lines(bill(*subnets, service)) == [("network", money("16.43")), ("network", money("7.30"))]


def test_a_service_without_the_load_balancer_controller_is_not_priced_as_an_nlb() -> None:
    estimate = bill(resource("kubernetes:core/v1:Service", "gateway", {"spec": {"type": "LoadBalancer"}}))
    assert reasons(estimate) == ["classic load balancer, made without the AWS load balancer controller"]


def test_resources_that_are_deleted_cost_nothing() -> None:
    estimate = bill(resource("aws:ec2/natGateway:NatGateway", "nat", change="delete"))
    assert (estimate.items, estimate.unpriced) == ((), ())


def test_a_launch_template_is_found_beside_its_group_when_the_engine_reports_no_dependencies() -> None:
    other = resource(TEMPLATE, "other", {"instanceType": "p5.48xlarge", "blockDeviceMappings": []}, parent="b")
    mine = resource(TEMPLATE, "mine", {"instanceType": "g4dn.xlarge", "blockDeviceMappings": []}, parent="a")
    group = resource(GROUP, "group", {"minSize": 1, "maxSize": 1, "launchTemplate": {"id": UNKNOWN}}, parent="a")
    assert bill(other, mine, group).monthly_usd == money("383.98")
