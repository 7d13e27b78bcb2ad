"""GPUStack on Kubernetes: its own Helm chart, with values from a pure function and secrets by name only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from components.releases import release
from components.scheduling import POOL_LABEL, SERVING_POOL, SYSTEM_POOL
from components.secrets import generated
from slipway.catalog.types import EngineRelease

core = kubernetes.core.v1
meta = kubernetes.meta.v1

NAMESPACE = "gpustack-system"
RELEASE_NAME = "gpustack"
GATEWAY_SERVICE = "higress-gateway"
GATEWAY_PORT = 80
CONFIG_MOUNT = "/etc/gpustack"
CONFIG_FILE = "config.yaml"
SERVER_DISK_GIB = 100
# Server, gateway, operator, Kueue and the workers' images: two hundred objects.
TIMEOUT_SECONDS = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuStackArgs:
    """One GPUStack."""

    release: EngineRelease
    """The pinned release, with its chart."""
    admin_password: pulumi.Input[str]
    """Password of the user ``admin`` from the first start on."""
    hugging_face_token: pulumi.Input[str] | None = None
    """Token for gated models."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on our own objects."""


class GpuStack(pulumi.ComponentResource):
    """Server, gateway and a worker on every GPU node.

    It needs of its cluster: untainted GPU nodes, since its DaemonSets tolerate nothing; no NVIDIA device plugin, since
    it hands out GPUs itself; a default StorageClass for its database. Its workers are privileged: it has a namespace of
    its own.
    """

    endpoint: str
    """OpenAI-compatible base URL, inside the cluster."""

    def __init__(self, name: str, args: GpuStackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:GpuStack", name, {}, opts)
        if args.release.chart is None:
            raise ValueError(f"release: {args.release.platform} {args.release.version} has no chart")
        self._name = name
        self._labels = dict(args.labels)
        namespace = core.Namespace(
            f"{name}-namespace",
            metadata=meta.ObjectMetaArgs(
                name=NAMESPACE, labels={**self._labels, "pod-security.kubernetes.io/enforce": "privileged"}
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        token = self._secret("registration-token", {"GPUSTACK_TOKEN": generated(f"{name}-token", self._child)})
        # The server reads its password from a file: as an environment variable of the token's Secret, every worker
        # would have it too. JSON is YAML.
        config = {"bootstrap_password": args.admin_password}
        if args.hugging_face_token is not None:
            config["huggingface_token"] = args.hugging_face_token
        release(
            f"{name}-chart",
            chart=args.release.chart,
            release_name=RELEASE_NAME,
            namespace=NAMESPACE,
            values=values(
                version=args.release.version,
                token_secret=token,
                config_secret=self._secret("config", {CONFIG_FILE: pulumi.Output.json_dumps(config)}),
            ),
            timeout_seconds=TIMEOUT_SECONDS,
            opts=self._child,
        )
        self.endpoint = f"http://{GATEWAY_SERVICE}.{NAMESPACE}.svc/v1"
        self.register_outputs({"endpoint": self.endpoint})

    def _secret(self, suffix: str, data: Mapping[str, pulumi.Output[str]]) -> pulumi.Output[str]:
        secret = core.Secret(
            f"{self._name}-{suffix}",
            metadata=meta.ObjectMetaArgs(namespace=NAMESPACE, labels=self._labels),
            type="Opaque",
            immutable=True,
            string_data={key: pulumi.Output.secret(value) for key, value in data.items()},
            opts=self._child,
        )
        return secret.metadata.name


def values(*, version: str, token_secret: Any, config_secret: Any) -> dict[str, Any]:
    """Values of chart `gpustack-chart`; the two secrets are names of Kubernetes Secrets."""
    system, serving = {POOL_LABEL: SYSTEM_POOL}, {POOL_LABEL: SERVING_POOL}
    return {
        # Published charts carry the tag; naming it keeps image and chart together whatever the chart says.
        "image": {"tag": f"v{version}"},
        "registrationTokenSecretName": token_secret,
        "server": {
            "nodeSelector": system,
            "dataVolume": {"size": f"{SERVER_DISK_GIB}Gi"},
            "environmentConfig": {
                "GPUSTACK_CONFIG_FILE": f"{CONFIG_MOUNT}/{CONFIG_FILE}",
                "GPUSTACK_DISABLE_UPDATE_CHECK": "true",
                # Its Grafana lets anybody look, with a well-known password to change things.
                "GPUSTACK_DISABLE_BUILTIN_OBSERVABILITY": "true",
            },
            "extraVolumes": [{"name": "slipway-config", "secret": {"secretName": config_secret}}],
            "extraVolumeMounts": [{"name": "slipway-config", "mountPath": CONFIG_MOUNT, "readOnly": True}],
        },
        "higress-core": {
            "gateway": {
                # Private by default; the sub-chart would make a load balancer open to the internet.
                "service": {"type": "ClusterIP", "externalTrafficPolicy": ""},
                # Each of two replicas would ask for 2 cores and 2 GiB, more than a small node has.
                "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}},
            },
        },
        "worker": {"enabled": True, "gpuVendors": ["nvidia"], "cpuEnabled": False, "nodeSelector": serving},
        "gpustack-operator": {"csi-driver-nfs": {"enabled": False}, "csi-driver-s3": {"enabled": False}},
    }
