"""What the network costs: NAT, load balancers, public addresses, endpoints. Traffic is listed, never guessed."""

from collections.abc import Iterator
from typing import Any

from slipway.catalog.types import Service
from slipway.costs.pricing import Category, Count, Pricing, rule
from slipway.costs.types import LineItem, Unpriced
from slipway.engine.graph import Resource
from slipway.engine.reading import at, sequence, text, truth


@rule("aws:ec2/natGateway:NatGateway")
def nat_gateway(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """The gateway by the hour; its address is an Eip of its own, the data depends on use."""
    if at(resource.inputs, "availabilityMode") == "regional":
        yield pricing.unpriced(resource, "a regional NAT gateway is charged per zone it spreads to")
        return
    yield from pricing.hourly(resource, Service.NAT_GATEWAY, Category.NETWORK, "NAT gateway")
    yield pricing.usage(resource, "data through the gateway", Service.NAT_GATEWAY_DATA)


@rule("aws:ec2/internetGateway:InternetGateway")
def internet_gateway(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """The gateway is free, what leaves through it is not."""
    yield pricing.usage(resource, "data out to the internet", Service.DATA_EGRESS)


@rule("aws:ec2/eip:Eip")
def elastic_ip(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Every public IPv4 address is charged, attached or idle."""
    yield from pricing.hourly(resource, Service.PUBLIC_IPV4, Category.NETWORK, "public IPv4")


@rule("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")
def load_balancer(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Application and network load balancers by the hour, with one public address a subnet when they face the net."""
    kind = text(at(resource.inputs, "loadBalancerType")) or "application"
    if kind not in {"application", "network"}:
        yield pricing.unpriced(resource, f"load balancer of type {kind}")
        return
    yield from balancer(resource, pricing, network=kind == "network")
    if truth(at(resource.inputs, "internal")) is True:
        return
    given = at(resource.inputs, "subnets") or at(resource.inputs, "subnetMappings")
    yield from addresses(resource, pricing, len(sequence(given)))


def balancer(resource: Resource, pricing: Pricing, *, network: bool) -> Iterator[LineItem | Unpriced]:
    """One load balancer by the hour; capacity units depend on use."""
    hour, unit, what = (
        (Service.NLB, Service.NLB_LCU, "network load balancer")
        if network
        else (Service.ALB, Service.ALB_LCU, "application load balancer")
    )
    yield from pricing.hourly(resource, hour, Category.NETWORK, what)
    yield pricing.usage(resource, "load balancer capacity units", unit)


def addresses(resource: Resource, pricing: Pricing, number: int) -> Iterator[LineItem | Unpriced]:
    """One public IPv4 address in each of `number` subnets; 0 means that the plan does not tell."""
    if number:
        count = Count.flat(number)
        yield from pricing.hourly(resource, Service.PUBLIC_IPV4, Category.NETWORK, "public IPv4", count)
    else:
        yield pricing.unpriced(resource, "public IPv4 addresses of the load balancer: its subnets are not in the plan")


@rule("aws:ec2/vpcEndpoint:VpcEndpoint")
def vpc_endpoint(resource: Resource, pricing: Pricing) -> Iterator[LineItem | Unpriced]:
    """Interface endpoints by the hour and subnet; gateway endpoints are free."""
    kind: Any = at(resource.inputs, "vpcEndpointType") or "Gateway"
    if kind == "Gateway":
        return
    subnets = len(sequence(at(resource.inputs, "subnetIds")))
    if kind != "Interface" or not subnets:
        yield pricing.unpriced(resource, f"endpoint of type {kind} in subnets that are not in the plan")
        return
    yield from pricing.hourly(
        resource, Service.INTERFACE_ENDPOINT, Category.NETWORK, "endpoint interface", Count.flat(subnets)
    )
    yield pricing.usage(resource, "data through the endpoint", Service.INTERFACE_ENDPOINT_DATA)
