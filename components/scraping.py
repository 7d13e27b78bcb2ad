"""What Prometheus' operator reads: a PodMonitor for each target, and the alert rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.naming import PACKAGE
from slipway.monitoring import (
    API_VERSION,
    POD_MONITOR,
    PROMETHEUS_RULE,
    Group,
    ScrapeTarget,
    pod_monitor,
    prometheus_rule,
)

RULES_NAME = "slipway"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapedPods:
    """The pods of one target, all in one namespace."""

    target: ScrapeTarget
    """What they show, and where."""
    namespace: str
    """Their namespace, and the PodMonitor's."""
    pods: Mapping[str, str]
    """Labels that only they have."""
    secret_name: pulumi.Input[str] | None = None
    """Kubernetes Secret with the stack's secrets, where the target asks for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapingArgs:
    """Who is scraped, and what raises an alarm."""

    scraped: Sequence[ScrapedPods]
    """The targets."""
    groups: Sequence[Group]
    """The rules."""
    namespace: str
    """Namespace of the rules."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels on every object; an operator may select by them."""


class Scraping(pulumi.ComponentResource):
    """Objects of kinds that the operator brings: make it depend on the operator's chart where a stack installs one.

    Each is a plain CustomResource: a preview then needs no such kind on the cluster, which yaml/v2 and Chart v4 do
    (pulumi-kubernetes 3176).
    """

    def __init__(self, name: str, args: ScrapingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:Scraping", name, {}, opts)
        self._name = name
        self._labels = dict(args.labels)
        self._child = pulumi.ResourceOptions(parent=self)
        for found in args.scraped:
            spec = pod_monitor(found.target, found.pods, secret_name=found.secret_name)
            self._object(POD_MONITOR, found.target.name, found.namespace, spec)
        if args.groups:
            self._object(PROMETHEUS_RULE, RULES_NAME, args.namespace, prometheus_rule(args.groups), suffix="rules")
        self.register_outputs({"targets": [found.target.name for found in args.scraped]})

    def _object(self, kind: str, name: str, namespace: str, spec: Mapping[str, Any], *, suffix: str = "") -> None:
        kubernetes.apiextensions.CustomResource(
            f"{self._name}-{suffix or name}",
            api_version=API_VERSION,
            kind=kind,
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=self._labels),
            spec=spec,
            opts=self._child,
        )
