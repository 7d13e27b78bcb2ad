"""EC2's vCPU quotas, over all stacks together: an account's limits do not know stacks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from slipway import catalog
from slipway.catalog.types import Market, Quota
from slipway.engine.graph import Graph, Resource
from slipway.engine.reading import at, leaving, related, sequence, text, texts, whole
from slipway.findings import Finding, Severity

ID = "SW091"
_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_GPU = "nvidia.com/gpu"
_INSTANCE_TYPE, _BOUGHT = "node.kubernetes.io/instance-type", "karpenter.sh/capacity-type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What stacks take of one quota in one region, in vCPUs.

    `minimum` runs at all times; `maximum` is full capacity on the largest type. `stacks` splits the maximum.
    """

    region: str
    quota: Quota
    minimum: int
    maximum: int
    stacks: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A need and the account's limit; None where it was not asked for, or AWS did not say."""

    need: Need
    allowed: float | None

    @property
    def finding(self) -> Finding | None:
        """What is wrong when the limit is known and too small."""
        need = self.need
        if self.allowed is None or need.maximum <= self.allowed:
            return None
        short = need.minimum > self.allowed
        when = f"{need.minimum} vCPUs at all times" if short else f"{need.maximum} vCPUs at full capacity"
        return Finding(
            id=ID,
            severity=Severity.ERROR if short else Severity.WARNING,
            subject=f"{need.quota.code} in {need.region}",
            message=f"{', '.join(need.stacks)} {'takes' if len(need.stacks) == 1 else 'take'} {when} of "
            f"“{need.quota.name}”; the account is allowed {self.allowed:g}",
            fix="ask AWS for more under Service Quotas, Amazon EC2: it takes from minutes to days",
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """Machines of one market: any of these types, between two numbers."""

    types: tuple[str, ...]
    market: Market
    low: int
    high: int


def needs(graphs: Iterable[Graph]) -> tuple[Need, ...]:
    """What all stacks take of each quota, by region and quota code. Spot and on-demand have quotas of their own.

    A fallback counts with its full size against on-demand and the spot group above it against spot: either may be what
    runs. Machines whose type or number is not in the plan, or whose quota no source names, are left out.
    """
    minimum: dict[tuple[str, Quota], int] = defaultdict(int)
    by_stack: dict[tuple[str, Quota], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for graph in graphs:
        region = graph.region()
        for group in _groups(graph) if region else ():
            quota = _quota(group)
            if region is None or quota is None or not group.high:
                continue
            vcpus = [catalog.instance_types()[name].vcpus for name in group.types]
            minimum[region, quota] += group.low * vcpus[0]
            by_stack[region, quota][graph.stack] += group.high * max(vcpus)
    return tuple(
        Need(
            region=region,
            quota=quota,
            minimum=minimum[region, quota],
            maximum=sum(stacks.values()),
            stacks=dict(stacks),
        )
        for (region, quota), stacks in sorted(by_stack.items(), key=lambda item: (item[0][0], item[0][1].code))
    )


def _quota(group: _Group) -> Quota | None:
    code = catalog.quota_code(group.types[0], group.market)
    return next((quota for quota in catalog.quotas().values() if quota.code == code), None)


def _groups(graph: Graph) -> Iterator[_Group]:
    readers = {
        "aws:ec2/instance:Instance": _instance,
        "aws:autoscaling/group:Group": _scaling_group,
        "aws:eks/nodeGroup:NodeGroup": _node_group,
        "kubernetes:karpenter.sh/v1:NodePool": _node_pool,
    }
    for resource in graph.of_type(*readers):
        if leaving(resource):
            continue
        for group in readers[resource.type](resource, graph):
            known = tuple(name for name in group.types if name in catalog.instance_types())
            if known:
                yield _Group(known, group.market, group.low, group.high)


def _instance(resource: Resource, graph: Graph) -> Iterator[_Group]:
    templates = related(graph, resource, "launchTemplate", _TEMPLATE)
    inputs = [resource.inputs, *(template.inputs for template in templates[:1])]
    name = next((found for one in inputs if (found := text(at(one, "instanceType")))), None)
    spot = any(at(one, "instanceMarketOptions", "marketType") == "spot" for one in inputs)
    if name:
        yield _Group((name,), Market.SPOT if spot else Market.ON_DEMAND, 1, 1)


def _scaling_group(resource: Resource, graph: Graph) -> Iterator[_Group]:
    policy = at(resource.inputs, "mixedInstancesPolicy")
    overrides = sequence(at(policy, "launchTemplate", "overrides"))
    types = texts([at(override, "instanceType") for override in overrides])
    if not types:
        key = "launchTemplate" if policy is None else "mixedInstancesPolicy"
        templates = related(graph, resource, key, _TEMPLATE)
        types = texts([at(template.inputs, "instanceType") for template in templates[:1]])
    low, high = whole(at(resource.inputs, "minSize")), whole(at(resource.inputs, "maxSize"))
    if not types or low is None or high is None:
        return
    distribution = at(policy, "instancesDistribution")
    share = whole(at(distribution, "onDemandPercentageAboveBaseCapacity"))
    base = whole(at(distribution, "onDemandBaseCapacity")) or 0
    share = 100 if share is None else share

    def on_demand(total: int) -> int:
        return min(total, base) + -(-max(total - base, 0) * share // 100)

    yield _Group(types, Market.ON_DEMAND, on_demand(low), on_demand(high))
    yield _Group(types, Market.SPOT, low - on_demand(low), high - on_demand(high))


def _node_group(resource: Resource, _: Graph) -> Iterator[_Group]:
    scaling = at(resource.inputs, "scalingConfig")
    low, high = whole(at(scaling, "minSize")), whole(at(scaling, "maxSize"))
    spot = at(resource.inputs, "capacityType") == "SPOT"
    if low is not None and high is not None:
        types = texts(at(resource.inputs, "instanceTypes"))
        yield _Group(types, Market.SPOT if spot else Market.ON_DEMAND, low, high)


def _node_pool(resource: Resource, _: Graph) -> Iterator[_Group]:
    requirements = sequence(at(resource.inputs, "spec", "template", "spec", "requirements"))
    allowed = {str(at(one, "key")): texts(at(one, "values")) for one in requirements if at(one, "operator") == "In"}
    types = allowed.get(_INSTANCE_TYPE, ())
    known = catalog.instance_types()
    gpus = min((known[name].gpu_count for name in types if name in known), default=0)
    limit = whole(at(resource.inputs, "spec", "limits", _GPU))
    if limit is None or not gpus:
        return
    bought = allowed.get(_BOUGHT, ("on-demand",))
    if "spot" in bought:
        yield _Group(types, Market.SPOT, 0, limit // gpus)
    if {"on-demand", "reserved"} & set(bought):
        yield _Group(types, Market.ON_DEMAND, 0, limit // gpus)
