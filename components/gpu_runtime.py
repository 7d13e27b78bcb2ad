"""What makes GPUs schedulable and visible: NVIDIA's device plugin and exporter, in a namespace for privileged pods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.releases import pinned_chart, pinned_image, release
from components.scheduling import Taint, serving_selector

NAMESPACE = "nvidia"
EXPORTER_NAME = "dcgm-exporter"
EXPORTER_PODS: Mapping[str, str] = {"app.kubernetes.io/name": EXPORTER_NAME}
"""Labels of the exporter's pods, as its chart sets them."""
TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRuntimeArgs:
    """Where the GPUs are."""

    taint: Taint | None
    """The GPU nodes' taint, which device plugin and exporter tolerate."""
    exporter: bool = True
    """Whether GPUs report metrics."""


class GpuRuntime(pulumi.ComponentResource):
    """Device plugin and, where wanted, DCGM exporter on the serving nodes.

    Driver and container runtime come with EKS's NVIDIA image.
    """

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
        inside = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[namespace]))
        release(
            f"{name}-device-plugin",
            chart=pinned_chart("nvidia-device-plugin"),
            namespace=NAMESPACE,
            values=device_plugin_values(args.taint),
            timeout_seconds=TIMEOUT_SECONDS,
            opts=inside,
        )
        if args.exporter:
            release(
                f"{name}-exporter",
                chart=pinned_chart(EXPORTER_NAME),
                namespace=NAMESPACE,
                values=exporter_values(args.taint),
                timeout_seconds=TIMEOUT_SECONDS,
                opts=inside,
            )
        self.register_outputs({"namespace": NAMESPACE})


def device_plugin_values(taint: Taint | None) -> Mapping[str, Any]:
    """Values of NVIDIA's chart: only where GPUs are, and let on their nodes."""
    return {
        "nodeSelector": dict(serving_selector()),
        "tolerations": [taint.toleration_values()] if taint else [],
        "priorityClassName": "system-node-critical",
    }


def exporter_values(taint: Taint | None) -> Mapping[str, Any]:
    """Values of DCGM exporter's chart: only where GPUs are, let on their nodes, at the pinned image."""
    repository, _, tag = pinned_image(EXPORTER_NAME).rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag},
        "nodeSelector": dict(serving_selector()),
        "tolerations": [taint.toleration_values()] if taint else [],
        # Our PodMonitor finds the pods; the chart's own object would need the operator's types to be there first.
        "serviceMonitor": {"enabled": False},
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
    }
