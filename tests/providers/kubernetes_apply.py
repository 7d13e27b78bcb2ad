"""A kubernetes provider that really applies: what Pulumi's own does, against whatever API server a test gives it.

The Go plugin cannot be had where the tests run. What it does was read in its documentation and issues; each rule below
names the behaviour it repeats.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from api_server import ApiError, ApiServer, Object, condition_of
from creating import RecordingKubernetes
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from slipway.engine.standins.base import type_of
from slipway.engine.standins.values import Secret, decode, encode, reveal

SKIP_AWAIT = "pulumi.com/skipAwait"
AUTONAMED = "pulumi.com/autonamed"
POLL_SECONDS = 0.1
# A namespace goes some seconds after the last object in it.
DELETION_SECONDS = 60
# Inputs whose change the API server refuses, or that the plugin replaces the object for, by kind.
REPLACED_BY = {
    "ConfigMap": ("data", "binaryData", "immutable"),
    "Secret": ("data", "stringData", "type", "immutable"),
    "Deployment": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"),
    "DaemonSet": ("spec.selector",),
    "Job": ("spec.selector", "spec.template"),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.selector"),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
}


class NotReadyError(Exception):
    """An object was made but did not become ready; it stays, and belongs to the stack."""

    def __init__(self, identity: str, live: Object, reason: str) -> None:
        super().__init__(reason)
        self.identity = identity
        self.live = live


class ApplyingKubernetes(RecordingKubernetes):
    """Creates, waits, reads, updates and deletes on a real API server.

    Objects are applied by server-side apply with strict field validation. Creation and update wait until the object is
    ready, unless annotated with `pulumi.com/skipAwait`, for the time the resource's own timeout allows, at most
    `patience_seconds`. Deletion waits until the object is gone. The stack's kubeconfig is left aside: its cluster was
    never made, `api` stands in its place.

    Helm Releases are recorded and not installed: their charts come from repositories, which tests do not reach. So
    what a chart would bring (the device plugin, Prometheus) does not run; nodes offer their GPUs by themselves.
    """

    def __init__(self, api: ApiServer, patience_seconds: float = 60) -> None:
        super().__init__()
        self._api = api
        self._patience_seconds = patience_seconds
        self.applied: dict[str, str] = {}
        """Where each object lies that was applied, by URN."""
        self.waited: dict[str, float] = {}
        """Seconds each took to become ready, by URN."""

    # The provider protocol ------------------------------------------------------------------------------------

    def settle(self, urn: str, token: str, inputs: dict[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
        """As planned, except that a new object gets random digits: its predecessor is still there when it comes."""
        settled = super().settle(urn, token, inputs, previous)
        if settled is inputs or _name(previous) is not None:
            return settled
        name = f"{_name(settled)[:-8]}{secrets.token_hex(4)}"
        return {**settled, "metadata": {**settled["metadata"], "name": name}}

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        token = type_of(request.urn)
        answer = super().Diff(request, context)
        if not _is_object(token) or not answer.diffs:
            return answer
        old, new = reveal(decode(request.old_inputs)), reveal(decode(request.news))
        paths = ("metadata.name", "metadata.namespace", *REPLACED_BY.get(token.rpartition(":")[2], ()))
        replaces = [path for path in paths if _at(old, path) != _at(new, path)]
        autonamed = AUTONAMED in (_at(new, "metadata.annotations") or {})
        # An object with a name of its own must make room before its successor can take the name.
        return type(answer)(
            changes=answer.changes,
            diffs=answer.diffs,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and not autonamed,
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        token = type_of(request.urn)
        if request.preview or not _is_object(token):
            return super().Create(request, context)
        identity, outputs = self._apply_for(context, request, decode(request.properties))
        return provider_pb2.CreateResponse(id=identity, properties=encode(outputs))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        token = type_of(request.urn)
        if request.preview or not _is_object(token):
            return super().Update(request, context)
        _, outputs = self._apply_for(context, request, decode(request.news))
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        token, state = type_of(request.urn), decode(request.properties)
        if not _is_object(token):
            return super().Read(request, context)
        namespace, _, name = request.id.rpartition("/")
        live = self._api.find(self._api.path(_whole(token, {"metadata": {"name": name, "namespace": namespace}})))
        if live is None:
            return provider_pb2.ReadResponse()  # an empty id says that it is gone
        inputs = decode(request.inputs) or state
        return provider_pb2.ReadResponse(
            id=request.id, properties=encode(_outputs(live, inputs)), inputs=encode(inputs)
        )

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        token = type_of(request.urn)
        if not _is_object(token):
            return super().Delete(request, context)
        namespace, _, name = request.id.rpartition("/")
        seconds = request.timeout or DELETION_SECONDS
        try:
            path = self._api.path(_whole(token, {"metadata": {"name": name, "namespace": namespace}}))
            # The plugin deletes in the foreground: what an object owns goes before it.
            self._api.delete(path, propagation="Foreground")
            self._await(lambda: None if self._api.find(path) is None else "is still there", seconds)
        except ApiError as error:
            if error.status != 404:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.id}: {error}")
        except TimeoutError as error:
            left = self._api.find(path) or {}
            said = [one.get("message") for one in left.get("status", {}).get("conditions", ())]
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"{request.id}: {error}: {said}")
        self.deleted.append(request.urn)
        return empty_pb2.Empty()

    # Applying -------------------------------------------------------------------------------------------------

    def _apply_for(self, context: Any, request: Any, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            return self._apply(request.urn, inputs, self._seconds(request))
        except ApiError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"the API server refused it: {error}")
        except NotReadyError as error:
            self.created[request.urn] = dict(inputs)
            _abort_half_done(context, error, inputs)
        raise AssertionError("abort always raises")

    def _apply(self, urn: str, inputs: Mapping[str, Any], seconds: float) -> tuple[str, dict[str, Any]]:
        given = _whole(type_of(urn), reveal(inputs))
        # One manager per object, as the plugin has: what another resource of the stack owns is a conflict, not ours.
        manager = f"pulumi-kubernetes-{urn.rpartition('::')[2]}"[:128]
        live = self._api.apply(given, manager) if _name(given) else self._api.create(given, fieldManager=manager)
        path = self._api.path(live)
        self.created[urn] = dict(inputs)
        self.applied[urn] = path
        metadata = live["metadata"]
        identity = f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]
        reason = READY.get(given["kind"])
        annotations = metadata.get("annotations", {})
        if reason is not None and annotations.get(SKIP_AWAIT) != "true":
            began = time.monotonic()
            try:
                self._await(lambda: reason(self._api, self._api.find(path) or {}), seconds)
            except TimeoutError as error:
                now = self._api.find(path) or live
                raise NotReadyError(identity, now, f"{given['kind']} {identity}: {error}") from None
            self.waited[urn] = time.monotonic() - began
        return identity, _outputs(self._api.find(path) or live, inputs)

    def _await(self, reason: Callable[[], str | None], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (why := reason()) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds:.0f} s: {why}")
            time.sleep(POLL_SECONDS)

    def _seconds(self, request: Any) -> float:
        return min(request.timeout or self._patience_seconds, self._patience_seconds)


# When an object is ready, by kind: the reason why it is not, or None. Other kinds are ready once they are there. -----

Reason = Callable[[ApiServer, Object], str | None]


def _workload(_: ApiServer, live: Object) -> str | None:
    """Rolled out completely: the controller has seen the newest spec, and all its pods are available."""
    spec, status = live.get("spec", {}), live.get("status", {})
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "its controller has not seen it yet"
    wanted = spec.get("replicas", 1)
    counts = {name: status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    if any(count != wanted for count in counts.values()):
        stuck = condition_of(live, "Progressing").get("message", "")
        return f"{counts['availableReplicas']} of {wanted} replicas are available. {stuck}"
    return None


def _daemon_set(_: ApiServer, live: Object) -> str | None:
    status = live.get("status", {})
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "its controller has not seen it yet"
    wanted = status["desiredNumberScheduled"]
    ready = min(status.get("numberReady", 0), status.get("updatedNumberScheduled", 0))
    return None if ready == wanted else f"{ready} of {wanted} pods are ready"


def _job(_: ApiServer, live: Object) -> str | None:
    return None if condition_of(live, "Complete").get("status") == "True" else "it is not complete"


def _pod(_: ApiServer, live: Object) -> str | None:
    if condition_of(live, "Ready").get("status") == "True":
        return None
    return condition_of(live, "PodScheduled").get("message") or "it is not ready"


def _namespace(_: ApiServer, live: Object) -> str | None:
    return None if live.get("status", {}).get("phase") == "Active" else "it is not active"


def _claim(api: ApiServer, live: Object) -> str | None:
    """Bound; or pending, where the class waits for the first pod, since that pod waits for the claim's name."""
    phase = live.get("status", {}).get("phase")
    if phase == "Bound":
        return None
    name = live.get("spec", {}).get("storageClassName")
    found = api.find(f"/apis/storage.k8s.io/v1/storageclasses/{name}") if name else None
    waits = (found or {}).get("volumeBindingMode") == "WaitForFirstConsumer"
    return None if waits and phase == "Pending" else f"it is {phase}, with storage class {name}"


