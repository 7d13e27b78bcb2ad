"""AWS that creates, and whose node groups have nodes: as many Node objects in a real API server, kept alive by kwok.

A node offers what EKS nodes of its type offer, by the catalogue, and carries the labels and taints that EKS puts on it.
"""

import base64
import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api_server import ApiServer, Object, condition_of, wait_for
from creating import RecordingAws

from slipway import catalog
from slipway.catalog.types import InstanceType
from slipway.engine.standins.base import name_of, type_of
from slipway.engine.standins.values import decode, reveal

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
CLUSTER = "aws:eks/cluster:Cluster"
NODES = "/api/v1/nodes"
# The EKS API's spelling of Kubernetes' effects.
EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
# EKS nodes evict pods below 10 % free disk and keep 1 GiB for themselves (amazon-eks-ami, nodeadm, kubelet defaults).
DISK_SHARE, DISK_RESERVED_GIB = 0.9, 1
BYTES_PER_GIB = 1024**3


@dataclass
class NodeGroup:
    """One node group as it was created, and the names of its nodes."""

    name: str
    inputs: Mapping[str, Any]
    zones: Sequence[str]
    disk_gib: float
    nodes: list[str] = field(default_factory=list)

    @property
    def spot(self) -> bool:
        return self.inputs.get("capacityType") == "SPOT"


class SimulatedEks(RecordingAws):
    """Recording AWS in which a node group brings its nodes up, and takes them away when it is deleted."""

    def __init__(self, api: ApiServer) -> None:
        super().__init__()
        self._api = api
        self._identities: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.groups: dict[str, NodeGroup] = {}
        """Node groups by their name in the program."""

    def create(self, urn: str, token: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        identity, outputs = super().create(urn, token, inputs)
        with self._lock:
            self._identities[identity] = outputs
        if token == NODE_GROUP and name_of(urn) not in self.groups:
            plain = reveal(inputs)
            group = self.groups[name_of(urn)] = NodeGroup(
                name=outputs["nodeGroupName"], inputs=plain, zones=self._zones(plain), disk_gib=self._disk_gib(plain)
            )
            self.scale(group, plain["scalingConfig"]["desiredSize"])
        return identity, outputs

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        if type_of(request.urn) == NODE_GROUP:
            group = self.groups.pop(name_of(request.urn))
            self.scale(group, 0)
        return super().Delete(request, context)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = super().Update(request, context)
        if not request.preview and type_of(request.urn) == NODE_GROUP:
            self.groups[name_of(request.urn)].inputs = reveal(decode(request.news))
        return answer

    def scale(self, group: NodeGroup, size: int) -> None:
        """Bring a group to `size` nodes, as its autoscaling group would; new ones are ready when this returns."""
        while len(group.nodes) > size:
            self._api.delete(f"{NODES}/{group.nodes.pop()}")
        added = [self._join(group) for _ in range(size - len(group.nodes))]
        for name in added:
            wait_for(f"node {name} is ready", lambda name=name: self._ready(name), 30)

    def interrupt(self) -> list[str]:
        """Take every spot node away at once, without notice; gives their names."""
        lost: list[str] = []
        for group in self.groups.values():
            if group.spot:
                lost += group.nodes
                self.scale(group, 0)
        return lost

    def _ready(self, name: str) -> bool:
        node = self._api.find(f"{NODES}/{name}") or {}
        taints = {taint["key"] for taint in node.get("spec", {}).get("taints", ())}
        return condition_of(node, "Ready").get("status") == "True" and "node.kubernetes.io/not-ready" not in taints

    def _join(self, group: NodeGroup) -> str:
        with self._lock:
            number = next(self._numbers)
            types = group.inputs["instanceTypes"]
            # Spot capacity comes from several pools; on demand the first type is taken.
            kind = types[len(group.nodes) % len(types)] if group.spot else types[0]
            zone = group.zones[len(group.nodes) % len(group.zones)]
            name = f"ip-10-0-{number // 256}-{number % 256}.ec2.internal"
            group.nodes.append(name)
        self._api.create(node(name, group, catalog.instance_types()[kind], zone))
        return name

    def _zones(self, inputs: Mapping[str, Any]) -> list[str]:
        """Zones of the group's subnets, as they were created."""
        return [self._identities[subnet]["availabilityZone"] for subnet in inputs["subnetIds"]]

    def _disk_gib(self, inputs: Mapping[str, Any]) -> float:
        """Disk for images and pods: the smallest local NVMe where the nodes join theirs, the root disk otherwise."""
        template = self._identities[inputs["launchTemplate"]["id"]]
        user_data = base64.b64decode(template.get("userData") or "").decode(errors="replace")
        known = catalog.instance_types()
        nvme = min(known[name].local_nvme_gb for name in inputs["instanceTypes"])
        if "RAID0" in user_data and nvme:
            return nvme * 1e9 / BYTES_PER_GIB
        return template["blockDeviceMappings"][0]["ebs"]["volumeSize"]


def node(name: str, group: NodeGroup, kind: InstanceType, zone: str) -> Object:
    """A Node as EKS's node program and cloud controller register it."""
    region = zone.rstrip("abcdef")
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": kind.arch.value,
        "node.kubernetes.io/instance-type": kind.name,
        "topology.kubernetes.io/zone": zone,
        "topology.kubernetes.io/region": region,
        "topology.ebs.csi.aws.com/zone": zone,
        "eks.amazonaws.com/nodegroup": group.name,
        "eks.amazonaws.com/capacityType": group.inputs.get("capacityType", "ON_DEMAND"),
        # From Kubernetes 1.35 on, EKS's node program sets it itself (amazon-eks-ami, PR 2607).
        **({"nvidia.com/gpu.present": "true"} if kind.gpu_count else {}),
        **(group.inputs.get("labels") or {}),
    }
    taints = [
        {"key": taint["key"], "value": taint.get("value") or "", "effect": EFFECTS[taint["effect"]]}
        for taint in group.inputs.get("taints") or ()
    ]
    if kind.allocatable_memory_mib is None or kind.allocatable_cpu_milli is None:
        raise ValueError(f"{kind.name}: the catalogue does not know what its nodes offer")
    disk_gib = int(group.disk_gib * DISK_SHARE - DISK_RESERVED_GIB)
    allocatable = {
        "cpu": f"{kind.allocatable_cpu_milli}m",
        "memory": f"{kind.allocatable_memory_mib}Mi",
        "pods": str(kind.max_pods or 110),
        "ephemeral-storage": f"{disk_gib}Gi",
        **({"nvidia.com/gpu": str(kind.gpu_count)} if kind.gpu_count else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints, "providerID": f"aws:///{zone}/{name}"},
        "status": {"allocatable": allocatable, "capacity": allocatable},
    }
