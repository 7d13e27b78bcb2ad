"""Graphs written by hand: what the engine would report for a few resources."""

from collections.abc import Mapping
from typing import Any

from slipway.engine.graph import Graph, Resource


def resource(
    token: str,
    name: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    change: str = "create",
    parent: str | None = None,
    depends: Mapping[str, tuple[str, ...]] | None = None,
) -> Resource:
    """A custom resource whose outputs repeat its inputs."""
    return Resource(
        urn=f"urn:pulumi:test::slipway::{token}::{name}",
        type=token,
        name=name,
        parent=parent,
        provider=None,
        custom=True,
        change=change,
        protect=False,
        inputs=inputs or {},
        outputs=inputs or {},
        property_dependencies=depends or {},
    )


def graph(*resources: Resource, region: str | None = "us-east-1", outputs: Mapping[str, Any] | None = None) -> Graph:
    """A stack called test, with an AWS provider unless `region` is None."""
    providers = (resource("pulumi:providers:aws", "aws", {"region": region}),) if region else ()
    return Graph(stack="test", resources=(*providers, *resources), outputs=outputs or {})


def pod(kind: str, name: str, container: Mapping[str, Any], **spec: Any) -> Resource:
    """A Deployment (or another workload of apps/v1) with one container; `spec` goes into the pod's spec."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "server", **container}], **spec},
    }
    return resource(
        f"kubernetes:apps/v1:{kind}", name, {"metadata": {"name": name}, "spec": {"replicas": 1, "template": template}}
    )
