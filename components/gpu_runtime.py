"""What makes GPUs schedulable: NVIDIA's device plugin, in a namespace that allows privileged pods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.releases import pinned_chart, release
from components.scheduling import Taint, serving_selector

NAMESPACE = "nvidia"
TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRuntimeArgs:
    """Where the GPUs are."""

    taint: Taint | None
    """The GPU nodes' taint, which the device plugin tolerates."""


class GpuRuntime(pulumi.ComponentResource):
    """NVIDIA's device plugin on the serving nodes. Driver and container runtime come with EKS's NVIDIA image."""

    def __init__(self, name: str, args: GpuRuntimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:GpuRuntime", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=NAMESPACE, labels={"pod-security.kubernetes.io/enforce": "privileged"}
            ),
            opts=child,
        )
        release(
            f"{name}-device-plugin",
            chart=pinned_chart("nvidia-device-plugin"),
            namespace=NAMESPACE,
            values=device_plugin_values(args.taint),
            timeout_seconds=TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[namespace])),
        )
        self.register_outputs({"namespace": NAMESPACE})


def device_plugin_values(taint: Taint | None) -> Mapping[str, Any]:
    """Values of NVIDIA's chart: only where GPUs are, and let on their nodes."""
    return {
        "nodeSelector": dict(serving_selector()),
        "tolerations": [taint.toleration_values()] if taint else [],
        "priorityClassName": "system-node-critical",
    }
