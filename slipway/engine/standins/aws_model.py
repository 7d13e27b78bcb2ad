"""AWS's service models as botocore ships them, read as data: botocore's own classes cost 70 ms to import."""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from botocore.loaders import Loader  # pyright: ignore[reportMissingTypeStubs]

_LOADING: Final = threading.Lock()  # the loader is not made for threads


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of a service: `rules` is its definition, with `type`, and `members`, `enum`, `pattern`, `min`, `max`."""

    service: str
    rules: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """structure, list, map, string, integer, ..."""
        return self.rules["type"]

    @property
    def enum(self) -> Sequence[str]:
        """The only values a string may have; empty when it may have others."""
        return self.rules.get("enum", ())

    @property
    def item(self) -> "Shape":
        """What a list holds."""
        return _named(self.service, self.rules["member"]["shape"])

    @property
    def key(self) -> "Shape":
        """What a map's keys are."""
        return _named(self.service, self.rules["key"]["shape"])

    @property
    def value(self) -> "Shape":
        """What a map's values are."""
        return _named(self.service, self.rules["value"]["shape"])

    def member(self, name: str) -> "Shape | None":
        """The member of a structure with this name, whatever its case, singular or plural."""
        members: Mapping[str, Any] = self.rules.get("members", {})
        names = _by_plain_name(tuple(members))
        plain = _plain(name)
        for candidate in (plain, f"{plain}s", plain.removesuffix("s")):
            if candidate in names:
                return _named(self.service, members[names[candidate]]["shape"])
        return None

    def at(self, path: str) -> "Shape | None":
        """The shape at a path such as ``BlockDeviceMappings[].Ebs.VolumeType``."""
        shape: Shape | None = self
        for part in path.split("."):
            shape = shape.member(part.removesuffix("[]")) if shape is not None else None
            if shape is not None and part.endswith("[]"):
                shape = shape.item
        return shape


@cache
def request(service: str, operation: str) -> Shape:
    """What an operation takes."""
    return _named(service, _model(service)["operations"][operation]["input"]["shape"])


def partition(region: str) -> tuple[str, str]:
    """A region's partition and the domain of its services, such as ``aws`` and ``amazonaws.com``."""
    for candidate in _partitions():
        if re.match(candidate["regionRegex"], region):
            return candidate["id"], candidate["outputs"]["dnsSuffix"]
    raise LookupError(f"no AWS partition has a region {region}")


@cache
def _loader() -> Any:
    return Loader()


@cache
def _model(service: str) -> Mapping[str, Any]:
    with _LOADING:
        return _loader().load_service_model(service, "service-2")


@cache
def _partitions() -> Sequence[Mapping[str, Any]]:
    with _LOADING:
        return _loader().load_data("partitions")["partitions"]


def _named(service: str, name: str) -> Shape:
    return Shape(service, _model(service)["shapes"][name])


@cache
def _by_plain_name(names: tuple[str, ...]) -> Mapping[str, str]:
    return {_plain(name): name for name in names}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
