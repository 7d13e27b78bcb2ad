"""Whole stacks on the cluster target: rules that hold for every resource of every one of them."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from recording import Recorded, Recording, record

from components import targets
from components.gpustack import values
from slipway import platforms
from slipway.planning import plan
from slipway.settings import read_stack

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
SHIPPED = ("prod", "fleet")
STACKS = (*SHIPPED, *(f"examples/{name}-cluster.yaml" for name in ("gpustack", "localai", "ollama")))
STACKS = (*STACKS, "examples/vllm-two-models.yaml", "examples/vllm-adopted-vpc.yaml")
MARKER = "hf_MARKER"


@cache
def recorded(reference: str) -> Recording:
    settings = read_stack(reference, PROJECT).settings
    secrets = frozenset({"hfToken"}) if reference == "prod" else frozenset()
    found = plan(settings.model_copy(update={"secrets": secrets}))
    return record(lambda: targets.deploy(found, platforms.workloads(found), dict.fromkeys(secrets, MARKER)))


EVERY = pytest.mark.parametrize("stack", STACKS)


def children(recording: Recording) -> Iterator[tuple[Recorded, Recorded]]:
    """Every child with its component."""
    components = {resource.name: resource for resource in recording.resources if not resource.custom}
    for resource in recording.resources:
        parent = resource.parent.rpartition("::")[2]
        if parent in components and components[parent] is not resource:
            yield resource, components[parent]


@EVERY
def test_every_child_has_a_component_for_a_parent_and_its_name_in_front(stack: str):
    recording = recorded(stack)
    paired = list(children(recording))
    assert all(child.name.startswith(f"{parent.name}-") for child, parent in paired)
    assert {child.name for child, _ in paired} >= {found.name for found in recording.resources if found.custom}
    assert len({(found.type, found.name) for found in recording.resources}) == len(recording.resources)


@EVERY
def test_nothing_is_open_to_the_internet(stack: str):
    recording = recorded(stack)
    (cluster,) = recording.of_type("aws:eks/cluster:Cluster")
    access = cluster.inputs["vpcConfig"]
    assert access["endpointPrivateAccess"] is True
    assert access.get("endpointPublicAccess") is bool(access.get("publicAccessCidrs"))
    assert "0.0.0.0/0" not in access.get("publicAccessCidrs", [])
    assert all(not subnet.inputs["mapPublicIpOnLaunch"] for subnet in recording.of_type("aws:ec2/subnet:Subnet"))
    balancers = [
        service
        for service in recording.of_type("kubernetes:core/v1:Service")
        if service.inputs["spec"]["type"] != "ClusterIP"
    ]
    assert {service.name for service in balancers} <= {"gateway-balancer"}
    for service in balancers:
        annotations = service.inputs["metadata"]["annotations"]
        assert annotations["service.beta.kubernetes.io/aws-load-balancer-internal"] == "true"
        assert "0.0.0.0/0" not in service.inputs["spec"]["loadBalancerSourceRanges"]
    assert not any("securityGroupRule" in found.type or "IngressRule" in found.type for found in recording.resources)
    (firewall,) = recording.of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup") or [None]
    assert firewall is None or not {"ingress", "egress"} & set(firewall.inputs)


@EVERY
def test_every_taggable_resource_carries_the_stacks_tags(stack: str):
    untagged = {
        found.name
        for found in recorded(stack).resources
        if found.custom and found.type.startswith("aws:") and "slipway:stack" not in found.inputs.get("tags", {})
    }
    without_tags = ("RouteTableAssociation", "RolePolicyAttachment", "route:Route", "AccessPolicyAssociation")
    without_tags = (*without_tags, "autoscaling/tag:Tag", "rolePolicy:RolePolicy", "queuePolicy:QueuePolicy")
    without_tags = (*without_tags, "mountTarget:MountTarget", "backupPolicy:BackupPolicy")
    assert {name for name in untagged if not recorded(stack).named(name).type.endswith(without_tags)} == set()


@EVERY
def test_disks_are_encrypted_and_metadata_is_guarded_on_every_node(stack: str):
    templates = recorded(stack).of_type("aws:ec2/launchTemplate:LaunchTemplate")
    assert len(templates) == len(recorded(stack).of_type("aws:eks/nodeGroup:NodeGroup"))
    for template in templates:
        (device,) = template.inputs["blockDeviceMappings"]
        assert (device["deviceName"], device["ebs"]["encrypted"], device["ebs"]["volumeType"]) == (
            "/dev/xvda",
            "true",
            "gp3",
        )
        options = template.inputs["metadataOptions"]
        assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)
        # EKS refuses these in a node group's template, or stops adding its own security group.
        assert not {"iamInstanceProfile", "imageId", "instanceType", "networkInterfaces", "vpcSecurityGroupIds"} & set(
            template.inputs
        )


@EVERY
def test_addons_that_nodes_need_come_before_them_and_pods_after(stack: str):
    recording = recorded(stack)
    before = {"cluster-vpc-cni", "cluster-kube-proxy", "cluster-eks-pod-identity-agent"}
    assert recording.named("cluster-system").depends_on >= before
    for addon in ("coredns", "aws-ebs-csi-driver", "metrics-server", "eks-node-monitoring-agent"):
        assert "cluster-system" in recording.named(f"cluster-{addon}").depends_on


@EVERY
def test_network_policies_are_enforced_and_nodes_have_no_networking_rights(stack: str):
    recording = recorded(stack)
    assert json.loads(recording.named("cluster-vpc-cni").inputs["configurationValues"]) == {
        "enableNetworkPolicy": "true"
    }
    attached = recording.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    cni = [found for found in attached if found.inputs["policyArn"].endswith("AmazonEKS_CNI_Policy")]
    assert [found.name for found in cni] == ["cluster-vpc-cni-role-AmazonEKS_CNI_Policy"]
    assert not any("FullAccess" in found.inputs["policyArn"] for found in attached)


@EVERY
def test_storage_is_encrypted_by_default(stack: str):
    classes = recorded(stack).of_type("kubernetes:storage.k8s.io/v1:StorageClass")
    (found,) = [one for one in classes if one.inputs["provisioner"] == "ebs.csi.aws.com"]
    assert all(files.inputs["encrypted"] is True for files in recorded(stack).of_type("aws:efs/fileSystem:FileSystem"))
    assert found.inputs["parameters"]["encrypted"] == "true"
    assert found.inputs["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert found.inputs["volumeBindingMode"] == "WaitForFirstConsumer"


@EVERY
def test_a_pod_asks_for_no_more_than_the_smallest_node_offers(stack: str):
    found = plan(read_stack(stack, PROJECT).settings)
    smallest_mib = min(kind.allocatable_memory_mib or 0 for kind in found.instance_types)
    smallest_milli = min(kind.allocatable_cpu_milli or 0 for kind in found.instance_types)
    for deployment in recorded(stack).of_type("kubernetes:apps/v1:Deployment"):
        containers = deployment.inputs["spec"]["template"]["spec"]["containers"]
        requests = [container["resources"]["requests"] for container in containers]
        assert sum(int(request["memory"].removesuffix("Mi")) for request in requests) <= smallest_mib
        assert sum(int(request["cpu"].removesuffix("m")) for request in requests) <= smallest_milli
        gpus = sum(int(request.get("nvidia.com/gpu", 0)) for request in requests)
        assert gpus <= min(kind.gpu_count for kind in found.instance_types)


@EVERY
def test_a_taint_is_tolerated_by_what_runs_on_its_nodes(stack: str):
    recording = recorded(stack)
    tainted = [taint for group in serving_groups(recording) for taint in group.inputs.get("taints", [])]
    for deployment in recording.of_type("kubernetes:apps/v1:Deployment"):
        if deployment.name == "gateway-server":
            continue  # runs on the system nodes, which have no taint
        tolerated = {item["key"] for item in deployment.inputs["spec"]["template"]["spec"].get("tolerations", [])}
        assert {taint["key"] for taint in tainted} <= tolerated


def serving_groups(recording: Recording) -> list[Recorded]:
    return [found for found in recording.of_type("aws:eks/nodeGroup:NodeGroup") if found.name != "cluster-system"]


def test_gpustack_gets_untainted_nodes_and_no_device_plugin():
    recording = recorded("fleet")
    assert [group.inputs.get("taints") for group in serving_groups(recording)] == [None]
    charts = {found.inputs["chart"] for found in recording.of_type("kubernetes:helm.sh/v3:Release")}
    assert charts == {"oci://registry-1.docker.io/gpustack/gpustack-chart", "kube-prometheus-stack"}
    assert recording.of_type("kubernetes:apps/v1:Deployment") == []


def test_gpustacks_secrets_reach_the_chart_by_name_only():
    recording = recorded("fleet")
    release = recording.named("gpustack-chart")
    assert release.secrets == frozenset()
    assert release.inputs["values"]["registrationTokenSecretName"] == "gpustack-registration-token-autonamed"
    secrets = {found.name: found for found in recording.of_type("kubernetes:core/v1:Secret")}
    assert set(secrets) == {"gpustack-registration-token", "gpustack-config", "monitoring-grafana-admin"}
    assert json.loads(secrets["gpustack-config"].inputs["stringData"]["config.yaml"]) == {
        "bootstrap_password": "generated-secrets-api-key"
    }
    # A worker reads the whole of the token's Secret.
    assert set(secrets["gpustack-registration-token"].inputs["stringData"]) == {"GPUSTACK_TOKEN"}


def test_gpustacks_gateway_is_private():
    """The sub-chart's default is a load balancer open to the internet; a policy for one breaks a ClusterIP."""
    found = values(version="2.3.0", token_secret="t", config_secret="c")
    assert found["higress-core"]["gateway"]["service"] == {"type": "ClusterIP", "externalTrafficPolicy": ""}
    assert found["image"] == {"tag": "v2.3.0"}
    assert found["worker"]["nodeSelector"] == {"slipway/pool": "serving"}


