"""Who watches a cluster: keys that only mean something with one of the choices, and labels Kubernetes takes."""

import re
from collections.abc import Iterator
from typing import Any, cast

from slipway.settings.mistakes import Mistake
from slipway.settings.models import PrometheusPlace, Target
from slipway.settings.rules.stack import Stack

_SECTION = "monitoring"
# Keys that a choice reads; with another one they would be silently ignored.
_READ_BY = {
    "podMonitorLabels": PrometheusPlace.EXISTING,
    "retentionDays": PrometheusPlace.INSTALL,
    "storageGib": PrometheusPlace.INSTALL,
    "alertmanager": PrometheusPlace.INSTALL,
}
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
_KEY = re.compile(_PREFIX + _NAME)
_VALUE = re.compile(f"({_NAME})?")


def keys_of_place(stack: Stack) -> Iterator[Mistake]:
    """A key the choice never reads is a misunderstanding, not a setting."""
    place = stack.settings.monitoring.prometheus
    if stack.settings.target is not Target.CLUSTER:
        return  # the whole section has no meaning, which is said once
    section: Any = stack.given.get(_SECTION)
    given = cast("dict[str, Any]", section) if isinstance(section, dict) else {}
    for key in [key for key in given if _READ_BY.get(key, place) is not place]:
        yield Mistake(
            path=(_SECTION, key),
            message=f"has no meaning with prometheus: {place}",
            given=str(given[key]),
            hint=f"leave it out, or write prometheus: {_READ_BY[key]}",
        )


def labels(stack: Stack) -> Iterator[Mistake]:
    """The API server refuses other labels, in the middle of an update."""
    for key, value in stack.settings.monitoring.pod_monitor_labels.items():
        path = (_SECTION, "podMonitorLabels", key)
        if _KEY.fullmatch(key) is None:
            yield Mistake(path=path, message="is not the name of a Kubernetes label", given=key)
        elif _VALUE.fullmatch(value) is None:
            yield Mistake(path=path, message="is not the value of a Kubernetes label", given=value)
