import base64
import json
from collections.abc import Callable
from typing import Any

import pulumi_random as random
import pytest
import yaml
from machine_plans import planned, serving_plan, vllm_like
from recording import Recorded, Recording, record

from components.gpu_instance import GpuInstance, GpuInstanceArgs, MachineSubnet
from slipway.catalog.types import Market, Platform
from slipway.platforms import localai, ollama

pytestmark = pytest.mark.unit

MARKER = "sk-MARKER"
SUBNETS = (
    MachineSubnet(subnet_id="subnet-a", zone="us-east-1a"),
    MachineSubnet(subnet_id="subnet-b", zone="us-east-1b"),
)
GGUF = "huggingface://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"


def spot(**changes: Any) -> Recording:
    plan = serving_plan(**changes)
    return built(lambda: GpuInstanceArgs(plan=plan, workloads=ollama.workloads(plan), vpc_id="vpc-1", subnets=SUBNETS))


def on_demand() -> Recording:
    """LocalAI beside a server with two secrets, one of which no workload of `spot` needs."""
    plan = serving_plan(
        Platform.LOCALAI, planned(reference=GGUF), instance_types=("g5.12xlarge",), market=Market.ON_DEMAND
    )
    return built(
        lambda: GpuInstanceArgs(
            plan=plan,
            workloads=(*localai.workloads(plan), vllm_like()),
            vpc_id="vpc-1",
            subnets=SUBNETS,
            secrets={"apiKey": MARKER, "hfToken": f"{MARKER}-hf", "unused": "x"},
        )
    )


def built(args: Callable[[], GpuInstanceArgs]) -> Recording:
    return record(lambda: GpuInstance("server", args()))


BOTH = pytest.mark.parametrize("build", [spot, on_demand])


def template(recording: Recording) -> Recorded:
    return recording.only("aws:ec2/launchTemplate:LaunchTemplate")


def user_data(recording: Recording) -> str:
    return base64.b64decode(template(recording).inputs["userData"]).decode()


