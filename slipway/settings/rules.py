"""Rules between keys, and rules that need the catalogue. No sizes: whether a model fits is planning's to say.

Each rule names the keys it reads; where one of them is already broken, the rule has nothing reliable to say and is
skipped. Paths are without ``slipway:``, which parsing adds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any, cast

from slipway import catalog
from slipway.catalog.types import InstanceType, Market, Platform
from slipway.settings.mistakes import Mistake, Path
from slipway.settings.models import ServedModel, Settings, Target
from slipway.settings.names import nearest

REGION_KEY = "aws:region"
_HUGGING_FACE_PLATFORMS = frozenset({Platform.VLLM, Platform.GPUSTACK})
# Below these AWS refuses the VPC, or the subnets of four zones no longer hold a cluster.
_LARGEST_VPC, _SMALLEST_VPC = 16, 24
_TAGS_PER_RESOURCE = 50
_TAG_KEY_CHARACTERS, _TAG_VALUE_CHARACTERS = 128, 256
_TAG_PUNCTUATION = frozenset(" +-=._:/@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What the rules look at: the settings, and which keys the user gave (presets and defaults excluded)."""

    settings: Settings
    given: Mapping[str, Any]


Rule = Callable[[Stack], Iterable[Mistake]]


def platform_on_target(stack: Stack) -> Iterator[Mistake]:
    """GPUStack spreads models over GPU machines; on this machine there is nothing for it to manage."""
    settings = stack.settings
    if settings.platform is Platform.GPUSTACK and settings.target is Target.LOCAL:
        others = tuple(platform.value for platform in Platform if platform is not Platform.GPUSTACK)
        yield Mistake(
            path=("platform",),
            message="does not run on the local target",
            given="gpustack",
            allowed=others,
            hint="use target instance or cluster, or another platform",
        )


def region_needed(stack: Stack) -> Iterator[Mistake]:
    """The AWS targets run in a region."""
    settings = stack.settings
    if settings.target is not Target.LOCAL and settings.region is None:
        yield Mistake(
            path=(REGION_KEY,),
            message=f"is missing; the target {settings.target} runs in an AWS region",
            allowed=catalog.regions(),
            hint="add for example `aws:region: us-east-1`",
        )


def region_known(stack: Stack) -> Iterator[Mistake]:
    """The catalogue has zones and prices for the region."""
    given, known = stack.settings.region, catalog.regions()
    if stack.settings.target is not Target.LOCAL and given is not None and given not in known:
        yield Mistake(
            path=(REGION_KEY,),
            message="is not a region of the catalogue",
            given=given,
            allowed=known,
            nearest=nearest(given, known),
        )


def machine_needed(stack: Stack) -> Iterator[Mistake]:
    """The AWS targets need a machine; this machine is not an EC2 one."""
    settings = stack.settings
    if settings.target is Target.LOCAL and "instanceTypes" in stack.given:
        yield Mistake(
            path=("instanceTypes",),
            message="the local target runs on this machine and takes no instance types",
            given=stack.given["instanceTypes"],
            hint="leave the key out, or use target instance or cluster",
        )
    if settings.target is not Target.LOCAL and not settings.instance_types:
        yield Mistake(
            path=("instanceTypes",),
            message=f"is missing; the target {settings.target} needs a machine to run on",
            hint="name an EC2 instance type such as g6.xlarge, or a preset: small, balanced or large",
        )


def instance_types_known(stack: Stack) -> Iterator[Mistake]:
    """Every instance type is in the catalogue, and named once."""
    settings, known = stack.settings, catalog.instance_types()
    if settings.target is Target.LOCAL:
        return
    for index, name in enumerate(settings.instance_types):
        path = _item(stack, "instanceTypes", index)
        if name not in known:
            message = "is not an instance type of the catalogue"
            yield Mistake(path=path, message=message, given=name, nearest=nearest(name, known))
        elif name in settings.instance_types[:index]:
            yield Mistake(path=path, message="stands twice", given=name)


def same_gpu(stack: Stack) -> Iterator[Mistake]:
    """One proof holds for all machines of a pool, so they carry the same GPU in the same number."""
    known = catalog.instance_types()
    types = [known[name] for name in stack.settings.instance_types if name in known]
    if stack.settings.target is Target.LOCAL or not types:
        return
    first = types[0]
    for index, name in enumerate(stack.settings.instance_types):
        if name in known and not _alike(known[name], first):
            alike = tuple(kind.name for kind in known.values() if _alike(kind, first) and kind is not first)
            yield Mistake(
                path=_item(stack, "instanceTypes", index),
                message=f"does not have the same GPUs as {first.name}",
                given=name,
                allowed=alike if first.gpu else (),
            )


