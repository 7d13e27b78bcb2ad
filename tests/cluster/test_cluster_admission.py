"""What the API server itself says to a stack's objects: Pod Security, custom resources, unknown fields."""

import copy
from collections.abc import Iterator

import pytest
from api_server import ApiError, Object
from stacks_on_cluster import ClusterStack

from slipway import catalog
from slipway.catalog.types import Platform
from slipway.engine import Graph
from slipway.engine.pods import pod_templates

pytestmark = pytest.mark.cluster

ENFORCE = "pod-security.kubernetes.io/enforce"
PRIVILEGED = "privileged"
# Objects no stack has today are tried in their smallest form, so that the definitions themselves are known to hold.
MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PodMonitor",
    "metadata": {"name": "server", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"app": "server"}},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics"}],
    },
}
RULE = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PrometheusRule",
    "metadata": {"name": "server", "namespace": "default"},
    "spec": {
        "groups": [
            {
                "name": "server",
                "rules": [
                    {"alert": "Queue", "expr": "vllm:num_requests_waiting > 10", "for": "2m", "labels": {"a": "b"}}
                ],
            }
        ]
    },
}
NODE_CLASS = {
    "apiVersion": "karpenter.k8s.aws/v1",
    "kind": "EC2NodeClass",
    "metadata": {"name": "gpu"},
    "spec": {
        "role": "nodes",
        "amiSelectorTerms": [{"alias": "al2023@v20260714"}],
        "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": "prod"}}],
        "securityGroupSelectorTerms": [{"tags": {"karpenter.sh/discovery": "prod"}}],
        "instanceStorePolicy": "RAID0",
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [
            {"deviceName": "/dev/xvda", "ebs": {"volumeType": "gp3", "volumeSize": "100Gi", "encrypted": True}}
        ],
    },
}
POOL = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodePool",
    "metadata": {"name": "gpu"},
    "spec": {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                "requirements": [
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
                    {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge"]},
                ],
                "taints": [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}],
            }
        },
        "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "10m"},
        "limits": {"nvidia.com/gpu": 4},
    },
}
CUSTOM = [pytest.param(given, id=given["kind"]) for given in (MONITOR, RULE, NODE_CLASS, POOL)]


@pytest.mark.parametrize("given", CUSTOM)
def test_custom_resources_are_accepted_and_unknown_fields_are_refused(api, given: Object):
    accepted = api.create(given, dryRun="All")
    assert accepted["kind"] == given["kind"]
    mistaken = copy.deepcopy(given)
    mistaken["spec"]["selektor"] = {}
    with pytest.raises(ApiError, match=r'unknown field "spec\.selektor"') as refused:
        api.create(mistaken, dryRun="All")
    assert refused.value.status == 400


def test_the_api_servers_own_validation_reaches_into_custom_resources(api):
    mistaken = copy.deepcopy(POOL)
    mistaken["spec"]["disruption"]["consolidationPolicy"] = "WhenBored"
    with pytest.raises(ApiError, match='Unsupported value: "WhenBored"'):
        api.create(mistaken, dryRun="All")


@pytest.fixture(scope="module")
def prod(api, engine) -> Iterator[tuple[ClusterStack, Graph]]:
    """`prod`, applied; tests only look at it."""
    with ClusterStack(api, engine, "prod") as stack:
        yield stack, stack.up()


def test_serving_pods_pass_the_restricted_level_and_privileged_ones_stand_apart(prod):
    stack, graph = prod
    levels = {
        space["metadata"]["name"]: space["metadata"]["labels"].get(ENFORCE)
        for space in stack.api.items("/api/v1/namespaces")
    }
    templates = [(pod.namespace, pod) for pod in pod_templates(graph)]
    serving = [pod for namespace, pod in templates if namespace == "serving"]
    assert levels["serving"] == "restricted"
    assert len(serving) >= 1
    for pod in serving:
        given = pod_of(stack.api.find(stack.kubernetes.applied[pod.resource.urn]))
        assert stack.api.create(given, dryRun="All")["kind"] == "Pod"
        given["spec"]["containers"][0]["securityContext"]["privileged"] = True
        given["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(ApiError, match='violates PodSecurity "restricted') as refused:
            stack.api.create(given, dryRun="All")
        assert refused.value.status == 403
    # What needs more power looks after nodes, and stands in namespaces where nothing else does.
    privileged = {name for name, level in levels.items() if level == PRIVILEGED}
    assert {pod.kind for namespace, pod in templates if namespace in privileged} <= {"DaemonSet"}
    assert privileged.isdisjoint({"serving", "default"})


def pod_of(deployment: Object) -> Object:
    """The pod a Deployment's template makes, as its ReplicaSet would create it."""
    template = copy.deepcopy(deployment["spec"]["template"])
    metadata = {
        "name": "tried",
        "namespace": deployment["metadata"]["namespace"],
        "labels": template["metadata"]["labels"],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_every_flag_in_the_applied_manifest_is_one_the_pinned_server_knows(prod):
    stack, _ = prod
    known = catalog.release(Platform.VLLM)
    servers = [pod for pod in stack.pods("serving") if pod["spec"]["containers"][0]["image"] == known.images["cuda"]]
    assert len(servers) >= 1
    for pod in servers:
        model, *options = pod["spec"]["containers"][0]["args"]
        flags = [option.partition("=")[0] for option in options if option.startswith("-")]
        assert not model.startswith("-")
        assert len(flags) >= 5
        assert [flag for flag in flags if flag not in known.flags] == []
