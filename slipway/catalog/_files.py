"""Reading the catalogue's data files: CSV for big tables, YAML for small ones, each read once."""

import csv
from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from slipway.catalog.types import Source

_DATA = files("slipway.catalog") / "data"
# The C loader is eight times faster, but not in every build of PyYAML.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def rows(name: str) -> Iterator[dict[str, str]]:
    """Rows of a CSV file of this catalogue, as text by column name."""
    return csv.DictReader(_text(name).splitlines())


def document(name: str) -> dict[str, Any]:
    """A YAML file of this catalogue."""
    return yaml.load(_text(name), Loader=_LOADER)  # noqa: S506 - both candidates are safe loaders


@cache
def source(key: str) -> Source:
    """The source a data file names by its short key."""
    entry = _sources()[key]
    return Source(name=entry["name"], as_of=as_date(entry["as_of"]))


def as_date(value: date | str) -> date:
    """A day; the first day of a month written ``2026-07`` or of a year written ``2026``."""
    if isinstance(value, date):
        return value
    year, month, day = (*value.split("-"), "1", "1")[:3]
    return date(int(year), int(month), int(day))


@cache
def _sources() -> dict[str, Any]:
    return document("sources.yaml")


def _text(name: str) -> str:
    return (_DATA / name).read_text(encoding="utf-8")
