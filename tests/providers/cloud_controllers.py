"""What runs in a cluster beside Kubernetes itself, as far as pods wait for it: CSI drivers and load balancers.

A stand-in for the EBS and EFS CSI drivers' provisioners and the AWS load balancer controller. Volumes are
PersistentVolume objects with the topology the driver would give them; binding, placement and protection are
Kubernetes' own.
"""

import threading
from typing import Any

from api_server import ApiError, ApiServer, Object

BLOCK, FILES = "ebs.csi.aws.com", "efs.csi.aws.com"
SELECTED = "volume.kubernetes.io/selected-node"
PROVISIONED = "pv.kubernetes.io/provisioned-by"
ZONE = "topology.kubernetes.io/zone"
EVERY_SECONDS = 0.2


class CloudControllers:
    """A thread that looks at the cluster five times a second; use as a context manager."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cloud-controllers", daemon=True)
        self.failures: list[str] = []
        """What the API server refused, in words; conflicts with others' changes are tried again and not kept."""

    def __enter__(self) -> "CloudControllers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            for step in (self._provision, self._reclaim, self._balance):
                try:
                    step()
                except ApiError as error:
                    if error.status not in (404, 409):
                        self.failures.append(str(error))

    def _provision(self) -> None:
        """A volume for each claim of a class of ours: at once, or when the scheduler has chosen a node for its pod."""
        pending = [
            claim
            for claim in self._api.items("/api/v1/persistentvolumeclaims")
            if claim["status"].get("phase") == "Pending" and not claim["spec"].get("volumeName")
        ]
        if not pending:
            return
        classes = {one["metadata"]["name"]: one for one in self._api.items("/apis/storage.k8s.io/v1/storageclasses")}
        for claim in pending:
            storage_class = classes.get(claim["spec"].get("storageClassName"))
            if storage_class is None or storage_class["provisioner"] not in (BLOCK, FILES):
                continue
            chosen = claim["metadata"].get("annotations", {}).get(SELECTED)
            if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and chosen is None:
                continue
            found = self._api.find(f"/api/v1/nodes/{chosen}") if chosen else None
            self._create(volume(claim, storage_class, found))

    def _create(self, given: Object) -> None:
        try:
            self._api.create(given)
        except ApiError as error:
            if error.status != 409:  # made in the round before
                raise

    def _reclaim(self) -> None:
        """Delete volumes whose claim is gone, unless they are to be kept."""
        for one in self._api.items("/api/v1/persistentvolumes"):
            ours = one["metadata"].get("annotations", {}).get(PROVISIONED) in (BLOCK, FILES)
            released = one["status"].get("phase") == "Released"
            if ours and released and one["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                self._api.delete(f"/api/v1/persistentvolumes/{one['metadata']['name']}")

    def _balance(self) -> None:
        """An address for each Service of type LoadBalancer."""
        for service in self._api.items("/api/v1/services"):
            wanted = service["spec"].get("type") == "LoadBalancer"
            if wanted and not service["status"].get("loadBalancer", {}).get("ingress"):
                metadata = service["metadata"]
                path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
                address = {"hostname": f"{metadata['name']}-{metadata['uid'][:8]}.elb.example"}
                self._api.merge(path, {"status": {"loadBalancer": {"ingress": [address]}}})


def volume(claim: Object, storage_class: Object, node: Object | None) -> Object:
    """The volume a driver makes for a claim; one of EBS can only be used in its node's zone."""
    metadata, spec = claim["metadata"], claim["spec"]
    driver = storage_class["provisioner"]
    name = f"pvc-{metadata['uid']}"
    source: dict[str, Any] = {"driver": driver, "volumeHandle": f"vol-{metadata['uid'].replace('-', '')[:17]}"}
    affinity: dict[str, Any] = {}
    if driver == BLOCK and node is not None:
        zone = {"key": ZONE, "operator": "In", "values": [node["metadata"]["labels"][ZONE]]}
        affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED: driver}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "csi": source,
            **affinity,
        },
    }
