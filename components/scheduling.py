"""Which pods go to which nodes: labels, and a taint with its toleration from one object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from slipway import labels

POOL_LABEL = labels.POOL
SERVING_POOL = "serving"
SYSTEM_POOL = "system"
GPU_PRESENT = "nvidia.com/gpu.present"
GPU_RESOURCE = "nvidia.com/gpu"
# From this version on, EKS's node program sets GPU_PRESENT itself (amazon-eks-ami, PR 2607).
LABELS_GPUS_ITSELF = (1, 35)

# How the EKS API spells what Kubernetes calls NoSchedule and so on.
_EKS_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """Keeps pods off a node unless they tolerate it. `effect` is in Kubernetes' spelling."""

    key: str
    value: str
    effect: str

    def on_node_group(self) -> aws.eks.NodeGroupTaintArgs:
        """The taint as EKS takes it."""
        return aws.eks.NodeGroupTaintArgs(key=self.key, value=self.value, effect=_EKS_EFFECTS[self.effect])

    def toleration(self) -> kubernetes.core.v1.TolerationArgs:
        """What a pod needs to be let on the node, whatever the taint's value."""
        return kubernetes.core.v1.TolerationArgs(**self.toleration_values())

    def toleration_values(self) -> dict[str, Any]:
        """The same for a chart's values."""
        return {"key": self.key, "operator": "Exists", "effect": self.effect}


GPU_TAINT = Taint(key=GPU_RESOURCE, value="true", effect="NoSchedule")


def serving_labels(kubernetes_version: str, *, gpu: bool) -> dict[str, str]:
    """Labels of the nodes that serve models."""
    labels = {POOL_LABEL: SERVING_POOL}
    major, minor = (int(part) for part in kubernetes_version.split("."))
    if gpu and (major, minor) < LABELS_GPUS_ITSELF:
        labels[GPU_PRESENT] = "true"
    return labels


def serving_selector() -> Mapping[str, str]:
    """Where the pods of model servers may go."""
    return {POOL_LABEL: SERVING_POOL}
