"""The Kubernetes stand-in: every object is checked against the schemas of the cluster's own version."""

from collections.abc import Mapping
from typing import Any, Final, cast

from slipway.engine.graph import UNKNOWN
from slipway.engine.standins import kubernetes_schema as schemas
from slipway.engine.standins import schema
from slipway.engine.standins.base import StandIn, name_of, stable_hex
from slipway.engine.standins.faults import Fault, Faults, closest

# The provider's own kinds: charts and the like, not objects of the API. Their SDK classes say what they take.
_PROVIDER_GROUPS: Final = ("helm.sh/", "yaml/", "kustomize/", "index")
_LONGEST_NAME: Final = 253  # RFC 1123 subdomain, as in the Kubernetes documentation "Object Names and IDs"
_SUFFIX_DIGITS: Final = 8
_AUTONAMED: Final = "pulumi.com/autonamed"
# What the API server fills in, by kind; everything else in an object is as the program gave it.
_SERVER_METADATA: Final = ("uid", "resourceVersion", "creationTimestamp", "generation", "namespace", "managedFields")
_SERVER_SPEC: Final[Mapping[str, tuple[str, ...]]] = {
    "Service": ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"),
    "PersistentVolumeClaim": ("volumeName", "storageClassName", "volumeMode"),
}
_WITHOUT_STATUS: Final = frozenset(
    ("ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
)


class KubernetesStandIn(StandIn):
    """Plan-only Kubernetes."""

    def __init__(self) -> None:
        super().__init__("kubernetes")

    def check_resource(self, urn: str, token: str, inputs: Mapping[str, Any], faults: Faults) -> None:
        """Strict validation for what Kubernetes itself knows; custom resources are noted as not validated."""
        if not _is_object(token):
            super().check_resource(urn, token, inputs, faults)
            return
        version = schemas.supported(self.notebook.kubernetes_version)
        api_version, kind = _identity(token)
        for key, expected in (("apiVersion", api_version), ("kind", kind)):
            if inputs.get(key, expected) not in (expected, UNKNOWN):
                faults.add(key, f"must be {expected} for {token}", given=inputs[key])
        found = schemas.find(api_version, kind, version)
        if found is not None:
            schemas.check(found, {"apiVersion": api_version, "kind": kind, **inputs}, version, "", faults)
            return
        siblings = schemas.kinds(api_version, version)
        if siblings:
            message = f"Kubernetes {version.rpartition('.')[0]} has no such kind in {api_version}"
            known = [
                name for _, group, name in map(_split, schema.tokens("kubernetes")) if group == token.split(":")[1]
            ]
            faults.extend([Fault(path="kind", message=message, given=kind, nearest=closest(kind, known))])
            return
        schemas.check(schemas.object_meta(version), inputs.get("metadata", {}), version, "metadata", faults)
        self.notebook.unvalidated.append(urn)

    def settle(self, urn: str, token: str, inputs: dict[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
        """Name the object as the provider does, `name-` and eight digits; here the same ones on every run."""
        metadata: Any = inputs.get("metadata", {})
        if not _is_object(token) or not isinstance(metadata, dict):
            return inputs
        fields = cast("dict[str, Any]", metadata)
        if "name" in fields or "generateName" in fields:
            return inputs
        before: Any = previous.get("metadata")
        old = cast("dict[str, Any]", before).get("name") if isinstance(before, dict) else None
        base = name_of(urn)[: _LONGEST_NAME - _SUFFIX_DIGITS - 1]
        name = old or f"{base}-{stable_hex(urn, _SUFFIX_DIGITS)}"
        annotations: Any = fields.get("annotations")
        known = cast("dict[str, Any]", annotations) if isinstance(annotations, dict) else {}
        if annotations is None or known:
            fields = {**fields, "annotations": {**known, _AUTONAMED: "true"}}
        return {**inputs, "metadata": {**fields, "name": name}}

    def outputs(self, urn: str, token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The object as given; what the API server and its controllers fill in is unknown."""
        if not _is_object(token):
            return super().outputs(urn, token, inputs)
        _, kind = _identity(token)
        result = _with_unknown(inputs, "metadata", _SERVER_METADATA)
        result = _with_unknown(result, "spec", _SERVER_SPEC.get(kind, ()))
        if kind not in _WITHOUT_STATUS:
            result.setdefault("status", UNKNOWN)
        return result


def _with_unknown(properties: Mapping[str, Any], key: str, names: tuple[str, ...]) -> dict[str, Any]:
    value: Any = properties.get(key)
    if not isinstance(value, dict):
        return dict(properties)
    return {**properties, key: {**dict.fromkeys(names, UNKNOWN), **cast("dict[str, Any]", value)}}


def _is_object(token: str) -> bool:
    return not token.split(":", 1)[1].startswith(_PROVIDER_GROUPS)


def _identity(token: str) -> tuple[str, str]:
    """``kubernetes:apps/v1:Deployment`` -> (apps/v1, Deployment); the core group is written ``core/v1``."""
    _, api_version, kind = _split(token)
    return api_version.removeprefix("core/"), kind


def _split(token: str) -> tuple[str, str, str]:
    package, group, kind = token.split(":")
    return package, group, kind