def statements(recording: Recording) -> list[dict[str, Any]]:
    return json.loads(recording.only("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]


@BOTH
def test_every_child_belongs_to_the_component_and_carries_its_name(build: Callable[[], Recording]):
    component, *children = build().resources
    assert (component.type, component.name) == ("slipway:index:GpuInstance", "server")
    assert {child.parent.rpartition("::")[2] for child in children} == {"server"}
    assert all(child.name.startswith("server-") for child in children)
    assert len({(child.type, child.name) for child in children}) == len(children)


@BOTH
def test_nothing_comes_in(build: Callable[[], Recording]):
    recording = build()
    assert recording.only("aws:ec2/securityGroup:SecurityGroup").inputs["ingress"] == []
    assert recording.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule") == []
    assert recording.of_type("aws:ec2/securityGroupRule:SecurityGroupRule") == []
    assert "keyName" not in template(recording).inputs


@BOTH
def test_only_https_goes_out(build: Callable[[], Recording]):
    rule = build().only("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule").inputs
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"], rule["cidrIpv4"]) == ("tcp", 443, 443, "0.0.0.0/0")


@BOTH
def test_credentials_of_the_role_are_out_of_the_containers_reach(build: Callable[[], Recording]):
    assert template(build()).inputs["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "disabled",
    }


@BOTH
def test_every_volume_is_encrypted_gp3(build: Callable[[], Recording]):
    recording = build()
    (mapping,) = template(recording).inputs["blockDeviceMappings"]
    assert mapping["deviceName"] == "/dev/sda1"
    assert (mapping["ebs"]["encrypted"], mapping["ebs"]["volumeType"], mapping["ebs"]["volumeSize"]) == (
        "true",
        "gp3",
        125,
    )
    volumes = recording.of_type("aws:ebs/volume:Volume")
    assert volumes
    assert all(volume.inputs["encrypted"] is True and volume.inputs["type"] == "gp3" for volume in volumes)


@BOTH
def test_the_image_is_resolved_once_and_kept(build: Callable[[], Recording]):
    """Amazon renews `latest` every few weeks; without ignore_changes the next `up` would replace the machine."""
    found = template(build())
    assert found.inputs["imageId"] == (
        "resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    )
    assert found.ignore_changes == ("imageId",)


@BOTH
def test_no_secret_is_anywhere_but_in_secrets_manager(build: Callable[[], Recording]):
    recording = build()
    held = [resource for resource in recording.resources if MARKER in repr(resource.inputs)]
    assert {resource.type for resource in held} <= {"aws:secretsmanager/secretVersion:SecretVersion"}
    assert MARKER not in user_data(recording)
    assert MARKER not in repr(recording.outputs)


def test_secrets_are_secret_in_the_state():
    for version in on_demand().of_type("aws:secretsmanager/secretVersion:SecretVersion"):
        assert version.secrets == {"secretString"}


def test_only_secrets_a_server_reads_are_kept_in_the_cloud():
    assert [secret.name for secret in on_demand().of_type("aws:secretsmanager/secret:Secret")] == [
        "server-api-key",
        "server-hf-token",
    ]
    assert spot().of_type("aws:secretsmanager/secret:Secret") == []


def test_the_role_reads_its_own_secrets_and_no_others():
    reads = [entry for entry in statements(on_demand()) if entry["Action"] == "secretsmanager:GetSecretValue"]
    assert reads == [
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": ["arn:aws:test:::server-api-key", "arn:aws:test:::server-hf-token"],
        }
    ]
    assert not any("secretsmanager" in repr(entry) for entry in statements(spot()))


@BOTH
def test_the_role_may_do_exactly_this(build: Callable[[], Recording]):
    recording = build()
    volumes = [volume.name for volume in recording.of_type("aws:ebs/volume:Volume")]
    assert [entry for entry in statements(recording) if "secretsmanager" not in repr(entry)] == [
        {
            "Effect": "Allow",
            "Action": "ec2:AttachVolume",
            "Resource": [f"arn:aws:test:::{name}" for name in volumes],
        },
        {
            "Effect": "Allow",
            "Action": "ec2:AttachVolume",
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {"StringEquals": {"aws:ResourceTag/slipway:machine": "dev-server"}},
        },
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            "Resource": ["arn:aws:test:::server-logs", "arn:aws:test:::server-logs:*"],
        },
        {
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": "Slipway"}},
        },
    ]
    assert recording.only("aws:iam/rolePolicyAttachment:RolePolicyAttachment").inputs["policyArn"] == (
        "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    )


@BOTH
def test_the_machine_carries_the_tag_its_role_is_limited_to(build: Callable[[], Recording]):
    specifications = template(build()).inputs["tagSpecifications"]
    tags = next(entry["tags"] for entry in specifications if entry["resourceType"] == "instance")
    assert tags == {
        "team": "research",
        "slipway:stack": "dev",
        "slipway:machine": "dev-server",
        "Name": "dev-server-machine",
    }


def test_a_spot_machine_is_replaced_from_any_pool_of_its_gpu():
    group = spot().only("aws:autoscaling/group:Group").inputs
    assert (group["minSize"], group["maxSize"], group["desiredCapacity"]) == (1, 1, 1)
    assert group["capacityRebalance"] is True
    assert group["vpcZoneIdentifiers"] == ["subnet-a", "subnet-b"]
    policy = group["mixedInstancesPolicy"]
    assert policy["instancesDistribution"] == {
        "onDemandBaseCapacity": 0,
        "onDemandPercentageAboveBaseCapacity": 0,
        "spotAllocationStrategy": "price-capacity-optimized",
    }
    assert policy["launchTemplate"] == {
        "launchTemplateSpecification": {"launchTemplateId": "server-template-id", "version": "1"},
        "overrides": [{"instanceType": "g4dn.xlarge"}, {"instanceType": "g4dn.2xlarge"}],
    }


def test_a_changed_template_replaces_the_spot_machine():
    """Without a refresh, new user data would wait for the next interruption."""
    refresh = spot().only("aws:autoscaling/group:Group").inputs["instanceRefresh"]
    assert refresh == {"strategy": "Rolling", "preferences": {"minHealthyPercentage": 0}}


def test_a_spot_machine_finds_its_data_in_every_zone_it_may_start_in():
    recording = spot()
    volumes = {volume.name: volume.inputs["availabilityZone"] for volume in recording.of_type("aws:ebs/volume:Volume")}
    assert volumes == {"server-data-us-east-1a": "us-east-1a", "server-data-us-east-1b": "us-east-1b"}
    files = {file["path"]: file["content"] for file in yaml.safe_load(user_data(recording))["write_files"]}
    assert files["/etc/slipway/volumes"] == (
        "us-east-1a server-data-us-east-1a-id\nus-east-1b server-data-us-east-1b-id\n"
    )


def test_an_on_demand_machine_is_one_instance_in_the_first_zone():
    recording = on_demand()
    instance = recording.only("aws:ec2/instance:Instance")
    assert instance.inputs["instanceType"] == "g5.12xlarge"
    assert instance.inputs["launchTemplate"] == {"id": "server-template-id", "version": "1"}
    assert instance.replace_on_changes == ("launchTemplate",)
    assert recording.of_type("aws:autoscaling/group:Group") == []
    assert [volume.inputs["availabilityZone"] for volume in recording.of_type("aws:ebs/volume:Volume")] == [
        "us-east-1a"
    ]
    assert template(recording).inputs["networkInterfaces"][0]["subnetId"] == "subnet-a"
    assert "subnetId" not in template(spot()).inputs["networkInterfaces"][0]


@pytest.mark.parametrize(
    ("build", "machine"),
    [(spot, "aws:autoscaling/group:Group"), (on_demand, "aws:ec2/instance:Instance")],
)
def test_a_machine_starts_when_what_it_reads_at_boot_is_there(build: Callable[[], Recording], machine: str):
    recording = build()
    needed = {
        resource.name
        for resource in recording.resources
        if resource.type
        in (
            "aws:secretsmanager/secretVersion:SecretVersion",
            "aws:iam/rolePolicy:RolePolicy",
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "aws:ebs/volume:Volume",
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        )
    }
    assert needed <= recording.only(machine).depends_on


@pytest.mark.parametrize(
    ("build", "metric", "dimensions", "actions"),
    [
        (spot, "StatusCheckFailed", {"AutoScalingGroupName": "server-group"}, []),
        (
            on_demand,
            "StatusCheckFailed_Instance",
            {"InstanceId": "server-instance-id"},
            ["arn:aws:automate:us-east-1:ec2:reboot"],
        ),
    ],
)
def test_failed_status_checks_raise_an_alarm(
    build: Callable[[], Recording], metric: str, dimensions: dict[str, str], actions: list[str]
):
    alarm = build().only("aws:cloudwatch/metricAlarm:MetricAlarm").inputs
    assert (alarm["namespace"], alarm["metricName"], alarm["dimensions"]) == ("AWS/EC2", metric, dimensions)
    assert (alarm["threshold"], alarm["evaluationPeriods"], alarm["alarmActions"]) == (1, 3, actions)


def test_people_come_in_through_session_manager():
    assert on_demand().outputs["server"]["connect"] == {
        "localai": "aws ssm start-session --region us-east-1 --target server-instance-id "
        "--document-name AWS-StartPortForwardingSession --parameters portNumber=8080,localPortNumber=8080",
        "chat": "aws ssm start-session --region us-east-1 --target server-instance-id "
        "--document-name AWS-StartPortForwardingSession --parameters portNumber=8000,localPortNumber=8000",
    }


def test_the_command_finds_the_machine_that_runs_now():
    """A spot machine's id changes with every interruption; an id in the outputs would be stale."""
    command = spot().outputs["server"]["connect"]["ollama"]
    assert "--filters Name=tag:aws:autoscaling:groupName,Values=server-group" in command
    assert "--query 'Reservations[0].Instances[0].InstanceId'" in command
    assert "portNumber=11434,localPortNumber=11434" in command


def test_outputs_name_models_endpoints_and_where_the_key_is():
    outputs = on_demand().outputs["server"]
    assert outputs["models"] == ["llama-3.1-8b-instruct", "chat"]
    assert outputs["endpoints"] == {"localai": "http://127.0.0.1:8080/v1", "chat": "http://127.0.0.1:8000/v1"}
    assert outputs["secret_arns"] == {
        "apiKey": "arn:aws:test:::server-api-key",
        "hfToken": "arn:aws:test:::server-hf-token",
    }
    assert outputs["log_group"] == "server-logs"


def test_the_zone_of_an_adopted_subnet_is_read_from_it():
    """In a VPC the stack does not own nobody says which zone a subnet is in, and a volume must be in the same."""
    plan = serving_plan()
    args = GpuInstanceArgs(
        plan=plan,
        workloads=ollama.workloads(plan),
        vpc_id="vpc-1",
        subnets=(MachineSubnet(subnet_id="subnet-x"), MachineSubnet(subnet_id="subnet-y")),
    )
    recording = built(lambda: args)
    zones = {volume.name: volume.inputs["availabilityZone"] for volume in recording.of_type("aws:ebs/volume:Volume")}
    assert zones == {"server-data-0": "zone-of-subnet-x", "server-data-1": "zone-of-subnet-y"}
    assert "zone-of-subnet-x server-data-0-id" in user_data(recording)


def test_the_machine_waits_for_what_its_caller_names():
    def program() -> None:
        routes = random.RandomId("routes", byte_length=4)
        plan = serving_plan()
        GpuInstance(
            "server",
            GpuInstanceArgs(
                plan=plan, workloads=ollama.workloads(plan), vpc_id="vpc-1", subnets=SUBNETS, after=[routes]
            ),
        )

    assert "routes" in record(program).only("aws:autoscaling/group:Group").depends_on


def test_what_holds_data_is_protected_when_the_stack_says_so():
    recording = spot(protect=True)
    assert {resource.type for resource in recording.resources if resource.protect} == {"aws:ebs/volume:Volume"}
    assert not any(resource.protect for resource in spot().resources)


def test_every_missing_piece_is_named_at_once():
    plan = serving_plan()
    with pytest.raises(ValueError, match="secrets: chat needs apiKey; secrets: chat needs hfToken; subnets: at least"):
        GpuInstanceArgs(plan=plan, workloads=(vllm_like(),), vpc_id="vpc-1", subnets=())


def test_text_that_ec2_would_refuse_stops_the_plan():
    """Ids are unknown while planning, so the user data itself is not rendered yet."""
    plan = serving_plan()
    workload = vllm_like(args=("x" * 20_000,))
    with pytest.raises(ValueError, match="EC2 allows 16,384"):
        built(
            lambda: GpuInstanceArgs(
                plan=plan,
                workloads=(workload,),
                vpc_id="vpc-1",
                subnets=SUBNETS,
                secrets={"apiKey": "a", "hfToken": "b"},
            )
        )
