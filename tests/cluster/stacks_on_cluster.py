"""A stack of the project, applied by the real engine to a real API server."""

from pathlib import Path
from typing import Any

from api_server import ApiServer, Object, wait_for
from creating import recording
from kubernetes_apply import ApplyingKubernetes
from simulated_eks import SimulatedEks

from slipway.engine import Engine, Graph, Offline
from slipway.settings import StackFile, read_stack

PROJECT = Path(__file__).parents[2]
# Kinds that come and go by themselves, or that every namespace has, and what Kubernetes made for itself.
NOT_OURS = frozenset({"events", "leases", "endpointslices", "endpoints", "componentstatuses"})


class ClusterStack:
    """One stack whose AWS is recorded, whose nodes are simulated, and whose Kubernetes objects are real."""

    def __init__(self, api: ApiServer, engine: Engine, reference: str) -> None:
        self.api = api
        self.file: StackFile = read_stack(reference, PROJECT)
        self.eks = SimulatedEks(api)
        self.kubernetes = ApplyingKubernetes(api)
        providers = {**recording(), "aws": self.eks, "kubernetes": self.kubernetes}
        # What is protected could not be destroyed, and a test must destroy what it made.
        config = {**self.file.config, "slipway:protect": False}
        self.session = Offline(self.file.name, config, project=PROJECT, providers=providers, engine=engine)
        self.before = everything(api)

    def __enter__(self) -> "ClusterStack":
        self.session.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End the session, and clear what a failed test left: the next one shares the API server."""
        self.session.__exit__(None, None, None)
        clear(self.api, self.before)

    def up(self) -> Graph:
        return self.session.up()

    def pods(self, namespace: str | None = None) -> list[Object]:
        """Pods that nobody has told to go."""
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        return [pod for pod in self.api.items(path) if "deletionTimestamp" not in pod["metadata"]]

    def node_labels(self, pod: Object) -> dict[str, str]:
        """Labels of the node a pod runs on."""
        node = self.api.find(f"/api/v1/nodes/{pod['spec']['nodeName']}")
        return {} if node is None else node["metadata"]["labels"]

    def left(self) -> list[str]:
        """Paths of objects that were not there before the stack."""
        return sorted(everything(self.api) - self.before)


def everything(api: ApiServer) -> set[str]:
    """Paths of all objects in the cluster, except those that come and go by themselves."""
    found: set[str] = set()
    for name, root, namespaced in api.listable():
        if name in NOT_OURS:
            continue
        for one in api.items(f"{root}/{name}"):
            metadata: dict[str, Any] = one["metadata"]
            space = f"/namespaces/{metadata['namespace']}" if namespaced else ""
            found.add(f"{root}{space}/{name}/{metadata['name']}")
    return found


def clear(api: ApiServer, before: set[str]) -> None:
    """Delete what a failed test left, as the next one shares the API server. Nodes go last: they end the pods."""

    def cleared(nodes: bool) -> bool:
        left = {path for path in everything(api) - before if nodes or not path.startswith("/api/v1/nodes/")}
        for path in left:
            api.delete(path)
        return not left

    wait_for("only nodes are left", lambda: cleared(nodes=False), 60, every=0.5)
    wait_for("the cluster is as it was", lambda: cleared(nodes=True), 60, every=0.5)
