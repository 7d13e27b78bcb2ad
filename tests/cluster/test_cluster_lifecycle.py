"""Shipped stacks from `up` to `destroy` on a real control plane: placed as planned, stable, gone without a trace."""

from collections import Counter

import pytest

pytestmark = pytest.mark.cluster

STACKS = (
    "prod",
    "examples/vllm-two-models.yaml",
    "examples/ollama-cluster.yaml",
    "examples/localai-cluster.yaml",
)


@pytest.mark.parametrize("reference", STACKS)
def test_a_stack_comes_up_as_planned_stays_as_it_is_and_goes_without_a_trace(cluster_stack, figures, reference):
    stack = cluster_stack(reference)
    applied = stack.up()
    assert {resource.change for resource in applied.resources} <= {"create", "read"}

    pods = stack.pods()
    phases = Counter(pod["status"]["phase"] for pod in pods)
    assert phases == {"Running": len(pods)}
    assert len(pods) >= 1
    # Models are on the groups meant for them; where they are drawn from both markets, one is on the base.
    meant = {group.name for name, group in stack.eks.groups.items() if name.startswith("serving-")}
    servers = [stack.node_labels(pod) for pod in pods if pod["metadata"]["namespace"] == "serving"]
    assert {labels["eks.amazonaws.com/nodegroup"] for labels in servers} <= meant
    assert len(servers) >= 1
    assert "ON_DEMAND" in {labels["eks.amazonaws.com/capacityType"] for labels in servers}

    again = stack.session.preview()
    assert [(found.name, found.change) for found in again.resources if found.change not in ("same", "read")] == []

    stack.session.destroy()
    assert stack.left() == []
    slowest = max(stack.kubernetes.waited.values())
    figures(
        f"{stack.file.name}: {len(applied.resources)} resources, {len(pods)} pods, slowest ready in {slowest:.1f} s"
    )
