"""How EC2 machines are set up: metadata service and disks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from slipway.checks.registry import check
from slipway.engine.graph import UNKNOWN, Graph, Resource
from slipway.engine.reading import at, leaving, sequence, truth, whole
from slipway.findings import Severity

_INSTANCE = "aws:ec2/instance:Instance"
_BY_DEFAULT = "aws:ebs/encryptionByDefault:EncryptionByDefault"
_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def _machines(graph: Graph) -> Iterator[Resource]:
    """Instances that stand for themselves, and launch templates."""
    for resource in graph.of_type(_INSTANCE, _TEMPLATE):
        by_template = resource.type == _INSTANCE and at(resource.inputs, "launchTemplate") is not None
        if not leaving(resource) and not by_template:
            yield resource


@check(
    "SW004",
    Severity.WARNING,
    title="A disk is not encrypted",
    explanation="Weights, caches and logs of requests lie on it in clear, and so do its snapshots. EBS encryption "
    "costs nothing.",
    fix="set `encrypted` to true",
)
def plain_disk(graph: Graph) -> Iterator[tuple[str, str]]:
    """Volumes, root disks, launch template disks and storage classes ask for encryption."""
    if any(truth(at(setting.inputs, "enabled")) for setting in graph.of_type(_BY_DEFAULT)):
        return
    for resource in graph.of_type(*_DISKS):
        if leaving(resource):
            continue
        for disk, encrypted in _DISKS[resource.type](resource.inputs):
            if encrypted is not UNKNOWN and truth(encrypted) is not True:
                yield resource.name, f"{disk} is not encrypted"


def _instance_disks(inputs: Any) -> Iterator[tuple[str, Any]]:
    if at(inputs, "launchTemplate") is None or at(inputs, "rootBlockDevice") is not None:
        yield "its root disk", at(inputs, "rootBlockDevice", "encrypted")
    for disk in sequence(at(inputs, "ebsBlockDevices")):
        yield f"its disk {at(disk, 'deviceName')}", at(disk, "encrypted")


def _template_disks(inputs: Any) -> Iterator[tuple[str, Any]]:
    for disk in sequence(at(inputs, "blockDeviceMappings")):
        if at(disk, "ebs") is not None:
            yield f"its disk {at(disk, 'deviceName')}", at(disk, "ebs", "encrypted")


def _class_disks(inputs: Any) -> Iterator[tuple[str, Any]]:
    if str(at(inputs, "provisioner")).startswith("ebs.csi."):
        yield "what this class makes", at(inputs, "parameters", "encrypted")


# Per resource type: its disks in words, and what it says about their encryption.
_DISKS: Mapping[str, Callable[[Any], Iterator[tuple[str, Any]]]] = {
    "aws:ebs/volume:Volume": lambda inputs: iter([("the volume", at(inputs, "encrypted"))]),
    _INSTANCE: _instance_disks,
    _TEMPLATE: _template_disks,
    "kubernetes:storage.k8s.io/v1:StorageClass": _class_disks,
}


@check(
    "SW005",
    Severity.ERROR,
    title="The metadata service answers without a token",
    explanation="With IMDSv1 a single forged request from a server - an image URL in a chat message is enough - reads "
    "the machine's credentials.",
    fix="set metadataOptions.httpTokens to required",
)
def metadata_without_token(graph: Graph) -> Iterator[tuple[str, str]]:
    """IMDSv2 is required, or the metadata service is off."""
    for machine in _machines(graph):
        options = at(machine.inputs, "metadataOptions")
        if at(options, "httpTokens") != "required" and at(options, "httpEndpoint") != "disabled":
            yield machine.name, "IMDSv2 is not required"


@check(
    "SW006",
    Severity.WARNING,
    title="Containers can reach the machine's credentials",
    explanation="With a hop limit above 1, a container on a bridge network reaches the metadata service and with it "
    "the machine's role. Pod Identity gives pods their own role instead.",
    fix="set metadataOptions.httpPutResponseHopLimit to 1",
)
def metadata_hops(graph: Graph) -> Iterator[tuple[str, str]]:
    """The metadata service's answers do not leave the host."""
    for machine in _machines(graph):
        hops = whole(at(machine.inputs, "metadataOptions", "httpPutResponseHopLimit"))
        if hops is not None and hops > 1:
            yield machine.name, f"the metadata service's hop limit is {hops}"