def _service(api: ApiServer, live: Object) -> str | None:
    """Somebody stands behind it, unless nobody can; a load balancer also has an address."""
    spec = live.get("spec", {})
    if spec.get("type") == "LoadBalancer" and not live.get("status", {}).get("loadBalancer", {}).get("ingress"):
        return "it has no load balancer"
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return None
    metadata = live["metadata"]
    path = f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices"
    slices = api.items(path, labelSelector=f"kubernetes.io/service-name={metadata['name']}")
    ready = [end for one in slices for end in one.get("endpoints") or () if end["conditions"].get("ready")]
    return None if ready else "no pod behind it is ready"


def _definition(_: ApiServer, live: Object) -> str | None:
    return None if condition_of(live, "Established").get("status") == "True" else "its kind is not served yet"


READY: Mapping[str, Reason] = {
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _workload,
    "Job": _job,
    "Namespace": _namespace,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "Service": _service,
    "StatefulSet": _workload,
}


def _abort_half_done(context: Any, error: NotReadyError, inputs: Mapping[str, Any]) -> None:
    """Tell the engine that the object is there but not ready, so that it is kept in the state and can be destroyed."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.identity,
        properties=encode(_outputs(error.live, inputs)),
        inputs=encode(inputs),
        reasons=[str(error)],
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _is_object(token: str) -> bool:
    return not token.split(":", 1)[1].startswith(("helm.sh/", "yaml/", "kustomize/", "index"))


def _whole(token: str, inputs: Mapping[str, Any]) -> Object:
    """An object with apiVersion and kind, which the SDK puts in and a custom resource's token may not show."""
    _, group, kind = token.split(":")
    return {"metadata": {}, **inputs, "apiVersion": inputs.get("apiVersion", group.removeprefix("core/")), "kind": kind}


def _outputs(live: Object, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it lives. Fields given as secrets stay secrets, and everything in a Secret is one."""
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    result = _sealed({**live, "metadata": metadata}, inputs)
    if live["kind"] == "Secret":
        hidden = {key: result[key] for key in ("data", "stringData") if key in result}
        result |= {key: value if isinstance(value, Secret) else Secret(value) for key, value in hidden.items()}
    return result


def _sealed(live: Any, given: Any) -> Any:
    if isinstance(given, Secret):
        return Secret(live)
    if isinstance(live, dict) and isinstance(given, Mapping):
        return {key: _sealed(value, given.get(key)) for key, value in live.items()}
    if isinstance(live, list) and isinstance(given, list) and len(live) == len(given):
        return [_sealed(one, other) for one, other in zip(live, given, strict=True)]
    return live


def _name(given: Mapping[str, Any]) -> Any:
    return _at(given, "metadata.name")


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
