"""Who can reach what: security groups, the cluster's endpoint, Services, published ports."""

from collections.abc import Iterator, Mapping
from typing import Any

from slipway.checks.registry import check
from slipway.checks.rules.containers import DOCKER_CONTAINER
from slipway.engine.graph import Graph, Resource
from slipway.engine.reading import at, leaving, mapping, sequence, text, texts
from slipway.findings import Severity

_GROUPS = ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
_WORLD = frozenset({"0.0.0.0/0", "::/0"})
_AWS_LB = "service.beta.kubernetes.io/aws-load-balancer-"
_NLB_CLASSES = frozenset({"service.k8s.aws/nlb", "eks.amazonaws.com/nlb"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked for, not listened on


@check(
    "SW003",
    Severity.ERROR,
    title="Open to the whole internet",
    explanation="A model port open to 0.0.0.0/0 is found by scanners within hours. Ollama has no authentication at "
    "all, and vLLM's key does not guard every path.",
    fix="allow the addresses or the security group of the clients only",
)
def open_security_group(graph: Graph) -> Iterator[tuple[str, str]]:
    """No ingress rule admits every address."""
    for group in graph.of_type(
        "aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    ):
        for rule in sequence(at(group.inputs, "ingress")):
            if not leaving(group) and (world := _world(at(rule, "cidrBlocks"), at(rule, "ipv6CidrBlocks"))):
                yield group.name, f"admits {world} to {_ports(rule)}"
    for rule in graph.of_type("aws:ec2/securityGroupRule:SecurityGroupRule"):
        world = _world(at(rule.inputs, "cidrBlocks"), at(rule.inputs, "ipv6CidrBlocks"))
        if at(rule.inputs, "type") == "ingress" and world and not leaving(rule):
            yield rule.name, f"admits {world} to {_ports(rule.inputs)}"
    for rule in graph.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        world = _world([at(rule.inputs, "cidrIpv4"), at(rule.inputs, "cidrIpv6")])
        if world and not leaving(rule):
            yield rule.name, f"admits {world} to {_ports(rule.inputs)}"


def _world(*lists: Any) -> str:
    return ", ".join(address for addresses in lists for address in texts(addresses) if address in _WORLD)


def _ports(rule: Any) -> str:
    first, last = at(rule, "fromPort"), at(rule, "toPort")
    if at(rule, "protocol") == "-1" or at(rule, "ipProtocol") == "-1" or first is None:
        return "every port"
    return f"port {first}" if first == last else f"ports {first} to {last}"


@check(
    "SW008",
    Severity.ERROR,
    title="The cluster's API answers the whole internet",
    explanation="EKS makes the endpoint public for every address unless told otherwise. Authentication is then all "
    "that stands between anybody and the cluster.",
    fix="set endpointPublicAccess to false, or name your own addresses in slipway:network.apiAccessCidrs",
)
def open_cluster_endpoint(graph: Graph) -> Iterator[tuple[str, str]]:
    """A public endpoint names who may reach it."""
    for cluster in graph.of_type("aws:eks/cluster:Cluster"):
        access = mapping(at(cluster.inputs, "vpcConfig"))
        if access.get("endpointPublicAccess") is False or leaving(cluster):
            continue
        given = access.get("publicAccessCidrs")
        if not sequence(given) and given is not None:
            continue  # known after creation
        if given is None or _world(given):
            yield cluster.name, "its public endpoint is open to 0.0.0.0/0"


@check(
    "SW009",
    Severity.ERROR,
    title="A Service faces the internet",
    explanation="A Service of type LoadBalancer is internet-facing unless it says otherwise, or the AWS load balancer "
    "controller makes it. The pods behind it are then public, without TLS and without keys.",
    fix="annotate it with aws-load-balancer-scheme: internal, use ClusterIP behind the gateway, or give it a "
    "certificate and the clients' addresses as loadBalancerSourceRanges",
)
def public_service(graph: Graph) -> Iterator[tuple[str, str]]:
    """Services of type LoadBalancer are internal, or speak TLS to addresses that are named."""
    for service in graph.of_type("kubernetes:core/v1:Service"):
        if at(service.inputs, "spec", "type") != "LoadBalancer" or leaving(service):
            continue
        annotations = mapping(at(service.inputs, "metadata", "annotations"))
        scheme = annotations.get(f"{_AWS_LB}scheme")
        marked = scheme == "internal" or str(annotations.get(f"{_AWS_LB}internal")).lower() == "true"
        # The controller, which these select, makes internal load balancers by default.
        selected = at(service.inputs, "spec", "loadBalancerClass") in _NLB_CLASSES
        selected = selected or annotations.get(f"{_AWS_LB}type") in {"external", "nlb-ip"}
        if (scheme == "internet-facing" or not (marked or selected)) and not _guarded(service, annotations):
            yield service.name, "its load balancer faces the internet"


def _guarded(service: Resource, annotations: Mapping[str, Any]) -> bool:
    """Whether it speaks TLS on all of its ports, and to ranges that are not everybody."""
    spec = at(service.inputs, "spec")
    ports = {str(at(port, "port")) for port in sequence(at(spec, "ports"))}
    encrypted = set(str(annotations.get(f"{_AWS_LB}ssl-ports", "")).split(","))
    ranges = sequence(at(spec, "loadBalancerSourceRanges"))
    return bool(annotations.get(f"{_AWS_LB}ssl-cert") and ports <= encrypted and ranges and not _world(ranges))


@check(
    "SW010",
    Severity.ERROR,
    title="A port is published to the network",
    explanation="Docker publishes a port on every address of the machine, past most host firewalls: everyone in the "
    "same network can use the model.",
    fix='publish on 127.0.0.1 (`ip="127.0.0.1"`), and put a gateway with keys in front for others',
)
def published_port(graph: Graph) -> Iterator[tuple[str, str]]:
    """Docker containers publish ports on loopback only."""
    for container in graph.of_type(DOCKER_CONTAINER):
        for port in sequence(at(container.inputs, "ports")):
            address = at(port, "ip")
            if (address is None or text(address) in _EVERYWHERE) and not leaving(container):
                yield container.name, f"publishes port {at(port, 'external') or at(port, 'internal')} on every address"
