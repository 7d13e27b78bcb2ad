"""Each check with the smallest graph that trips it, and the nearest one that does not."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from planned import graph, pod, resource

from slipway.checks import CHECKS, run
from slipway.engine.graph import SECRET, UNKNOWN, Graph, Resource
from slipway.findings import Severity

pytestmark = pytest.mark.unit

INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CLUSTER = "aws:eks/cluster:Cluster"
CONTAINER = "docker:index/container:Container"
SERVICE = "kubernetes:core/v1:Service"
CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
RELEASE = "kubernetes:helm.sh/v3:Release"
LB = "service.beta.kubernetes.io/aws-load-balancer-"

PINNED = {"image": "vllm/vllm-openai:v0.33.0"}
PROBES = {"readinessProbe": {}, "livenessProbe": {}}
TOKEN = "hf_" + "x" * 34  # the shape of a token, and nobody's


def tripped(identity: str, *resources: Resource) -> list[tuple[str, str]]:
    return [(found.subject, found.message) for found in run(graph(*resources)) if found.id == identity]


def gpu_nodes(effect: str = "NO_SCHEDULE", instance_type: str = "g6.xlarge", **taint: Any) -> Resource:
    taints = [{"key": "nvidia.com/gpu", "value": "true", "effect": effect, **taint}]
    return resource("aws:eks/nodeGroup:NodeGroup", "gpu", {"instanceTypes": [instance_type], "taints": taints})


def gpu_pod(*tolerations: dict[str, str], gpus: int = 1) -> Resource:
    container = {**PINNED, "resources": {"limits": {"nvidia.com/gpu": gpus}}}
    return pod("Deployment", "server", container, tolerations=list(tolerations))


def node_pool(**labels: str) -> Resource:
    requirement = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge"]}
    taint = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    template = {"metadata": {"labels": labels}, "spec": {"requirements": [requirement], "taints": [taint]}}
    return resource("kubernetes:karpenter.sh/v1:NodePool", "pool", {"spec": {"template": template}})


EXISTS = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("nodes", "server"),
    [
        pytest.param(gpu_nodes(), gpu_pod(), id="no toleration"),
        pytest.param(gpu_nodes(), gpu_pod({"key": "gpu", "operator": "Exists"}), id="another key"),
        pytest.param(gpu_nodes(), gpu_pod({"key": "nvidia.com/gpu", "value": "present"}), id="another value"),
        pytest.param(gpu_nodes("NO_EXECUTE"), gpu_pod(EXISTS), id="another effect"),
    ],
)
def test_sw001_a_gpu_pod_that_tolerates_no_gpu_node(nodes: Resource, server: Resource) -> None:
    effect = "NoExecute" if nodes.inputs["taints"][0]["effect"] == "NO_EXECUTE" else "NoSchedule"
    message = f"asks for a GPU but tolerates no GPU node group's taints: nvidia.com/gpu=true:{effect}"
    assert tripped("SW001", nodes, server) == [("server", message)]


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((gpu_nodes(), gpu_pod(EXISTS)), id="tolerated by existence"),
        pytest.param((gpu_nodes(), gpu_pod({"key": "nvidia.com/gpu", "value": "true"})), id="tolerated by value"),
        pytest.param((gpu_nodes(), gpu_pod({"operator": "Exists"})), id="everything tolerated"),
        pytest.param((gpu_nodes("PREFER_NO_SCHEDULE"), gpu_pod()), id="a preference keeps nobody away"),
        pytest.param((gpu_pod(),), id="nodes of another stack are not known"),
        pytest.param((node_pool(), gpu_pod(EXISTS)), id="a node that Karpenter makes"),
        pytest.param((gpu_nodes(), pod("Deployment", "gateway", PINNED)), id="a pod without GPUs"),
    ],
)
def test_sw001_holds_when_some_node_takes_the_pod(resources: tuple[Resource, ...]) -> None:
    assert tripped("SW001", *resources) == []


def test_sw001_a_pod_that_karpenters_nodes_would_not_take() -> None:
    message = "asks for a GPU but tolerates no GPU node group's taints: nvidia.com/gpu=true:NoSchedule"
    assert tripped("SW001", node_pool(), gpu_pod()) == [("server", message)]
    system = resource(
        "aws:eks/nodeGroup:NodeGroup", "system", {"instanceTypes": ["m7i.large"], "labels": {"pool": "system"}}
    )
    serving = pod(
        "Deployment", "server", {"resources": {"limits": {"nvidia.com/gpu": 1}}}, nodeSelector={"pool": "gpu"}
    )
    assert tripped("SW001", system, node_pool(pool="other"), serving) == [
        ("server", "its node selector matches no node group of the stack")
    ]


def test_sw001_more_gpus_than_any_node_has() -> None:
    assert tripped("SW001", gpu_nodes(), gpu_pod(EXISTS, gpus=2)) == [
        ("server", "asks for 2 GPUs, the largest node it may run on has 1")
    ]


def test_sw001_a_node_selector_that_no_node_group_of_the_stack_satisfies() -> None:
    nodes, server = gpu_nodes(), gpu_pod(EXISTS)
    labelled = resource(nodes.type, "gpu", {**nodes.inputs, "labels": {"pool": "serving"}})
    server.inputs["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "batch"}
    assert tripped("SW001", labelled, server) == [("server", "its node selector matches no node group of the stack")]
    server.inputs["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "serving", "kubernetes.io/arch": "amd64"}
    assert tripped("SW001", labelled, server) == []


def sized(memory: str, cpu: str = "1", **spec: Any) -> Resource:
    container = {**PINNED, "resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"memory": memory, "cpu": cpu}}}
    return pod("Deployment", "server", container, tolerations=[EXISTS], **spec)


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (sized("16Gi"), "asks for 16384 MiB of memory, the largest node it may run on offers 14162"),
        (sized("14163Mi"), "asks for 14163 MiB of memory, the largest node it may run on offers 14162"),
        (sized("1Gi", "4"), "asks for 4000 mCPU, the largest node it may run on offers 3920"),
        (sized("1Gi", "3921m"), "asks for 3921 mCPU, the largest node it may run on offers 3920"),
    ],
)
def test_sw015_a_pod_larger_than_what_its_node_offers_to_pods(server: Resource, message: str) -> None:
    assert tripped("SW015", gpu_nodes(), server) == [("server", message)]


def test_sw015_counts_sidecars_with_the_servers_and_other_init_containers_alone() -> None:
    nine = {"name": "more", "image": "i:1", "resources": {"requests": {"memory": "9Gi"}}}
    message = "asks for 18432 MiB of memory, the largest node it may run on offers 14162"
    sidecar = sized("9Gi", initContainers=[{**nine, "restartPolicy": "Always"}])
    assert tripped("SW015", gpu_nodes(), sidecar) == [("server", message)]
    assert tripped("SW015", gpu_nodes(), sized("9Gi", initContainers=[nine])) == []


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((gpu_nodes(), sized("14162Mi", "3920m")), id="exactly what the node offers"),
        pytest.param((gpu_nodes(instance_type="g6.2xlarge"), sized("16Gi", "4")), id="a larger node"),
        pytest.param((sized("900Gi"),), id="nodes of another stack are not known"),
        pytest.param((gpu_nodes(instance_type="x9.huge"), sized("900Gi")), id="a type the catalogue does not know"),
        pytest.param((gpu_nodes(), sized(UNKNOWN)), id="known after creation"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_sw015_holds_when_the_pod_fits_or_nothing_is_known(resources: tuple[Resource, ...]) -> None:
    assert tripped("SW015", *resources) == []


@pytest.mark.parametrize("image", ["vllm/vllm-openai", "vllm/vllm-openai:latest", "host:5000/vllm", "a:latest-gpu"])
def test_sw002_an_image_that_is_not_pinned(image: str) -> None:
    message = f"{image}, which is not pinned to a version"
    assert tripped("SW002", pod("Deployment", "server", {"image": image})) == [("server", f"runs {message}")]
    assert tripped("SW002", resource(CONTAINER, "server", {"image": image})) == [("server", f"uses {message}")]


@pytest.mark.parametrize(
    "image", ["vllm/vllm-openai:v0.33.0", "host:5000/vllm:1", "vllm/vllm-openai@sha256:00", "sha256:00", UNKNOWN]
)
def test_sw002_holds_for_a_tag_or_a_digest(image: Any) -> None:
    assert tripped("SW002", pod("Deployment", "a", {"image": image}), resource(CONTAINER, "b", {"image": image})) == []


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (
            "aws:ec2/securityGroup:SecurityGroup",
            {"ingress": [{"fromPort": 8000, "toPort": 8000, "cidrBlocks": ["CIDR"]}]},
        ),
        (
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            {"type": "ingress", "fromPort": 8000, "toPort": 8000, "cidrBlocks": ["CIDR"]},
        ),
        (
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            {"fromPort": 8000, "toPort": 8000, "cidrIpv4": "CIDR"},
        ),
    ],
)
def test_sw003_ingress_from_everywhere(token: str, inputs: dict[str, Any]) -> None:
    def opened(cidr: str) -> Resource:
        return resource(token, "door", _replaced(inputs, cidr))

    assert tripped("SW003", opened("0.0.0.0/0")) == [("door", "admits 0.0.0.0/0 to port 8000")]
    assert tripped("SW003", opened("10.0.0.0/8")) == []


def _replaced(value: Any, cidr: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, cidr) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, cidr) for item in value]
    return cidr if value == "CIDR" else value


def test_sw003_ipv6_and_every_port() -> None:
    rule = {"cidrIpv6": "::/0", "ipProtocol": "-1"}
    assert tripped("SW003", resource("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "door", rule)) == [
        ("door", "admits ::/0 to every port")
    ]


def test_sw003_egress_may_go_everywhere() -> None:
    rule = {"type": "egress", "fromPort": 443, "toPort": 443, "cidrBlocks": ["0.0.0.0/0"]}
    assert tripped("SW003", resource("aws:ec2/securityGroupRule:SecurityGroupRule", "out", rule)) == []


def disks(encrypted: Any) -> Iterator[Resource]:
    yield resource("aws:ebs/volume:Volume", "volume", {"encrypted": encrypted})
    yield resource(INSTANCE, "instance", {"rootBlockDevice": {"encrypted": encrypted}})
    yield resource(
        TEMPLATE, "template", {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": encrypted}}]}
    )
    yield resource(CLASS, "class", {"provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": encrypted}})


@pytest.mark.parametrize("encrypted", [None, False, "false"])
def test_sw004_a_disk_in_clear(encrypted: Any) -> None:
    assert tripped("SW004", *disks(encrypted)) == [
        ("volume", "the volume is not encrypted"),
        ("instance", "its root disk is not encrypted"),
        ("template", "its disk /dev/xvda is not encrypted"),
        ("class", "what this class makes is not encrypted"),
    ]


@pytest.mark.parametrize("encrypted", [True, "true", UNKNOWN])
def test_sw004_holds_for_encrypted_disks(encrypted: Any) -> None:
    assert tripped("SW004", *disks(encrypted)) == []


def test_sw004_holds_where_the_region_encrypts_by_default() -> None:
    setting = resource("aws:ebs/encryptionByDefault:EncryptionByDefault", "region", {"enabled": True})
    assert tripped("SW004", setting, *disks(None)) == []


@pytest.mark.parametrize("token", [INSTANCE, TEMPLATE])
@pytest.mark.parametrize("options", [None, {"httpTokens": "optional"}])
def test_sw005_imds_version_1(token: str, options: Any) -> None:
    assert tripped("SW005", resource(token, "machine", {"metadataOptions": options})) == [
        ("machine", "IMDSv2 is not required")
    ]


@pytest.mark.parametrize("options", [{"httpTokens": "required"}, {"httpEndpoint": "disabled"}])
def test_sw005_holds_with_tokens_or_without_the_service(options: Any) -> None:
    assert tripped("SW005", resource(TEMPLATE, "machine", {"metadataOptions": options})) == []


def test_sw006_hop_limit() -> None:
    def hops(limit: int | None) -> Resource:
        return resource(TEMPLATE, "machine", {"metadataOptions": {"httpPutResponseHopLimit": limit}})

    assert tripped("SW006", hops(2)) == [("machine", "the metadata service's hop limit is 2")]
    assert tripped("SW006", hops(1), hops(None)) == []


def env(name: str, value: Any) -> Resource:
    return pod("Deployment", "server", {**PINNED, "env": [{"name": name, "value": value}]})


@pytest.mark.parametrize(
    ("holder", "message"),
    [
        pytest.param(
            env("SETTING", TOKEN), "environment variable SETTING holds a Hugging Face token in clear", id="shape in env"
        ),
        pytest.param(
            env("VLLM_API_KEY", "letmein"),
            "environment variable VLLM_API_KEY holds a secret in clear",
            id="name",
        ),
        pytest.param(
            pod("Deployment", "server", {**PINNED, "args": ["serve", "--api-key", "letmein"]}),
            "arguments hold a secret in clear",
            id="argument after a flag",
        ),
        pytest.param(
            pod("Deployment", "server", {**PINNED, "args": ["--api-key=letmein"]}),
            "arguments hold a secret in clear",
            id="argument with a flag",
        ),
        pytest.param(
            resource(INSTANCE, "server", {"userData": f"#!/bin/sh\necho {TOKEN}\n"}),
            "user data holds a Hugging Face token in clear",
            id="user data",
        ),
        pytest.param(
            resource(TEMPLATE, "server", {"userData": base64.b64encode(b"export API_KEY=letmein\n").decode()}),
            "user data holds a secret in clear",
            id="user data in base64",
        ),
        pytest.param(
            resource(CONTAINER, "server", {"envs": ["HF_TOKEN=letmein"]}),
            "environment variable HF_TOKEN holds a secret in clear",
            id="Docker",
        ),
        pytest.param(
            resource(RELEASE, "server", {"values": {"deep": {"token": "AKIA" + "A" * 16}}}),
            "holds an AWS access key in clear",
            id="chart values",
        ),
        pytest.param(
            resource("kubernetes:core/v1:ConfigMap", "server", {"data": {"k": "-----BEGIN PRIVATE KEY-----"}}),
            "holds a private key in clear",
            id="ConfigMap",
        ),
    ],
)
def test_sw007_a_secret_in_clear(holder: Resource, message: str) -> None:
    findings = tripped("SW007", holder)
    assert findings == [("server", message)]
    assert TOKEN not in repr(findings)


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(env("HF_TOKEN", SECRET), id="a secret of the engine"),
        pytest.param(env("HF_TOKEN", UNKNOWN), id="unknown"),
        pytest.param(env("HF_TOKEN", "$(FROM_SECRET)"), id="a reference"),
        pytest.param(env("HF_TOKEN", None), id="from a Secret"),
        pytest.param(env("HF_TOKEN_PATH", "/run/secrets/hf"), id="a path"),
        pytest.param(env("MAX_TOKENS", "4096"), id="tokens that are no secret"),
        pytest.param(pod("Deployment", "server", {**PINNED, "args": ["--max-num-batched-tokens", "2048"]}), id="size"),
        pytest.param(pod("Deployment", "server", {**PINNED, "args": ["--api-key", "$(KEY)"]}), id="variable"),
        pytest.param(resource(INSTANCE, "server", {"userData": 'HF_TOKEN="$(aws secretsmanager get)"'}), id="fetched"),
        pytest.param(
            resource(INSTANCE, "server", {"userData": "SECRET_ARN=arn:aws:x\nTOKEN_FILE=/run/t"}),
            id="ARN",
        ),
    ],
)
def test_sw007_holds_for_references_and_for_what_only_sounds_secret(holder: Resource) -> None:
    assert tripped("SW007", holder) == []


@pytest.mark.parametrize("access", [{}, {"endpointPublicAccess": True}, {"publicAccessCidrs": ["0.0.0.0/0"]}])
def test_sw008_a_cluster_endpoint_for_everyone(access: dict[str, Any]) -> None:
    assert tripped("SW008", resource(CLUSTER, "cluster", {"vpcConfig": access})) == [
        ("cluster", "its public endpoint is open to 0.0.0.0/0")
    ]


@pytest.mark.parametrize(
    "access", [{"endpointPublicAccess": False}, {"publicAccessCidrs": ["192.0.2.0/24"]}, {"publicAccessCidrs": UNKNOWN}]
)
def test_sw008_holds_for_a_private_or_restricted_endpoint(access: dict[str, Any]) -> None:
    assert tripped("SW008", resource(CLUSTER, "cluster", {"vpcConfig": access})) == []


def service(annotations: dict[str, str], **spec: str) -> Resource:
    spec = {"type": "LoadBalancer", **spec}
    return resource(SERVICE, "model", {"metadata": {"annotations": annotations}, "spec": spec})


GUARDED = {f"{LB}scheme": "internet-facing", f"{LB}ssl-cert": "arn:aws:acm:1", f"{LB}ssl-ports": "443"}


@pytest.mark.parametrize(
    "found",
    [
        service({}),
        service({f"{LB}scheme": "internet-facing"}),
        service({f"{LB}scheme": "internet-facing"}, loadBalancerClass="service.k8s.aws/nlb"),
        service(GUARDED, ports=[{"port": 443}]),  # from everywhere
        service(GUARDED, ports=[{"port": 443}], loadBalancerSourceRanges=["0.0.0.0/0"]),
        service(GUARDED, ports=[{"port": 443}, {"port": 80}], loadBalancerSourceRanges=["203.0.113.0/24"]),
        service({f"{LB}scheme": "internet-facing"}, ports=[{"port": 443}], loadBalancerSourceRanges=["203.0.113.0/24"]),
    ],
)
def test_sw009_a_service_that_faces_the_internet(found: Resource) -> None:
    assert tripped("SW009", found) == [("model", "its load balancer faces the internet")]


@pytest.mark.parametrize(
    "found",
    [
        service({}, type="ClusterIP"),
        service({f"{LB}scheme": "internal"}),
        service({f"{LB}internal": "true"}),
        service(GUARDED, ports=[{"port": 443}], loadBalancerSourceRanges=["203.0.113.0/24"]),
        service({}, loadBalancerClass="service.k8s.aws/nlb"),
        service({f"{LB}type": "external"}),
    ],
)
def test_sw009_holds_for_internal_services(found: Resource) -> None:
    assert tripped("SW009", found) == []


@pytest.mark.parametrize("address", [None, "0.0.0.0", "::"])  # noqa: S104 - looked for, not listened on
def test_sw010_a_port_published_on_every_address(address: str | None) -> None:
    ports = [{"internal": 11434, "external": 11434, "ip": address}]
    assert tripped("SW010", resource(CONTAINER, "server", {"ports": ports})) == [
        ("server", "publishes port 11434 on every address")
    ]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", UNKNOWN])
def test_sw010_holds_on_loopback(address: Any) -> None:
    assert tripped("SW010", resource(CONTAINER, "server", {"ports": [{"internal": 11434, "ip": address}]})) == []


def test_sw011_privileged_containers() -> None:
    assert tripped(
        "SW011",
        pod("Deployment", "server", {**PINNED, "securityContext": {"privileged": True}}),
        resource(CONTAINER, "local", {"privileged": True}),
    ) == [("server", "container server is privileged"), ("local", "is privileged")]


def test_sw011_holds_without_privileges() -> None:
    assert tripped("SW011", pod("Deployment", "server", PINNED), resource(CONTAINER, "local")) == []


def test_sw012_a_server_nobody_watches() -> None:
    port = {"ports": [{"containerPort": 8000}]}
    assert tripped("SW012", pod("Deployment", "server", {**PINNED, **port}), resource(CONTAINER, "local")) == [
        ("server", "container server has no readinessProbe and no livenessProbe"),
        ("local", "has no health check"),
    ]


def test_sw012_holds_with_probes_without_ports_and_for_jobs() -> None:
    port = {"ports": [{"containerPort": 8000}]}
    job = {"spec": {"template": {"spec": {"containers": [{"name": "pull", **port}]}}}}
    assert (
        tripped(
            "SW012",
            pod("Deployment", "server", {**PINNED, **port, **PROBES}),
            pod("Deployment", "exporter", PINNED),
            resource("kubernetes:batch/v1:Job", "job", job),
            resource(CONTAINER, "local", {"healthcheck": {"tests": ["CMD", "true"]}}),
            resource(CONTAINER, "pull", {"mustRun": False}),
        )
        == []
    )


def storage_class(*, default: bool) -> Resource:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return resource(CLASS, "gp3", {"metadata": {"name": "gp3", "annotations": annotations}})


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        pytest.param(
            (storage_class(default=False), resource(CLAIM, "models", {"spec": {}})),
            "its claim names no storage class, and the stack makes none the default",
            id="no default",
        ),
        pytest.param(
            (resource(CLAIM, "models", {"spec": {"storageClassName": "gp3"}}),),
            "its claim names the storage class gp3, which the stack does not make",
            id="no such class",
        ),
    ],
)
def test_sw013_a_claim_nobody_will_bind(resources: tuple[Resource, ...], message: str) -> None:
    assert tripped("SW013", resource(CLUSTER, "cluster"), *resources) == [("models", message)]


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((storage_class(default=True), resource(CLAIM, "models", {"spec": {}})), id="default"),
        pytest.param(
            (storage_class(default=False), resource(CLAIM, "models", {"spec": {"storageClassName": "gp3"}})), id="named"
        ),
        pytest.param((resource(CLAIM, "models", {"spec": {"storageClassName": "", "volumeName": "w"}}),), id="by hand"),
    ],
)
def test_sw013_holds_when_the_class_is_there(resources: tuple[Resource, ...]) -> None:
    assert tripped("SW013", resource(CLUSTER, "cluster"), *resources) == []


def test_sw013_says_nothing_about_a_cluster_of_another_stack() -> None:
    assert tripped("SW013", resource(CLAIM, "models", {"spec": {}})) == []


def test_sw014_a_chart_without_a_version() -> None:
    chart = "oci://example.org/charts/gpustack"
    assert tripped("SW014", resource(RELEASE, "gpustack", {"chart": chart})) == [
        ("gpustack", f"installs chart {chart} without a version")
    ]
    pinned = resource(RELEASE, "gpustack", {"chart": chart, "version": "2.3.0"})
    assert tripped("SW014", pinned, resource(RELEASE, "own", {"chart": "./charts/own"})) == []


def test_what_is_deleted_trips_nothing() -> None:
    leaving = [
        resource(INSTANCE, "a", {"userData": TOKEN}, change="delete"),
        resource(CONTAINER, "b", {"privileged": True, "ports": [{"internal": 1}]}, change="delete"),
        resource(CLUSTER, "c", {}, change="delete"),
        resource(SERVICE, "d", {"spec": {"type": "LoadBalancer"}}, change="delete"),
        resource(RELEASE, "e", {"chart": "x"}, change="delete"),
        resource("aws:ebs/volume:Volume", "f", {}, change="delete"),
    ]
    assert run(graph(*leaving)) == ()


def test_an_empty_graph_has_no_findings() -> None:
    assert run(Graph(stack="test", resources=(), outputs={})) == ()


def test_findings_come_in_the_order_of_their_ids_with_the_checks_fix() -> None:
    findings = run(graph(resource(CONTAINER, "local", {"image": "ollama/ollama"}), resource(CLUSTER, "cluster")))
    assert [finding.id for finding in findings] == ["SW002", "SW008", "SW012"]
    assert findings[1].severity is Severity.ERROR
    assert findings[1].fix == CHECKS["SW008"].fix


def test_every_check_can_be_explained() -> None:
    for identity, check in CHECKS.items():
        assert identity == check.id
        assert check.title
        assert check.explanation.endswith(".")
        assert not check.fix.endswith(".")
        assert check.fix[0].islower()


def pool_group(name: str, *subnets: object, pool: str = "serving") -> Resource:
    inputs = {"instanceTypes": ["g6.xlarge"], "labels": {"slipway/pool": pool}, "subnetIds": list(subnets)}
    return resource("aws:eks/nodeGroup:NodeGroup", name, inputs)


def node_class(*subnets: object) -> Resource:
    spec = {"subnetSelectorTerms": [{"id": subnet} for subnet in subnets]}
    token = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
    return resource(token, "class", {"metadata": {"name": "serving"}, "spec": spec})


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((pool_group("base", UNKNOWN),), id="a node group"),
        pytest.param((pool_group("base", UNKNOWN), pool_group("spot", UNKNOWN)), id="each group"),
        pytest.param((pool_group("base", UNKNOWN), node_class(UNKNOWN)), id="Karpenter too"),
        pytest.param((pool_group("base", UNKNOWN), pool_group("system", "a", "b", pool="system")), id="others do not"),
    ],
)
def test_sw016_a_pool_whose_nodes_all_stand_in_one_zone(resources: tuple[Resource, ...]) -> None:
    assert tripped("SW016", *resources) == [("serving", "all its nodes stand in one zone")]


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((pool_group("base", UNKNOWN, UNKNOWN),), id="two zones"),
        pytest.param((pool_group("base", UNKNOWN), pool_group("spot", UNKNOWN, UNKNOWN)), id="a reserved base"),
        pytest.param((pool_group("base", UNKNOWN), node_class(UNKNOWN, UNKNOWN)), id="Karpenter in two zones"),
        pytest.param((gpu_nodes(),), id="a node group of somebody else"),
    ],
)
def test_sw016_holds_when_some_nodes_of_the_pool_stand_elsewhere(resources: tuple[Resource, ...]) -> None:
    assert tripped("SW016", *resources) == []
