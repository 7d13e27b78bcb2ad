"""Values the API server accepts where its published JSON schemas only say "a string".

Source: the constants of each field's type in the Go module k8s.io/api v0.37.0 (types.go), compared 2026-11-23.
"""

from collections.abc import Mapping
from typing import Final

_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_LABEL_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")
_CORE: Final = "io.k8s.api.core.v1."

ENUMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    (f"{_CORE}Container", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    (f"{_CORE}Container", "terminationMessagePolicy"): ("File", "FallbackToLogsOnError"),
    (f"{_CORE}ContainerPort", "protocol"): _PROTOCOLS,
    (f"{_CORE}HTTPGetAction", "scheme"): ("HTTP", "HTTPS"),
    (f"{_CORE}NodeSelectorRequirement", "operator"): (*_LABEL_OPERATORS, "Gt", "Lt"),
    (f"{_CORE}PersistentVolumeClaimSpec", "accessModes"): (
        "ReadWriteOnce",
        "ReadOnlyMany",
        "ReadWriteMany",
        "ReadWriteOncePod",
    ),
    (f"{_CORE}PersistentVolumeClaimSpec", "volumeMode"): ("Block", "Filesystem"),
    (f"{_CORE}PodSpec", "dnsPolicy"): ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    (f"{_CORE}PodSpec", "preemptionPolicy"): ("Never", "PreemptLowerPriority"),
    (f"{_CORE}PodSpec", "restartPolicy"): ("Always", "OnFailure", "Never"),
    (f"{_CORE}SeccompProfile", "type"): ("Localhost", "RuntimeDefault", "Unconfined"),
    (f"{_CORE}ServicePort", "protocol"): _PROTOCOLS,
    (f"{_CORE}ServiceSpec", "externalTrafficPolicy"): ("Cluster", "Local"),
    (f"{_CORE}ServiceSpec", "internalTrafficPolicy"): ("Cluster", "Local"),
    (f"{_CORE}ServiceSpec", "sessionAffinity"): ("ClientIP", "None"),
    (f"{_CORE}ServiceSpec", "type"): ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
    (f"{_CORE}Taint", "effect"): _EFFECTS,
    (f"{_CORE}Toleration", "effect"): _EFFECTS,
    (f"{_CORE}Toleration", "operator"): ("Exists", "Equal", "Lt", "Gt"),
    (f"{_CORE}TopologySpreadConstraint", "whenUnsatisfiable"): ("DoNotSchedule", "ScheduleAnyway"),
    ("io.k8s.api.apps.v1.DeploymentStrategy", "type"): ("Recreate", "RollingUpdate"),
    ("io.k8s.api.apps.v1.StatefulSetSpec", "podManagementPolicy"): ("OrderedReady", "Parallel"),
    ("io.k8s.api.networking.v1.NetworkPolicyPort", "protocol"): _PROTOCOLS,
    ("io.k8s.api.networking.v1.NetworkPolicySpec", "policyTypes"): ("Ingress", "Egress"),
    ("io.k8s.api.policy.v1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy"): (
        "IfHealthyBudget",
        "AlwaysAllow",
    ),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "operator"): _LABEL_OPERATORS,
}
"""(definition, property) -> allowed values; for a list, those of its items."""