def test_prod_has_an_on_demand_base_and_spot_above_it():
    groups = {found.name: found.inputs for found in serving_groups(recorded("prod"))}
    assert {name: (found["capacityType"], found["scalingConfig"]) for name, found in groups.items()} == {
        "serving-on-demand-nodes": ("ON_DEMAND", {"minSize": 1, "maxSize": 1, "desiredSize": 1}),
        "serving-spot-nodes": ("SPOT", {"minSize": 0, "maxSize": 3, "desiredSize": 0}),
        "serving-fallback-nodes": ("ON_DEMAND", {"minSize": 0, "maxSize": 3, "desiredSize": 0}),
    }
    for found in groups.values():
        assert found["instanceTypes"] == ["g6.xlarge", "g6.2xlarge"]
        assert found["amiType"] == "AL2023_x86_64_NVIDIA"
        assert found["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
        assert len(found["subnetIds"]) == 2


@EVERY
def test_only_a_number_of_nodes_that_an_autoscaler_decides_is_left_alone(stack: str):
    """Otherwise `min` could never be raised, or every `up` would undo what the autoscaler did."""
    recording = recorded(stack)
    autoscaled = bool([found for found in recording.resources if found.type == "slipway:index:ClusterAutoscaler"])
    for group in serving_groups(recording):
        scaling = group.inputs["scalingConfig"]
        decided = autoscaled and scaling["maxSize"] > scaling["minSize"]
        assert group.ignore_changes == (("scalingConfig.desiredSize",) if decided else ())


def test_nodes_stay_in_the_zone_of_a_volume_that_stays():
    """A node that comes back in another zone leaves the pod Pending: its volume cannot follow."""
    recording = recorded("examples/ollama-cluster.yaml")
    assert recording.of_type("kubernetes:core/v1:PersistentVolumeClaim")
    assert [len(group.inputs["subnetIds"]) for group in serving_groups(recording)] == [1]


def test_a_protected_stack_protects_its_cluster():
    (cluster,) = recorded("prod").of_type("aws:eks/cluster:Cluster")
    assert (cluster.protect, cluster.inputs["deletionProtection"]) == (True, True)


def test_the_namespace_enforces_what_its_servers_can_keep():
    for stack, level in (("prod", "restricted"), ("examples/ollama-cluster.yaml", "baseline")):
        labels = recorded(stack).named("serving-namespace").inputs["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == level


def test_the_namespace_lets_nothing_in_and_only_names_and_https_out():
    recording = recorded("prod")
    assert recording.named("serving-deny-all").inputs["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    names, https = recording.named("serving-way-out").inputs["spec"]["egress"]
    assert [port["port"] for port in names["ports"]] == [53, 53]
    assert https["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert "169.254.0.0/16" in https["to"][0]["ipBlock"]["except"]


def test_no_secret_stands_anywhere_but_in_secret_inputs():
    recording = recorded("prod")
    holders = {
        (found.name, path) for found in recording.resources for path, text in texts(found.inputs, "") if MARKER in text
    }
    assert holders == {("serving-secrets", "stringData.hfToken")}
    assert recording.named("serving-secrets").secrets == {"stringData"}
    assert not any(MARKER in str(outputs) for outputs in recording.outputs.values())


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def test_each_model_of_a_stack_has_a_server_of_its_own():
    names = {found.name for found in recorded("examples/vllm-two-models.yaml").of_type("kubernetes:apps/v1:Deployment")}
    servers = {"serving-qwen3-8b-server", "serving-qwen2-5-coder-32b-instruct-server"}
    assert names == {*servers, "gateway-server"}


def test_an_adopted_vpc_is_left_as_it_is():
    recording = recorded("examples/vllm-adopted-vpc.yaml")
    made = {found.type for found in recording.resources if found.type.startswith("aws:ec2/")}
    assert made == {"aws:ec2/launchTemplate:LaunchTemplate"}
    (cluster,) = recording.of_type("aws:eks/cluster:Cluster")
    assert cluster.inputs["vpcConfig"]["subnetIds"] == ["subnet-0a1b2c3d4e5f60718", "subnet-1b2c3d4e5f6071829"]


def test_the_provider_stays_the_same_whatever_changes_in_the_kubeconfig():
    """Otherwise every object in the cluster would be replaced (pulumi-kubernetes 4019)."""
    provider = recorded("prod").only("pulumi:providers:kubernetes")
    assert provider.inputs["clusterIdentifier"] == "arn:aws:test:::cluster-cluster"
    assert "token" not in json.loads(provider.inputs["kubeconfig"])["users"][0]["user"]


def test_the_gateways_metrics_are_read_from_its_own_pods_and_port():
    monitors = recorded("prod").of_type("kubernetes:monitoring.coreos.com/v1:PodMonitor")
    (found,) = [monitor.inputs for monitor in monitors if monitor.inputs["metadata"]["namespace"] == "gateway"]
    assert found["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": "gateway"}}
    (endpoint,) = found["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics/")
