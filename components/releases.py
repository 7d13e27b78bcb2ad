"""Helm releases of pinned charts, all made the same way."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from slipway import catalog
from slipway.catalog.types import Chart


def pinned_chart(pin: str) -> Chart:
    """The chart the catalogue pins under this name. Raises KeyError for an unknown name, ValueError without a chart."""
    chart = catalog.pins()[pin].chart
    if chart is None:
        raise ValueError(f"the catalogue pins no chart for {pin}")
    return chart


def pinned_image(pin: str) -> str:
    """The image the catalogue pins under this name. Raises KeyError for an unknown one, ValueError without an image."""
    image = catalog.pins()[pin].image
    if image is None:
        raise ValueError(f"the catalogue pins no image for {pin}")
    return image


def release(
    name: str,
    *,
    chart: Chart,
    namespace: pulumi.Input[str],
    values: Mapping[str, Any],
    timeout_seconds: int,
    opts: pulumi.ResourceOptions,
    release_name: str | None = None,
    skip_crds: bool = False,
) -> kubernetes.helm.v3.Release:
    """A release that is complete or not there at all: a failed install or upgrade is rolled back.

    `skip_crds` is for charts whose definitions come with a release of their own.
    No value may be secret: Helm keeps values, and Pulumi shows them.
    """
    repository = kubernetes.helm.v3.RepositoryOptsArgs(repo=chart.repository) if chart.repository else None
    return kubernetes.helm.v3.Release(
        name,
        name=release_name,
        chart=chart.reference,
        version=str(chart.version),
        repository_opts=repository,
        namespace=namespace,
        values=dict(values),
        atomic=True,
        cleanup_on_fail=True,
        skip_crds=skip_crds or None,
        timeout=timeout_seconds,
        opts=opts,
    )
