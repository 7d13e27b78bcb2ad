"""The settings of the running Pulumi program. The only module of this room that imports pulumi."""

from typing import Any, cast

import pulumi
from pulumi.runtime import is_config_secret
from pulumi.runtime.config import CONFIG
from pulumi.runtime.rpc import UNKNOWN

from slipway.settings.models import Settings
from slipway.settings.parsing import NAMESPACE, from_config
from slipway.settings.secrecy import SECRET_NAMES

_ENCRYPTED = {"secure": ""}


def from_pulumi() -> Settings:
    """The settings of the stack that runs; raises StackError with every mistake at once.

    Values that are secret go no further than this function: only the names of secrets reach Settings.
    """
    given: dict[str, Any] = CONFIG.get()
    return from_config(pulumi.get_stack(), {key: _plain(key, value) for key, value in given.items()})


def secret(name: str) -> pulumi.Output[str]:
    """The stack's secret `name` as a secret output.

    The offline plan has no key to decrypt with and puts Pulumi's sentinel for an unknown value in the place of every
    encrypted one. Such a secret is unknown, so that no `apply` ever runs on the sentinel.
    """
    config = pulumi.Config(NAMESPACE)
    if config.get(name) == UNKNOWN:
        return pulumi.Output.secret(cast("str", pulumi.UNKNOWN))
    return config.require_secret(name)


def _plain(key: str, value: Any) -> Any:
    declared = key.removeprefix(f"{NAMESPACE}:") in SECRET_NAMES
    if is_config_secret(key) or (declared and value == UNKNOWN):
        return _ENCRYPTED
    return value
