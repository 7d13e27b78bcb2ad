"""What happens when capacity goes: the on-demand base goes on serving, and drains respect the disruption budget."""

import time

import pytest
from api_server import ApiServer, Object, condition_of, wait_for
from stacks_on_cluster import ClusterStack

pytestmark = pytest.mark.cluster

NAMESPACE = "serving"
REPLICAS = 4
# The garbage collector looks for pods of vanished nodes every 20 s, and believes what it sees after 40 s.
ORPHANS_GONE_SECONDS = 90


@pytest.fixture
def full(cluster_stack) -> ClusterStack:
    """`prod` at full load: one on-demand node, three spot nodes, a replica on each."""
    stack = cluster_stack("prod")
    stack.up()
    (deployment,) = stack.api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", labelSelector=SERVERS)
    stack.eks.scale(spot_group(stack), REPLICAS - 1)
    path = stack.api.path(deployment_of(deployment)) + "/scale"
    stack.api.merge(path, {"spec": {"replicas": REPLICAS}})
    wait_for("all replicas are ready", lambda: len(ready(stack)) == REPLICAS, 30)
    return stack


SERVERS = "app.kubernetes.io/part-of=slipway-prod"


def deployment_of(found: Object) -> Object:
    """List items carry neither apiVersion nor kind."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": found["metadata"]}


def spot_group(stack: ClusterStack):
    (group,) = [group for group in stack.eks.groups.values() if group.spot]
    return group


def ready(stack: ClusterStack) -> list[Object]:
    """Ready server pods on nodes that exist."""
    nodes = {node["metadata"]["name"] for node in stack.api.items("/api/v1/nodes")}
    pods = stack.pods(NAMESPACE)
    return [
        pod
        for pod in pods
        if pod["spec"].get("nodeName") in nodes and condition_of(pod, "Ready").get("status") == "True"
    ]


def on_demand(stack: ClusterStack, pods: list[Object]) -> list[Object]:
    return [pod for pod in pods if stack.node_labels(pod).get("eks.amazonaws.com/capacityType") == "ON_DEMAND"]


def test_without_any_spot_node_the_base_serves_and_replicas_return_with_nodes(full, figures):
    assert len({pod["spec"]["nodeName"] for pod in ready(full)}) == REPLICAS
    (base,) = on_demand(full, ready(full))
    began = time.monotonic()
    lost = full.eks.interrupt()
    assert len(lost) == REPLICAS - 1
    assert [pod["metadata"]["name"] for pod in ready(full)] == [base["metadata"]["name"]]
    figures(f"spot lost: {len(lost)} of {REPLICAS} nodes at once, base serving after {time.monotonic() - began:.2f} s")

    wait_for("pods of lost nodes are replaced", lambda: len(pending(full)) == REPLICAS - 1, ORPHANS_GONE_SECONDS)
    figures(f"spot lost: replacements wait for nodes after {time.monotonic() - began:.1f} s")
    now = full.api.find(f"/api/v1/namespaces/{NAMESPACE}/pods/{base['metadata']['name']}")
    assert [pod["metadata"]["name"] for pod in ready(full)] == [base["metadata"]["name"]], now and now["status"]

    returned = time.monotonic()
    full.eks.scale(spot_group(full), REPLICAS - 1)
    wait_for("all replicas are ready", lambda: len(ready(full)) == REPLICAS, 30)
    figures(
        f"spot back: {REPLICAS} of {REPLICAS} replicas ready {time.monotonic() - returned:.1f} s after the nodes came"
    )


def pending(stack: ClusterStack) -> list[Object]:
    return [pod for pod in stack.pods(NAMESPACE) if condition_of(pod, "PodScheduled").get("reason") == "Unschedulable"]


def test_drains_take_one_replica_at_a_time(full, figures):
    """A drain evicts; the disruption budget lets one go, and the next only when its successor is ready."""
    drained = list(spot_group(full).nodes)
    for name in drained:
        full.api.merge(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    victims = [pod for pod in ready(full) if pod["spec"]["nodeName"] in drained]
    assert [evict_at_first(full.api, pod) for pod in victims] == [True, False, False]

    counts = [len(ready(full))]
    refused = 2
    group = spot_group(full)
    for pod in victims[1:]:
        assert full.api.evict(pod) is False  # until the first one's successor is ready, however often it is asked
        full.eks.scale(group, len(group.nodes) + 1)
        while not full.api.evict(pod):
            refused += 1
            counts.append(len(ready(full)))
            time.sleep(0.02)
        counts.append(len(ready(full)))
    full.eks.scale(group, len(group.nodes) + 1)
    wait_for("all replicas are ready", lambda: len(ready(full)) == REPLICAS, 30)
    assert min(counts) == REPLICAS - 1
    assert {pod["spec"]["nodeName"] for pod in ready(full)}.isdisjoint(drained)
    figures(
        f"drain of 3 nodes: {min(counts)} to {max(counts)} of {REPLICAS} replicas ready, {refused} evictions refused"
    )


def evict_at_first(api: ApiServer, pod: Object) -> bool:
    """The first answer that is about the budget: for a moment the controller may not have counted the pods."""
    wait_for("the budget is counted", lambda: counted(api), 10)
    return api.evict(pod)


def counted(api: ApiServer) -> bool:
    budgets = api.items(f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets", labelSelector=SERVERS)
    return all(budget["status"].get("expectedPods") == REPLICAS for budget in budgets)