def one_of_model_and_models(stack: Stack) -> Iterator[Mistake]:
    """A stack serves `model` or `models`, not both and not neither."""
    has_model, has_models = "model" in stack.given, "models" in stack.given
    if has_model and has_models:
        yield Mistake(path=("models",), message="stands beside `model`", hint="keep one of the two")
    elif not has_model and not has_models:
        yield Mistake(
            path=("model",),
            message="is missing; name the model to serve",
            hint="a catalogue name such as llama-3.1-8b-instruct, or several under `slipway:models`",
        )


def models_known(stack: Stack) -> Iterator[Mistake]:
    """Every model is in the catalogue, or brings its facts; each is served once."""
    known = catalog.models()
    seen: set[str] = set()
    for path, model, brings_facts in _served(stack):
        if model.name in seen:
            yield Mistake(path=path, message="this model is already served by the stack", given=model.name)
        elif not brings_facts and model.name not in known:
            yield Mistake(
                path=path,
                message="is not a model of the catalogue",
                given=model.name,
                nearest=nearest(model.name.rpartition("/")[2], known),
                hint="for a Hugging Face id of your own, give its shape under `facts`" if "/" in model.name else None,
            )
        seen.add(model.name)


def facts(stack: Stack) -> Iterator[Mistake]:
    """The shape of a model of the user's own is possible, and not one we already know."""
    for path, model, _ in _served(stack):
        given, inside = model.facts, (*path[:-1], "facts")
        if given is None:
            continue
        if model.name in catalog.models():
            yield Mistake(path=inside, message="the catalogue already knows this model", hint="leave `facts` out")
        if given.heads % given.kv_heads:
            message = f"must divide heads, which is {given.heads}"
            yield Mistake(path=(*inside, "kvHeads"), message=message, given=given.kv_heads)
        if given.active_parameters_b is not None and given.active_parameters_b > given.parameters_b:
            message = f"must be at most parametersB, which is {given.parameters_b:g}"
            yield Mistake(path=(*inside, "activeParametersB"), message=message, given=given.active_parameters_b)


def hugging_face_ids(stack: Stack) -> Iterator[Mistake]:
    """vLLM and GPUStack download a model of the user's own from Hugging Face."""
    if stack.settings.platform not in _HUGGING_FACE_PLATFORMS:
        return
    for path, model, _ in _served(stack):
        if model.facts is not None and model.name not in catalog.models() and not _is_hugging_face_id(model.name):
            yield Mistake(path=path, message="must be a Hugging Face id such as org/name", given=model.name)


def capacity_order(stack: Stack) -> Iterator[Mistake]:
    """On-demand base <= min <= max."""
    capacity = stack.settings.capacity
    if capacity.max is not None and capacity.max < capacity.min:
        yield Mistake(
            path=("capacity", "max"), message=f"must be at least min, which is {capacity.min}", given=capacity.max
        )
    if capacity.on_demand_base > capacity.min:
        yield Mistake(
            path=("capacity", "onDemandBase"),
            message=f"must be at most min, which is {capacity.min}",
            given=capacity.on_demand_base,
            hint="min counts the base too",
        )


def base_needs_spot(stack: Stack) -> Iterator[Mistake]:
    """A base of on-demand machines only means something below spot machines."""
    capacity = stack.settings.capacity
    if capacity.on_demand_base and capacity.market is not Market.SPOT:
        yield Mistake(
            path=("capacity", "onDemandBase"),
            message="has no meaning without market spot",
            given=capacity.on_demand_base,
            hint="everything is on-demand already; leave the key out or set market: spot",
        )


def capacity_of_target(stack: Stack) -> Iterator[Mistake]:
    """Only a cluster has more than one machine; on this machine nothing is bought."""
    settings = stack.settings
    if settings.target is Target.LOCAL and "capacity" in stack.given:
        yield Mistake(path=("capacity",), message="the local target runs on this machine and buys no capacity")
    if settings.target is Target.INSTANCE:
        for key, value in (("min", settings.capacity.min), ("max", settings.capacity.max)):
            if value is not None and value > 1:
                yield Mistake(
                    path=("capacity", key),
                    message="must be 1: the instance target is a single machine",
                    given=value,
                    hint="use target cluster for more than one machine",
                )
        if settings.capacity.on_demand_base:
            yield Mistake(
                path=("capacity", "onDemandBase"),
                message="has no meaning for a single machine",
                given=settings.capacity.on_demand_base,
                hint="choose market spot or on-demand",
            )


def sections_of_target(stack: Stack) -> Iterator[Mistake]:
    """A section the target never reads is a misunderstanding, not a setting."""
    target = stack.settings.target
    unread = {Target.LOCAL: ("network", "kubernetes"), Target.INSTANCE: ("kubernetes",), Target.CLUSTER: ()}[target]
    for section in unread:
        if section in stack.given:
            yield Mistake(path=(section,), message=f"has no meaning for the target {target}", hint="leave it out")


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
    found = _network(path, given)
    if isinstance(found, Mistake):
        yield found
    elif not _LARGEST_VPC <= found.prefixlen <= _SMALLEST_VPC:
        yield Mistake(path=path, message=f"must be between /{_LARGEST_VPC} and /{_SMALLEST_VPC}", given=given)


