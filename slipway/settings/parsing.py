"""From a ``config:`` block to Settings: one door for stack files and for the running program.

Pulumi hands a program its configuration as strings: ``true`` for true, JSON for lists and mappings. Values at the
top are therefore brought to that form first, so that a stack means the same in a plan and under ``pulumi up``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from slipway.problems import StackError
from slipway.settings import rules, values
from slipway.settings.mistakes import Mistake, Path, as_problems
from slipway.settings.models import SecretName, Settings
from slipway.settings.names import nearest
from slipway.settings.presets import filled
from slipway.settings.secrecy import SECRET_NAMES, is_secure, is_token, strings, worth_hiding
from slipway.settings.translate import keys_of
from slipway.settings.validation import validate

NAMESPACE = "slipway"
OTHER_NAMESPACES = ("aws", "kubernetes", "docker", "random", "pulumi")
TOP_LEVEL_KEYS = keys_of(Settings)
_LEAKED = "treat the old value as leaked"


def from_config(
    stack: str, config: Mapping[str, Any], *, file: str | None = None, lines: Mapping[str, int] | None = None
) -> Settings:
    """The settings of `stack` from its ``config:`` block; raises StackError with every mistake at once.

    `config` is the block as YAML gives it, or as Pulumi's engine passes it: everything at the top as strings.
    `file` and `lines` (by key path, as in a Problem's `key`) only serve the messages.
    """
    reading = _Reading(stack)
    settings = reading.settings(config)
    if settings is None or reading.mistakes:
        hidden = worth_hiding(iter(reading.in_clear))
        raise StackError(stack, as_problems(reading.mistakes, config, file=file, lines=lines, hidden=hidden))
    return settings


@dataclass(slots=True)
class _Reading:
    """What is found out about one stack.

    Paths in `broken` begin with a name of ours without ``slipway:``, or a foreign key; those in `mistakes` with the
    key as the user wrote it.
    """

    stack: str
    mistakes: list[Mistake] = field(default_factory=list[Mistake])
    broken: set[Path] = field(default_factory=set[Path])
    spellings: dict[str, str] = field(default_factory=dict[str, str])
    in_clear: set[str] = field(default_factory=set[str])
    meant: set[str] = field(default_factory=set[str])

    def settings(self, config: Mapping[str, Any]) -> Settings | None:
        own = self.own_values(config)
        secrets = self.secret_names(own)
        given = {name: value for name, value in self.decoded(own) if value is not None}
        # What stands under a misspelled key is not reported as missing on top.
        self.broken |= {(name,) for name in self.meant if name not in own and name not in config}
        region = self.region(config)
        # Presets fill what is left out, so they see the mapping as the user wrote it, in one shape.
        data = filled(values.uniform(given))
        outcome = validate({"stack": self.stack, "region": region, "secrets": secrets, **data}, given, self.broken)
        self.note(*outcome.mistakes)
        self.broken |= outcome.broken
        if outcome.settings is not None:
            stack = rules.Stack(settings=outcome.settings, given=given)
            self.note(*rules.check(stack, frozenset(self.broken)))
        return outcome.settings

    def note(self, *mistakes: Mistake) -> None:
        """Keep mistakes whose paths begin with a name of ours or a foreign key."""
        for mistake in mistakes:
            root = str(mistake.path[0])
            written = self.spellings.get(root, root if ":" in root else f"{NAMESPACE}:{root}")
            self.mistakes.append(replace(mistake, path=(written, *mistake.path[1:])))

    def own_values(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the ``slipway:`` namespace by name; a key without a namespace is Pulumi's short form of it."""
        own: dict[str, Any] = {}
        for key, value in cast("Mapping[Any, Any]", config).items():
            namespace, name = _split(key)
            if namespace is None or name is None:
                hint = "write it as slipway:name"
                self.mistakes.append(Mistake(path=(str(key),), message="is not a configuration key", hint=hint))
            elif namespace != NAMESPACE:
                self.foreign(str(key), namespace, name, value)
            elif name in own:
                message = f"stands twice; the first is {self.spellings[name]}"
                self.mistakes.append(Mistake(path=(str(key),), message=message))
            else:
                own[name] = value
                self.spellings[name] = str(key)
        return own

    def foreign(self, key: str, namespace: str, name: str, value: Any) -> None:
        """A key of another provider is its own affair, but not a near miss of ours and not a token in clear."""
        self.tokens(value, (key,))
        if namespace in OTHER_NAMESPACES:
            if namespace == "aws" and name != "region" and name.lower().startswith("regi"):
                self.near_miss(key, rules.REGION_KEY, rules.REGION_KEY)
            return
        hit = nearest(namespace, (NAMESPACE, *OTHER_NAMESPACES))
        if hit is not None:
            meant = nearest(name, TOP_LEVEL_KEYS) or name if hit == NAMESPACE else name
            self.near_miss(key, f"{hit}:{meant}", meant if hit == NAMESPACE else f"{hit}:{meant}")

    def near_miss(self, key: str, meant: str, root: str) -> None:
        """Note an unknown key of another namespace; `root` is what the rules call the key that was meant."""
        self.mistakes.append(Mistake(path=(key,), message="there is no such key", nearest=meant))
        self.meant.add(root)

    def secret_names(self, own: dict[str, Any]) -> frozenset[str]:
        """Takes the secrets out of `own`; only their names go on."""
        found: set[str] = set()
        for name in sorted(SECRET_NAMES & own.keys()):
            value = own.pop(name)
            if is_secure(value):
                found.add(name)
            elif value not in (None, ""):
                self.in_clear.update(strings(value))
                message = "secret in clear: the value must be encrypted"
                self.note(Mistake(path=(name,), message=message, hint=f"{self.command(name)}; {_LEAKED}"))
        return frozenset(found)

    def command(self, name: str) -> str:
        """The command that sets a secret of this stack."""
        return f"pulumi config set --secret {NAMESPACE}:{name} --stack {self.stack}"

    def decoded(self, own: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Every value in its own type; unknown keys and values that hide a secret are noted and left out."""
        for name, value in own.items():
            if name not in TOP_LEVEL_KEYS:
                self.unknown_key(name, value)
                continue
            try:
                plain = values.decoded(name, value)
            except values.TooDeepError:
                self.refuse(Mistake(path=(name,), message="is nested too deeply"))
                continue
            secret = self.encrypted(plain, (name,)) | self.tokens(plain, (name,))
            yield name, values.without(plain, secret, (name,))

    def unknown_key(self, name: str, value: Any) -> None:
        """The value is not shown: under a misspelled key it may be a secret."""
        self.in_clear.update(strings(value) if nearest(name, SECRET_NAMES) else ())
        hit = "aws:region" if name == "region" else nearest(name, (*TOP_LEVEL_KEYS, *SECRET_NAMES))
        meant = hit if hit is None or ":" in hit else f"{NAMESPACE}:{hit}"
        allowed = tuple(f"{NAMESPACE}:{key}" for key in (*TOP_LEVEL_KEYS, *sorted(SECRET_NAMES)))
        self.note(Mistake(path=(name,), message="there is no such key", allowed=allowed, nearest=meant))
        if hit is not None:
            self.meant.add(hit)

    def encrypted(self, value: Any, path: Path) -> frozenset[Path]:
        """Notes encrypted values where none belongs, and gives their paths."""
        found = frozenset(where for where, item in values.leaves(value, path) if is_secure(item))
        names = " and ".join(f"{NAMESPACE}:{name}" for name in sorted(SECRET_NAMES))
        for where in found:
            message = f"an encrypted value can only stand at {names}"
            self.refuse(Mistake(path=where, message=message, hint="write this value in plain"))
        return found

    def tokens(self, value: Any, path: Path) -> frozenset[Path]:
        """Notes access tokens in clear inside `value`, and gives their paths."""
        leaves = values.leaves(value, path)
        found = {where: item for where, item in leaves if isinstance(item, str) and is_token(item)}
        for where, item in found.items():
            name = SecretName.HF_TOKEN if "hf_" in item else SecretName.API_KEY
            message = "secret in clear: this looks like an access token"
            self.refuse(Mistake(path=where, message=message, hint=f"{self.command(name)}; {_LEAKED}"))
        return frozenset(found)

    def region(self, config: Mapping[str, Any]) -> str | None:
        """The AWS provider's region."""
        value = config.get(rules.REGION_KEY)
        if value in (None, "") or (rules.REGION_KEY,) in self.broken:
            return None
        if not isinstance(value, str):
            self.refuse(Mistake(path=(rules.REGION_KEY,), message="must be text", given=value))
            return None
        return value

    def refuse(self, mistake: Mistake) -> None:
        """Note a mistake at a place that no rule can rely on any more."""
        self.note(mistake)
        self.broken.add(mistake.path)


def _split(key: Any) -> tuple[str | None, str | None]:
    """Namespace and name. Pulumi puts keys without a namespace into the project's own."""
    match key.split(":") if isinstance(key, str) else ():
        case [name] if name:
            return NAMESPACE, name
        case [namespace, name] | [namespace, "config", name] if namespace and name:
            return namespace, name
        case _:
            return None, None
