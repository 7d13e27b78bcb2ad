"""The network the stack makes or adopts, and who may reach it."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, ip_network

from slipway.settings.mistakes import Mistake, Path
from slipway.settings.rules.stack import Stack

# A larger VPC AWS refuses; in a smaller one the subnets of four zones no longer hold a cluster.
_LARGEST_VPC, _SMALLEST_VPC = 16, 24


def adopted_network(stack: Stack) -> Iterator[Mistake]:
    """An adopted VPC comes with its subnets, in at least two zones."""
    network = stack.settings.network
    subnets = network.private_subnet_ids
    if network.vpc_id is None and subnets:
        yield Mistake(path=("network", "privateSubnetIds"), message="needs vpcId, the VPC they belong to")
    if network.vpc_id is not None and len(set(subnets)) < 2:  # noqa: PLR2004 - two zones
        yield Mistake(
            path=("network", "privateSubnetIds"),
            message="must name at least two different private subnets of the VPC",
            given=list(subnets) or None,
            hint="EKS asks for subnets in two zones",
        )


def address_range(stack: Stack) -> Iterator[Mistake]:
    """The VPC's range is one AWS accepts and that leaves room for its subnets."""
    path, given = ("network", "cidr"), stack.settings.network.cidr
    found = ipv4_range(path, given)
    if isinstance(found, Mistake):
        yield found
    elif not _LARGEST_VPC <= found.prefixlen <= _SMALLEST_VPC:
        yield Mistake(path=path, message=f"must be between /{_LARGEST_VPC} and /{_SMALLEST_VPC}", given=given)


def api_access(stack: Stack) -> Iterator[Mistake]:
    """The cluster's API is never open to everybody."""
    return named_ranges(
        ("network", "apiAccessCidrs"),
        stack.settings.network.api_access_cidrs,
        would="would open the cluster's API to the whole internet",
        instead="name the addresses of your office, VPN or CI",
    )


def named_ranges(path: Path, given: Sequence[str], *, would: str, instead: str) -> Iterator[Mistake]:
    """Ranges that are written right and are not everybody; `would` says what everybody could reach."""
    for index, text in enumerate(given):
        found = ipv4_range((*path, index), text)
        if isinstance(found, Mistake):
            yield found
        elif found.prefixlen == 0:
            yield Mistake(path=(*path, index), message=would, given=text, hint=instead)


def ipv4_range(path: Path, given: str) -> IPv4Network | Mistake:
    """The range as it is written, or what is wrong with it."""
    try:
        found = ip_network(given, strict=False)
    except ValueError:
        return Mistake(path=path, message="must be an IPv4 range such as 10.64.0.0/16", given=given)
    if not isinstance(found, IPv4Network) or "/" not in given:
        return Mistake(path=path, message="must be an IPv4 range such as 10.64.0.0/16", given=given)
    if str(found) != given:
        return Mistake(
            path=path,
            message="has bits set behind the prefix",
            given=given,
            nearest=str(found),
        )
    return found
