"""Where weights live: only a cluster has a choice, and not every server can share."""

from collections.abc import Iterator

from slipway.catalog.types import Platform
from slipway.settings.mistakes import Mistake
from slipway.settings.models import CachePlace, Target
from slipway.settings.rules.stack import Stack

_PATH = ("storage", "cache")


def cache_of_target(stack: Stack) -> Iterator[Mistake]:
    """On the other targets there is one machine, and weights live on its disk."""
    target, cache = stack.settings.target, stack.settings.storage.cache
    if cache is not CachePlace.AUTO and target is not Target.CLUSTER:
        yield Mistake(
            path=_PATH,
            message=f"has no meaning for the target {target}: weights live on its one disk",
            given=cache.value,
            allowed=(CachePlace.AUTO.value,),
            hint="leave it out, or use target cluster",
        )


def cache_of_platform(stack: Stack) -> Iterator[Mistake]:
    """GPUStack's workers keep weights on their nodes; only Hugging Face's cache is safe for several writers."""
    platform, target, cache = stack.settings.platform, stack.settings.target, stack.settings.storage.cache
    if target is not Target.CLUSTER:
        return
    if platform is Platform.GPUSTACK and cache in {CachePlace.VOLUME, CachePlace.SHARED}:
        yield Mistake(
            path=_PATH,
            message="GPUStack's workers keep weights on their nodes",
            given=cache.value,
            allowed=(CachePlace.AUTO.value, CachePlace.NODE.value),
            hint="leave it out",
        )
    elif platform is not Platform.VLLM and cache is CachePlace.SHARED:
        yield Mistake(
            path=_PATH,
            message=f"{platform} does not lock its model directory, so several servers must not write to one",
            given=cache.value,
            allowed=tuple(place.value for place in CachePlace if place is not CachePlace.SHARED),
            hint="leave it out, or use platform vllm",
        )
