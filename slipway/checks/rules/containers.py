"""How containers are run: pinned, watched, and without more power than they need."""

from collections.abc import Iterator

from slipway.checks.registry import check
from slipway.engine.graph import Graph
from slipway.engine.pods import pod_templates
from slipway.engine.reading import at, leaving, sequence, text
from slipway.findings import Severity

DOCKER_CONTAINER = "docker:index/container:Container"
_DOCKER_IMAGE = "docker:index/remoteImage:RemoteImage"
_RELEASE = "kubernetes:helm.sh/v3:Release"


@check(
    "SW002",
    Severity.WARNING,
    title="The image is not pinned",
    explanation="An image without a tag, or with `latest`, is another one tomorrow: a restart becomes an upgrade, "
    "with flags and metrics that may be gone.",
    fix="name an exact version, best with its digest",
)
def floating_image(graph: Graph) -> Iterator[tuple[str, str]]:
    """Images of pods and of Docker containers carry an exact tag or a digest."""
    for pod in pod_templates(graph):
        for container in pod.containers():
            if (image := text(container.get("image"))) and _floats(image):
                yield pod.resource.name, f"runs {image}, which is not pinned to a version"
    for resource in graph.of_type(DOCKER_CONTAINER, _DOCKER_IMAGE):
        image = text(at(resource.inputs, "image" if resource.type == DOCKER_CONTAINER else "name"))
        if not leaving(resource) and image and _floats(image):
            yield resource.name, f"uses {image}, which is not pinned to a version"


def _floats(image: str) -> bool:
    if "@sha256:" in image or image.startswith("sha256:"):
        return False
    _, _, tag = image.rpartition("/")[2].partition(":")
    return tag in {"", "latest"} or tag.startswith("latest-")


@check(
    "SW011",
    Severity.ERROR,
    title="The container is privileged",
    explanation="A privileged container owns its host: whoever breaks into the server owns the machine and the "
    "credentials on it. GPUs do not need it.",
    fix="remove `privileged`; GPUs come from the device plugin, or from the NVIDIA runtime under Docker",
)
def privileged(graph: Graph) -> Iterator[tuple[str, str]]:
    """No container is privileged."""
    for pod in pod_templates(graph):
        for container in pod.containers():
            if at(container, "securityContext", "privileged") is True:
                yield pod.resource.name, f"container {container.get('name')} is privileged"
    for resource in graph.of_type(DOCKER_CONTAINER):
        if at(resource.inputs, "privileged") is True and not leaving(resource):
            yield resource.name, "is privileged"


@check(
    "SW012",
    Severity.WARNING,
    title="Nobody watches the server",
    explanation="Without a readiness probe requests reach a server that is still loading its model; without a liveness "
    "probe one that hangs is never restarted.",
    fix="give the container startup, readiness and liveness probes, or a health check under Docker",
)
def no_probes(graph: Graph) -> Iterator[tuple[str, str]]:
    """Serving containers have readiness and liveness probes, Docker containers a health check."""
    for pod in pod_templates(graph):
        if pod.kind not in {"Deployment", "StatefulSet"}:
            continue
        for container in pod.containers(init=False):
            missing = [name for name in ("readinessProbe", "livenessProbe") if at(container, name) is None]
            if missing and not _is_sidecar(container.get("ports")):
                yield pod.resource.name, f"container {container.get('name')} has no {' and no '.join(missing)}"
    for resource in graph.of_type(DOCKER_CONTAINER):
        runs_on = at(resource.inputs, "mustRun") is not False
        if at(resource.inputs, "healthcheck") is None and runs_on and not leaving(resource):
            yield resource.name, "has no health check"


def _is_sidecar(ports: object) -> bool:
    """A container without ports serves nobody, so there is nothing to probe."""
    return not sequence(ports)


@check(
    "SW014",
    Severity.WARNING,
    title="The chart is not pinned",
    explanation="A Helm release without a version installs whatever is newest on the day: two previews of the same "
    "commit differ, and an upgrade happens unasked.",
    fix="set the release's `version`",
)
def floating_chart(graph: Graph) -> Iterator[tuple[str, str]]:
    """Helm releases from a repository or registry name a version."""
    for release in graph.of_type(_RELEASE):
        chart = text(at(release.inputs, "chart")) or ""
        local = chart.startswith((".", "/"))
        if at(release.inputs, "version") is None and not local and not leaving(release):
            yield release.name, f"installs chart {chart} without a version"
