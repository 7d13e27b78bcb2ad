"""The AWS stand-in: the SDK's types, AWS's own rules, and the few invokes that need no account."""

from collections.abc import Mapping
from typing import Any

from slipway.engine.standins import aws_api, aws_model
from slipway.engine.standins.base import Answer, StandIn, UnanswerableError
from slipway.engine.standins.faults import Faults

_CLUSTER = "aws:eks/cluster:Cluster"


class AwsStandIn(StandIn):
    """Plan-only AWS."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        super().__init__("aws", {**PUBLIC_ANSWERS, **(answers or {})})

    def review(self, token: str, inputs: Mapping[str, Any], faults: Faults) -> None:
        """AWS's enumerations and formats. An EKS cluster also tells which Kubernetes its objects must suit."""
        aws_api.check(token, inputs, faults)
        version = inputs.get("version")
        if token == _CLUSTER and isinstance(version, str):
            self.notebook.kubernetes_version = version


def _partition(args: Mapping[str, Any]) -> Mapping[str, Any]:
    name, suffix = aws_model.partition(_region(args))
    reverse = ".".join(reversed(suffix.split(".")))
    return {"id": name, "partition": name, "dnsSuffix": suffix, "reverseDnsPrefix": reverse}


def _region_answer(args: Mapping[str, Any]) -> Mapping[str, Any]:
    region = _region(args)
    _, suffix = aws_model.partition(region)
    return {"id": region, "name": region, "region": region, "endpoint": f"ec2.{region}.{suffix}"}


def _parameter(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """EC2 resolves this form itself when it launches, so nothing is invented: EC2 user guide, "AMI parameters"."""
    name = args["name"]
    return {"id": name, "name": name, "type": "String", "value": f"resolve:ssm:{name}"}


def _region(args: Mapping[str, Any]) -> str:
    region = args.get("region")
    if not isinstance(region, str):
        raise UnanswerableError("no region is configured; set aws:region in the stack")
    return region


PUBLIC_ANSWERS: Mapping[str, Answer] = {
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region_answer,
    "aws:ssm/getParameter:getParameter": _parameter,
}
"""Invokes whose answers follow from the region or are resolved by AWS later."""
