"""The stack's secrets: those it was given, and those made for it. Values leave only as secret outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_random as random

from components.naming import PACKAGE, dns_label
from slipway.settings.models import SecretName

PASSWORD_LENGTH = 48
GENERATED = frozenset({SecretName.API_KEY.value})
"""Secrets that are made where the stack gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecretsArgs:
    """What is needed, and what there is."""

    needed: Sequence[str]
    """Names of the secrets the stack's servers refer to."""
    given: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Secrets of the stack file by name."""

    def __post_init__(self) -> None:
        missing = sorted(set(self.needed) - set(self.given) - GENERATED)
        if missing:
            raise ValueError(f"given: missing {', '.join(missing)}")


class StackSecrets(pulumi.ComponentResource):
    """Secrets by name. An API key is generated where the stack file has none; it stays the same from then on."""

    values: Mapping[str, pulumi.Output[str]]
    """The needed secrets by name, each a secret output."""

    def __init__(self, name: str, args: StackSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:StackSecrets", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.values = {
            secret: pulumi.Output.secret(args.given[secret])
            if secret in args.given
            else generated(f"{name}-{dns_label(_words(secret))}", child)
            for secret in sorted(set(args.needed))
        }
        self.register_outputs({"names": sorted(self.values)})


def generated(name: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """A password no one has to type: letters and digits, 285 bits of chance."""
    return random.RandomPassword(name, length=PASSWORD_LENGTH, special=False, opts=opts).result


def _words(camel_case: str) -> str:
    return "".join(f"-{letter}" if letter.isupper() else letter for letter in camel_case)
