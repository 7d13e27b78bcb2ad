"""Secrets that stand where anybody with read access to the plan, the machine or the manifest can see them."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping

from slipway.checks.registry import check
from slipway.checks.rules.containers import DOCKER_CONTAINER
from slipway.engine.graph import Graph
from slipway.engine.pods import pod_templates
from slipway.engine.reading import at, leaving, sequence, text, texts
from slipway.findings import Severity

# What well-known keys look like, whatever they are called.
_SHAPES: Mapping[str, re.Pattern[str]] = {
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{20,}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a GPUStack key": re.compile(r"\bgpustack_[0-9a-f]{8,}_[0-9a-f]{16,}"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
_SECRET_NAME = re.compile(r"(?:^|[_-])(?:api[_-]?key|token|password|passwd|secret|access[_-]?key)$", re.IGNORECASE)
# A reference to a value that stands elsewhere: $VAR, $(VAR), ${VAR}, a path, a secret's ARN.
_REFERENCE = re.compile(r"^(?:\$|/|file:|arn:|<|\{\{)")
_RELEASE = "kubernetes:helm.sh/v3:Release"


@check(
    "SW007",
    Severity.ERROR,
    title="A secret in clear",
    explanation="User data, environment, arguments, ConfigMaps and chart values can be read by far more people and "
    "programs than a secret may be, and stay in state and logs.",
    fix="keep it in Secrets Manager or a Kubernetes Secret, and pass a reference",
)
def secret_in_clear(graph: Graph) -> Iterator[tuple[str, str]]:
    """No literal looks like a secret by its shape, or by its name. The value itself is never repeated."""
    yield from _in_user_data(graph)
    yield from _in_pods(graph)
    yield from _in_docker(graph)
    for holder in graph.of_type("kubernetes:core/v1:ConfigMap", _RELEASE):
        content = at(holder.inputs, "values" if holder.type == _RELEASE else "data")
        if (kind := _shape(json.dumps(content, default=repr))) and not leaving(holder):
            yield holder.name, f"holds {kind} in clear"


def _in_user_data(graph: Graph) -> Iterator[tuple[str, str]]:
    for machine in graph.of_type("aws:ec2/instance:Instance", "aws:ec2/launchTemplate:LaunchTemplate"):
        for key in ("userData", "userDataBase64"):
            script = _decoded(text(at(machine.inputs, key)) or "")
            if (kind := _shape(script) or _assigned(script)) and not leaving(machine):
                yield machine.name, f"user data holds {kind} in clear"


def _in_pods(graph: Graph) -> Iterator[tuple[str, str]]:
    for pod in pod_templates(graph):
        for container in pod.containers():
            for variable in sequence(container.get("env")):
                name, value = text(at(variable, "name")) or "", text(at(variable, "value")) or ""
                if kind := _named(name, value) or _shape(value):
                    yield pod.resource.name, f"environment variable {name} holds {kind} in clear"
            words = [*texts(container.get("command")), *texts(container.get("args"))]
            if kind := _in_words(words):
                yield pod.resource.name, f"arguments hold {kind} in clear"


def _in_docker(graph: Graph) -> Iterator[tuple[str, str]]:
    for container in graph.of_type(DOCKER_CONTAINER):
        if leaving(container):
            continue
        for entry in texts(at(container.inputs, "envs")):
            name, _, value = entry.partition("=")
            if kind := _named(name, value) or _shape(value):
                yield container.name, f"environment variable {name} holds {kind} in clear"
        words = [*texts(at(container.inputs, "entrypoints")), *texts(at(container.inputs, "command"))]
        if kind := _in_words(words):
            yield container.name, f"arguments hold {kind} in clear"


def _shape(value: str) -> str | None:
    return next((kind for kind, pattern in _SHAPES.items() if pattern.search(value)), None)


def _named(name: str, value: str) -> str | None:
    return "a secret" if _SECRET_NAME.search(name) and value and not _REFERENCE.match(value) else None


def _in_words(words: list[str]) -> str | None:
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        given = value if equals else (words[index + 1] if index + 1 < len(words) else "")
        if kind := _shape(word) or (_named(flag, given) if flag.startswith("-") else None):
            return kind
    return None


def _assigned(script: str) -> str | None:
    """`NAME=value` lines of a script whose name says secret and whose value is a literal."""
    for line in re.findall(r"(?m)^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)=[\"']?([^\"'\s]+)", script):
        if kind := _named(*line):
            return kind
    return None


def _decoded(script: str) -> str:
    """User data as text: launch templates carry it in base64."""
    try:
        return base64.b64decode(script, validate=True).decode("utf-8", errors="replace") if script else ""
    except (binascii.Error, ValueError):
        return script
