"""Whether a stack outlives the loss of a zone."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from slipway import labels
from slipway.checks.registry import check
from slipway.engine.graph import Graph
from slipway.engine.reading import at, leaving, sequence, text
from slipway.findings import Severity

_NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"


@check(
    "SW016",
    Severity.INFO,
    title="All nodes of a pool stand in one zone",
    explanation="An EBS volume cannot leave its zone, so nodes whose pods keep weights on one stay with it; and some "
    "regions offer a machine in one zone only. When that zone is short of machines or fails, nothing answers.",
    fix="let replicas share the weights (slipway:storage: {cache: shared}), or run more than one replica; or take an "
    "instance type that more zones offer",
)
def pool_in_one_zone(graph: Graph) -> Iterator[tuple[str, str]]:
    """Some node group of each pool spans more than one subnet."""
    subnets: dict[str, list[Any]] = defaultdict(list)
    for group in graph.of_type("aws:eks/nodeGroup:NodeGroup"):
        pool = text(at(group.inputs, "labels", labels.POOL))
        if pool and not leaving(group):
            subnets[pool].append(at(group.inputs, "subnetIds"))
    for node_class in graph.of_type(_NODE_CLASS):
        name = text(at(node_class.inputs, "metadata", "name"))
        if name and not leaving(node_class):
            subnets[name].append(at(node_class.inputs, "spec", "subnetSelectorTerms"))
    for pool, groups in subnets.items():
        if all(len(sequence(found)) == 1 for found in groups):
            yield pool, "all its nodes stand in one zone"
