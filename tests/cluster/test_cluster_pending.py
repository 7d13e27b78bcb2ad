"""Mistakes the plan finds are mistakes to the scheduler too: what a check calls hopeless stays Pending for ever."""

from collections.abc import Callable

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
import pytest
from api_server import ApiServer, Object, condition_of

from slipway import checks
from slipway.findings import Severity
from slipway.problems import SlipwayError

pytestmark = pytest.mark.cluster

NAMESPACE = "mistakes"
Pod = Callable[[pulumi.ResourceOptions], None]
GPU = "nvidia.com/gpu"


def cluster_with(pod: Pod, taint: str) -> Callable[[], None]:
    """A program: a cluster without storage classes, one g6.xlarge behind a taint, and what `pod` adds."""

    def program() -> None:
        subnet = aws.ec2.Subnet("subnet", vpc_id="vpc-0", cidr_block="10.0.0.0/24", availability_zone="us-east-1a")
        cluster = aws.eks.Cluster(
            "cluster", role_arn="arn:aws:iam::123456789012:role/c", vpc_config={"subnet_ids": [subnet.id]}
        )
        template = aws.ec2.LaunchTemplate(
            "template",
            block_device_mappings=[{"device_name": "/dev/xvda", "ebs": {"volume_size": 100, "encrypted": "true"}}],
            metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1},
        )
        nodes = aws.eks.NodeGroup(
            "gpu",
            cluster_name=cluster.name,
            node_role_arn="arn:aws:iam::123456789012:role/n",
            subnet_ids=[subnet.id],
            instance_types=["g6.xlarge"],
            launch_template={"id": template.id, "version": "1"},
            scaling_config={"desired_size": 1, "min_size": 1, "max_size": 1},
            taints=[{"key": taint, "value": "true", "effect": "NO_SCHEDULE"}],
        )
        after = pulumi.ResourceOptions(depends_on=[nodes])
        space = k8s.core.v1.Namespace("space", metadata={"name": NAMESPACE}, opts=after)
        pod(pulumi.ResourceOptions(depends_on=[space]))

    return program


def server(*, tolerates: str = GPU, claim: bool = False, **requests: str) -> Pod:
    """A Deployment of one GPU pod that asks for `requests`."""

    def add(opts: pulumi.ResourceOptions) -> None:
        volumes = []
        if claim:
            k8s.core.v1.PersistentVolumeClaim(
                "weights",
                metadata={
                    "name": "weights",
                    "namespace": NAMESPACE,
                    "annotations": {"pulumi.com/skipAwait": "true"},
                },
                spec={"access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
                opts=opts,
            )
            volumes = [{"name": "weights", "persistent_volume_claim": {"claim_name": "weights"}}]
        tolerance = {"key": tolerates, "operator": "Exists", "effect": "NoSchedule"}
        container = {
            "name": "server",
            "image": "vllm/vllm-openai:v0.33.0",
            "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": requests},
        }
        k8s.apps.v1.Deployment(
            "server",
            metadata={"name": "server", "namespace": NAMESPACE},
            spec={
                "selector": {"match_labels": {"app": "server"}},
                "template": {
                    "metadata": {"labels": {"app": "server"}},
                    "spec": {"containers": [container], "tolerations": [tolerance], "volumes": volumes},
                },
            },
            opts=opts,
        )

    return add


def unscheduled(api: ApiServer) -> list[str]:
    """Why the scheduler leaves pods waiting, in its own words."""
    pods: list[Object] = api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")
    assert {pod["status"]["phase"] for pod in pods} == {"Pending"}
    return [condition_of(pod, "PodScheduled")["message"] for pod in pods]


@pytest.mark.parametrize(
    ("program", "found", "said"),
    [
        pytest.param(
            cluster_with(server(memory="16Gi"), GPU),
            [("SW015", "server", "asks for 16384 MiB of memory, the largest node it may run on offers 14162")],
            "1 Insufficient memory",
            id="more than the node offers to pods",
        ),
        pytest.param(
            cluster_with(server(claim=True), GPU),
            [("SW013", "weights", "its claim names no storage class, and the stack makes none the default")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="no default storage class",
        ),
        pytest.param(
            # Not `nvidia.com/gpu`: EKS's API server lets pods that ask for a resource past the taint of its name.
            cluster_with(server(tolerates=GPU), "dedicated"),
            [
                (
                    "SW001",
                    "server",
                    "asks for a GPU but tolerates no GPU node group's taints: dedicated=true:NoSchedule",
                )
            ],
            "untolerated taint",
            id="a taint without a toleration",
        ),
    ],
)
def test_what_the_plan_calls_hopeless_the_scheduler_leaves_pending(session, api, program, found, said):
    stack = session(program)
    findings = checks.run(stack.preview())
    errors = [(one.id, one.subject, one.message) for one in findings if one.severity is Severity.ERROR]
    assert [one for one in errors if one[0] in ("SW001", "SW013", "SW015")] == found
    with pytest.raises(SlipwayError):
        stack.up()
    assert "Deployment mistakes/server: after 3 s: 0 of 1 replicas are available" in "".join(stack.transcript)
    assert [message for message in unscheduled(api) if said in message] != []


def test_nothing_is_found_and_nothing_waits_when_the_pod_fits(session, api):
    stack = session(cluster_with(server(memory="13Gi"), GPU))
    assert [one.id for one in checks.run(stack.preview()) if one.id in ("SW001", "SW013", "SW015")] == []
    stack.up()
    pods = api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")
    assert [pod["status"]["phase"] for pod in pods] == ["Running"]