def api_access(stack: Stack) -> Iterator[Mistake]:
    """The cluster's API is never open to everybody."""
    for index, given in enumerate(stack.settings.network.api_access_cidrs):
        path = ("network", "apiAccessCidrs", index)
        found = _network(path, given)
        if isinstance(found, Mistake):
            yield found
        elif found.prefixlen == 0:
            yield Mistake(
                path=path,
                message="would open the cluster's API to the whole internet",
                given=given,
                hint="name the addresses of your office, VPN or CI",
            )


def tags(stack: Stack) -> Iterator[Mistake]:
    """AWS's own limits for tags, before a hundred resources fail on them."""
    given = stack.settings.tags
    if len(given) > _TAGS_PER_RESOURCE:
        yield Mistake(path=("tags",), message=f"must be at most {_TAGS_PER_RESOURCE}, AWS's limit for a resource")
    for key, value in given.items():
        path = ("tags", key)
        if key.lower().startswith("aws:"):
            yield Mistake(path=path, message="tags beginning with aws: belong to AWS")
        elif not 1 <= len(key) <= _TAG_KEY_CHARACTERS:
            yield Mistake(path=path, message=f"a tag's key must have 1 to {_TAG_KEY_CHARACTERS} characters")
        elif not _is_tag_text(key):
            yield Mistake(path=path, message="a tag's key may hold letters, digits, spaces and + - = . _ : / @ only")
        if len(value) > _TAG_VALUE_CHARACTERS:
            yield Mistake(path=path, message=f"must be at most {_TAG_VALUE_CHARACTERS} characters", given=value)
        elif not _is_tag_text(value):
            yield Mistake(path=path, message="may hold letters, digits, spaces and + - = . _ : / @ only", given=value)


RULES: tuple[tuple[Rule, tuple[Path, ...]], ...] = (
    (platform_on_target, (("platform",), ("target",))),
    (region_needed, (("target",), (REGION_KEY,))),
    (region_known, ((REGION_KEY,),)),
    (machine_needed, (("target",), ("instanceTypes",), ("preset",))),
    (instance_types_known, ()),
    (same_gpu, ()),
    (one_of_model_and_models, (("model",), ("models",))),
    (models_known, ()),
    (facts, ()),
    (hugging_face_ids, (("platform",),)),
    (capacity_order, (("capacity",),)),
    (base_needs_spot, (("capacity",),)),
    (capacity_of_target, (("target",), ("capacity",))),
    (sections_of_target, (("target",),)),
    (adopted_network, (("network", "vpcId"), ("network", "privateSubnetIds"))),
    (address_range, (("network", "cidr"),)),
    (api_access, ()),
    (tags, ()),
)


def check(stack: Stack, broken: frozenset[Path]) -> Iterator[Mistake]:
    """What the rules say, where the keys they read are sound."""
    for rule, reads in RULES:
        if not any(_related(path, hurt) for path in reads for hurt in broken):
            yield from (mistake for mistake in rule(stack) if not _inside(mistake.path, broken))


def _related(path: Path, other: Path) -> bool:
    length = min(len(path), len(other))
    return path[:length] == other[:length]


def _inside(path: Path, broken: frozenset[Path]) -> bool:
    return any(path[: len(hurt)] == hurt for hurt in broken)


def _served(stack: Stack) -> Iterator[tuple[Path, ServedModel, bool]]:
    """Every model with the path of its name, and whether the user gave facts, sound or not."""
    settings, listed = stack.settings, stack.given.get("models")
    if settings.model is not None:
        yield _named(("model",), settings.model, stack.given.get("model"))
    for index, model in enumerate(settings.models):
        written = cast("list[Any]", listed)[index] if isinstance(listed, list) else None
        yield _named(("models", index), model, written)


def _named(path: Path, model: ServedModel, written: Any) -> tuple[Path, ServedModel, bool]:
    if isinstance(written, str):
        return path, model, False
    return (*path, "name"), model, isinstance(written, Mapping) and "facts" in written


def _item(stack: Stack, key: str, index: int) -> Path:
    """The path of a list's item, or of the key itself where the user wrote one value instead of a list."""
    return (key, index) if isinstance(stack.given.get(key), (list, tuple)) else (key,)


def _alike(one: InstanceType, other: InstanceType) -> bool:
    return (one.gpu, one.gpu_count, one.arch) == (other.gpu, other.gpu_count, other.arch)


def _is_hugging_face_id(name: str) -> bool:
    owner, slash, repository = name.partition("/")
    return bool(owner and slash and repository) and "/" not in repository and " " not in name


def _network(path: Path, given: str) -> IPv4Network | Mistake:
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


def _is_tag_text(text: str) -> bool:
    return all(character.isalnum() or character in _TAG_PUNCTUATION for character in text)
