"""The stand-ins' rules, without an engine."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.engine import UNKNOWN
from slipway.engine.standins import aws_api, aws_calls, aws_model, kubernetes_enums, kubernetes_schema, schema
from slipway.engine.standins.base import StandIn
from slipway.engine.standins.faults import Fault, Faults, closest, shortened
from slipway.engine.standins.values import Secret, decode, encode, reveal

pytestmark = pytest.mark.unit

INSTANCE = "aws:ec2/instance:Instance"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def typed(token, inputs):
    faults = Faults()
    declared = schema.resource(token)
    assert declared is not None
    schema.check(declared, inputs, faults)
    return {fault.path: fault for fault in faults}


def aws(token, inputs):
    faults = Faults()
    aws_api.check(token, inputs, faults)
    return {fault.path: fault for fault in faults}


def kubernetes(api_version, kind, inputs, version="1.34"):
    faults = Faults()
    found = kubernetes_schema.find(api_version, kind, version)
    assert found is not None
    kubernetes_schema.check(found, {"apiVersion": api_version, "kind": kind, **inputs}, version, "", faults)
    return {fault.path: fault for fault in faults}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.just(UNKNOWN),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
        | inner.map(Secret)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=4))
def test_values_survive_the_way_to_the_engine_and_back(properties):
    assert decode(encode(properties)) == properties


@given(values)
def test_revealed_values_hold_no_secret_marks(value):
    assert "Secret(" not in repr(reveal({"a": value})) or "Secret(" in json.dumps(repr(reveal(value)))


@pytest.mark.parametrize(
    ("inputs", "path", "message", "nearest"),
    [
        ({"instanceTyp": "x"}, "instanceTyp", "no such property", "instanceType"),
        ({"rootBlockDevice": {"encryptd": True}}, "rootBlockDevice.encryptd", "no such property", "encrypted"),
        ({"rootBlockDevice": {"volumeSize": "10"}}, "rootBlockDevice.volumeSize", "must be a whole number", None),
        ({"rootBlockDevice": {"volumeSize": 1.5}}, "rootBlockDevice.volumeSize", "must be a whole number", None),
        ({"rootBlockDevice": []}, "rootBlockDevice", "must be an object", None),
        ({"monitoring": "yes"}, "monitoring", "must be a boolean", None),
        ({"ami": True}, "ami", "must be a string", None),
        ({"vpcSecurityGroupIds": "sg-1"}, "vpcSecurityGroupIds", "must be a list", None),
        ({"vpcSecurityGroupIds": ["sg-1", 2]}, "vpcSecurityGroupIds[1]", "must be a string", None),
        ({"tags": {"a.b": 1}}, 'tags["a.b"]', "must be a string", None),
        ({"tags": ["a"]}, "tags", "must be a map", None),
    ],
)
def test_a_property_of_another_name_or_type_is_a_fault_at_its_path(inputs, path, message, nearest):
    found = typed(INSTANCE, inputs)
    assert list(found) == [path]
    assert (found[path].message, found[path].nearest) == (message, nearest)


def test_a_missing_required_property_is_a_fault_also_inside_objects():
    found = typed("aws:eks/nodeGroup:NodeGroup", {"clusterName": "c", "nodeRoleArn": None, "scalingConfig": {}})
    assert set(found) == {
        "nodeRoleArn",
        "scalingConfig.desiredSize",
        "scalingConfig.maxSize",
        "scalingConfig.minSize",
        "subnetIds",
    }


def test_unknown_values_pass_every_check():
    unknown = {
        "instanceType": UNKNOWN,
        "rootBlockDevice": {"volumeSize": UNKNOWN},
        "tags": UNKNOWN,
        "userData": UNKNOWN,
    }
    assert typed(INSTANCE, unknown) == {}
    assert aws(INSTANCE, unknown) == {}
    assert kubernetes("apps/v1", "Deployment", {"metadata": UNKNOWN, "spec": UNKNOWN}) == {}


def test_a_name_an_sdk_only_suggests_does_not_exclude_others():
    """pulumi_aws types an instance type as text or its own enum, which lags behind EC2."""
    assert typed(INSTANCE, {"instanceType": "brand.new"}) == {}


def test_what_a_provider_works_out_is_filled_in_at_every_depth_and_secrets_stay_marked():
    declared = schema.resource(INSTANCE)
    assert declared is not None
    inputs = {"ami": Secret("ami-1"), "rootBlockDevice": {"volumeType": "gp3"}}
    outputs = schema.complete(declared, inputs, fill=lambda path, hint: f"?{path}")
    assert outputs["ami"] == Secret("ami-1")
    assert outputs["arn"] == "?arn"
    assert outputs["rootBlockDevice"]["volumeType"] == "gp3"
    assert outputs["rootBlockDevice"]["volumeId"] == "?rootBlockDevice.volumeId"


def test_every_field_with_a_list_of_values_exists_in_the_newest_schemas():
    definitions = kubernetes_schema.definitions(None)
    for name, field in kubernetes_enums.ENUMS:
        assert field in definitions[name]["properties"], f"{name}.{field}"


def test_every_call_in_the_table_and_every_alias_exists():
    for token, call in aws_calls.CALLS.items():
        declared = schema.resource(token)
        assert declared is not None, token
        request = aws_model.request(call.service, call.operation)
        assert call.within is None or request.member(call.within) is not None, token
        for path, alias in call.aliases.items():
            name = path.split(".")[0].removesuffix("[]")
            assert name in declared.inputs, f"{token}: {name}"
            if alias is not None and "." not in path:
                within = request.member(call.within) if call.within else request
                assert within is not None
                assert (request if "." in alias else within).at(alias) is not None, f"{token}: {alias}"


@pytest.mark.parametrize("table", [aws_calls.CIDRS, aws_calls.POLICY_DOCUMENTS, aws_calls.INSTANCE_TYPES])
def test_every_path_in_the_tables_of_formats_exists(table):
    for token, paths in table.items():
        declared = schema.resource(token)
        assert declared is not None, token
        for path in paths:
            assert path.split(".")[0].removesuffix("[]") in declared.inputs, f"{token}: {path}"


@pytest.mark.parametrize(
    ("token", "inputs", "path"),
    [
        (INSTANCE, {"instanceType": "g6.xlarg"}, "instanceType"),
        (INSTANCE, {"metadataOptions": {"httpTokens": "require"}}, "metadataOptions.httpTokens"),
        (INSTANCE, {"rootBlockDevice": {"volumeType": "gp4"}}, "rootBlockDevice.volumeType"),
        (INSTANCE, {"ebsBlockDevices": [{"volumeType": "gp4"}]}, "ebsBlockDevices[0].volumeType"),
        (INSTANCE, {"tenancy": "shared"}, "tenancy"),
        ("aws:eks/cluster:Cluster", {"enabledClusterLogTypes": ["api", "audits"]}, "enabledClusterLogTypes[1]"),
        (INSTANCE, {"userData": "x" * 16385}, "userData"),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "g6.xlarg"}, "instanceType"),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"userData": "#!/bin/sh"}, "userData"),
        (
            "aws:ec2/launchTemplate:LaunchTemplate",
            {"blockDeviceMappings": [{"ebs": {"volumeType": "x"}}]},
            "blockDeviceMappings[0].ebs.volumeType",
        ),
        ("aws:eks/nodeGroup:NodeGroup", {"instanceTypes": ["g6.xlarge", "g7.tiny"]}, "instanceTypes[1]"),
        ("aws:eks/nodeGroup:NodeGroup", {"taints": [{"key": "a", "effect": "NoSchedule"}]}, "taints[0].effect"),
        ("aws:eks/nodeGroup:NodeGroup", {"capacityType": "spot"}, "capacityType"),
        ("aws:eks/nodeGroup:NodeGroup", {"amiType": "AL2023"}, "amiType"),
        ("aws:eks/nodeGroup:NodeGroup", {"scalingConfig": {"maxSize": 0}}, "scalingConfig.maxSize"),
        ("aws:eks/cluster:Cluster", {"name": "my cluster"}, "name"),
        (
            "aws:eks/cluster:Cluster",
            {"accessConfig": {"authenticationMode": "API_ONLY"}},
            "accessConfig.authenticationMode",
        ),
        (
            "aws:eks/cluster:Cluster",
            {"vpcConfig": {"publicAccessCidrs": ["10.0.0.1"]}},
            "vpcConfig.publicAccessCidrs[0]",
        ),
        ("aws:iam/role:Role", {"name": "x y"}, "name"),
        ("aws:iam/role:Role", {"name": "r" * 65}, "name"),
        ("aws:iam/role:Role", {"tags": {"k" * 129: "v"}}, f"tags.{'k' * 129}"),
        ("aws:iam/role:Role", {"maxSessionDuration": 60}, "maxSessionDuration"),
        ("aws:kms/key:Key", {"keyUsage": "SIGN"}, "keyUsage"),
        ("aws:ssm/parameter:Parameter", {"type": "Secret"}, "type"),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/33"}, "cidrBlock"),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"comparisonOperator": "Greater"}, "comparisonOperator"),
        (
            "aws:autoscaling/group:Group",
            {"mixedInstancesPolicy": {"launchTemplate": {"overrides": [{"instanceType": "g6.x"}]}}},
            "mixedInstancesPolicy.launchTemplate.overrides[0].instanceType",
        ),
    ],
)
def test_what_the_aws_call_refuses_is_a_fault_before_it_is_made(token, inputs, path):
    assert list(aws(token, inputs)) == [path]


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (
            INSTANCE,
            {"instanceType": "g6.xlarge", "ami": "resolve:ssm:/aws/x", "tenancy": "default", "monitoring": True},
        ),
        (
            INSTANCE,
            {"rootBlockDevice": {"volumeType": "gp3", "iops": 3000}, "metadataOptions": {"httpTokens": "required"}},
        ),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"userData": base64.b64encode(b"#!/bin/sh").decode()}),
        ("aws:eks/cluster:Cluster", {"name": "llm-prod_1", "enabledClusterLogTypes": ["api", "audit"]}),
        (
            "aws:eks/nodeGroup:NodeGroup",
            {"amiType": "AL2023_x86_64_NVIDIA", "capacityType": "SPOT", "labels": {"a/b": "c"}},
        ),
        ("aws:iam/role:Role", {"name": "llm.role+x", "tags": {"team": "ml"}, "assumeRolePolicy": json.dumps(POLICY)}),
        ("aws:lb/targetGroup:TargetGroup", {"healthCheck": {"path": "/health", "matcher": "200"}, "protocol": "HTTP"}),
        ("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "network", "internal": True}),
        ("aws:lb/listener:Listener", {"port": 443, "defaultActions": [{"type": "forward"}]}),
        ("aws:cloudwatch/logGroup:LogGroup", {"name": "/aws/eks/llm", "retentionInDays": 30}),
        ("aws:autoscaling/group:Group", {"minSize": 1, "maxSize": 2, "tags": [{"key": "a", "value": "b"}]}),
        (
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            {"vpcEndpointType": "Interface", "serviceName": "com.amazonaws.us-east-1.s3"},
        ),
        ("aws:s3/bucket:Bucket", {"bucket": "models"}),
        ("aws:efs/fileSystem:FileSystem", {"throughputMode": "elastic", "encrypted": True}),
        ("aws:ec2/eip:Eip", {"domain": "vpc"}),
    ],
)
def test_what_the_aws_call_accepts_passes(token, inputs):
    assert typed_without_required(token, inputs) == {}
    assert aws(token, inputs) == {}


def typed_without_required(token, inputs):
    return {path: fault for path, fault in typed(token, inputs).items() if "required" not in fault.message}


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ("{", "policy"),
        ("[]", "policy"),
        (json.dumps({**POLICY, "Version": "2012-10-18"}), "policy.Version"),
        (json.dumps({"Version": "2012-10-17"}), "policy.Statement"),
        (json.dumps({"Statement": [{"Effect": "allow", "Action": "*"}]}), "policy.Statement[0].Effect"),
        (json.dumps({"Statement": {"Effect": "Deny"}}), "policy.Statement[0].Action"),
    ],
)
def test_a_policy_iam_would_refuse_is_a_fault(policy, path):
    assert list(aws("aws:iam/policy:Policy", {"policy": policy})) == [path]


def pod(**container):
    return {"spec": {"containers": [{"name": "a", "image": "b", **container}]}}


@pytest.mark.parametrize(
    ("inputs", "path", "nearest"),
    [
        (pod(imag="x"), "spec.containers[0].imag", "image"),
        (pod(ports=[{"containerPort": "80"}]), "spec.containers[0].ports[0].containerPort", None),
        (pod(ports=[{"name": "x"}]), "spec.containers[0].ports[0].containerPort", None),
        (pod(imagePullPolicy="IfPresent"), "spec.containers[0].imagePullPolicy", "IfNotPresent"),
        (pod(resources={"limits": {"memory": "16Gb"}}), "spec.containers[0].resources.limits.memory", None),
        (pod(resources={"limits": {"memory": True}}), "spec.containers[0].resources.limits.memory", None),
        ({"spec": {**pod()["spec"], "tolerations": [{"effect": "NO_SCHEDULE"}]}}, "spec.tolerations[0].effect", None),
        ({"spec": {"containers": {}}}, "spec.containers", None),
        ({"spec": {}}, "spec.containers", None),
        ({**pod(), "metadata": {"labels": {"a": 1}}}, "metadata.labels.a", None),
        ({**pod(), "metadata": {"lables": {}}}, "metadata.lables", "labels"),
    ],
)
def test_a_field_the_api_server_would_refuse_is_a_fault_at_its_path(inputs, path, nearest):
    found = kubernetes("v1", "Pod", inputs)
    assert list(found) == [path]
    assert found[path].nearest == nearest


@pytest.mark.parametrize("quantity", ["1", 1, 0.5, "500m", "16Gi", "1e3", "0.5", "100k", "2Ti"])
def test_quantities_in_every_form_kubernetes_reads_pass(quantity):
    assert kubernetes("v1", "Pod", pod(resources={"limits": {"cpu": quantity}})) == {}


def test_ports_may_be_numbers_or_names_where_kubernetes_takes_both():
    assert kubernetes("v1", "Service", {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}) == {}
    assert kubernetes("v1", "Service", {"spec": {"ports": [{"port": 80, "targetPort": 8000}]}}) == {}
    assert list(kubernetes("v1", "Service", {"spec": {"ports": [{"port": 80, "targetPort": []}]}})) == [
        "spec.ports[0].targetPort"
    ]


def test_secret_data_must_be_base64():
    assert list(kubernetes("v1", "Secret", {"data": {"a": "%"}})) == ["data.a"]
    assert kubernetes("v1", "Secret", {"data": {"a": "YQ=="}, "stringData": {"b": "%"}}) == {}


def test_a_field_is_judged_by_the_version_of_the_cluster():
    """`spec.resources` of a pod came with 1.32: on an older cluster the API server drops or refuses it."""
    inputs = {"spec": {**pod()["spec"], "resources": {"limits": {"cpu": "1"}}}}
    assert list(kubernetes("v1", "Pod", inputs, version="1.30")) == ["spec.resources"]
    assert kubernetes("v1", "Pod", inputs, version="1.34") == {}


def test_the_schemas_are_of_the_newest_version_that_is_not_newer_than_the_cluster():
    assert kubernetes_schema.supported("1.34").startswith("1.34.")
    assert kubernetes_schema.supported("1.99") == kubernetes_schema.supported(None)
    assert kubernetes_schema.supported("1.9").startswith("1.25.")


def test_a_mistake_inside_a_secret_hides_what_was_given():
    stand_in = StandIn("docker")
    faults = Faults()
    stand_in.check_resource("", "docker:index/container:Container", {"image": "i", "shmSize": Secret("marker")}, faults)
    assert [(fault.path, fault.given) for fault in faults] == [("shmSize", "[secret]")]


def test_a_fault_reads_in_one_line_and_long_lists_are_shortened():
    fault = Fault(path="a", message="no such property", given="b", nearest="c", allowed=("c", "d"))
    assert fault.text == "no such property; given: b; nearest: c; allowed: c, d"
    assert shortened(tuple(f"n{index}" for index in range(14))).endswith("n11 and 2 more")


def test_the_nearest_name_is_only_offered_when_it_is_near():
    assert closest("instanceTyp", ["instanceType", "ami"]) == "instanceType"
    assert closest("zzz", ["instanceType", "ami"]) is None
