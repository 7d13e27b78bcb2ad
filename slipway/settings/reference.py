"""docs/settings.md: every key with its type, default and meaning, made from the models.

``python -m slipway.settings.reference`` renews everything that is made from the models: that page, the JSON Schema
for editors and the ``config:`` block of Pulumi.yaml.
"""

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from slipway.settings.models import Settings
from slipway.settings.parsing import NAMESPACE
from slipway.settings.presets import TIERS
from slipway.settings.schema import SCHEMA_FILE, SECRET_DESCRIPTIONS, TWO_FORMS, editor_schema_text, project_config

REFERENCE_FILE = "docs/settings.md"

_INTRODUCTION = """\
# Settings

<!-- Made from slipway/settings/models.py by `python -m slipway.settings.reference`; edit the models. -->

A stack is a file `Pulumi.NAME.yaml` with a `config:` block. Platform, instance type and model are enough; everything
else has a default that is safe. Unknown keys are refused, and all mistakes of a file are reported at once.

```yaml
config:
  aws:region: us-east-1
  slipway:target: cluster
  slipway:platform: vllm
  slipway:instanceTypes: [g6.xlarge, g6.2xlarge]
  slipway:model: llama-3.1-8b-instruct
```

`slipway:model` takes a name or a mapping, `slipway:instanceTypes` one name or a list. An empty value means that the key
is left out. Keys may also be written without `slipway:`, as Pulumi allows for a project's own keys. Keys of providers
(`aws:`, `kubernetes:`, `docker:`) stand beside them; `aws:region` is needed by the targets `instance` and `cluster`.
"""

_SECRETS = """
## Secrets

Set them with `pulumi config set --secret`; in clear they are refused. Anywhere else an encrypted value, or a value that
looks like an access token, is refused as well, so that the rest of a stack can be read and checked by anybody.

| key | meaning |
|---|---|
"""

_PRESETS = """
## Presets

A preset fills what the stack leaves out; what the stack says wins. The local target takes no instance type from it.

| preset | instance type | context length | concurrency | why |
|---|---|---|---|---|
"""


def reference() -> str:
    """The page, as Markdown."""
    top = _table(Settings, f"{NAMESPACE}:")
    sections = "".join(_section(name, model) for name, model in _nested(Settings))
    secrets = "".join(f"| `{NAMESPACE}:{name}` | {text} |\n" for name, text in SECRET_DESCRIPTIONS.items())
    presets = "".join(
        f"| {name} | {', '.join(tier.instance_types)} | {tier.context_length} | {tier.concurrency} | {tier.why} |\n"
        for name, tier in TIERS.items()
    )
    return f"{_INTRODUCTION}\n## Keys\n\n{top}{sections}{_SECRETS}{secrets}{_PRESETS}{presets}"


def renewed_project(text: str) -> str:
    """Pulumi.yaml with its ``config:`` block, the last of the file, made anew."""
    before, _, _ = text.partition("\nconfig:")
    block = yaml.safe_dump({"config": project_config()}, sort_keys=False, width=120, allow_unicode=True)
    return f"{before.rstrip()}\n{block}"


def renew(project: Path) -> None:
    """Write every file that is made from the models."""
    (project / SCHEMA_FILE).write_text(editor_schema_text(), encoding="utf-8")
    (project / REFERENCE_FILE).write_text(reference(), encoding="utf-8")
    pulumi = project / "Pulumi.yaml"
    pulumi.write_text(renewed_project(pulumi.read_text(encoding="utf-8")), encoding="utf-8")


def _section(path: str, model: type[BaseModel]) -> str:
    summary = (model.__doc__ or "").strip().splitlines()[0]
    return f"\n### `{path}`\n\n{summary}\n\n{_table(model, '')}"


def _table(model: type[BaseModel], prefix: str) -> str:
    outside = {"stack", "region", "secrets"} if model is Settings else set[str]()
    rows = "".join(
        f"| `{prefix}{field.alias}` | {_kind(field)} | {_default(field)} | {_line(field.description)} |\n"
        for name, field in model.model_fields.items()
        if name not in outside
    )
    return f"| key | type | default | meaning |\n|---|---|---|---|\n{rows}"


def _nested(model: type[BaseModel], prefix: str = f"{NAMESPACE}:") -> Iterator[tuple[str, type[BaseModel]]]:
    """The mappings inside `model`, outer before inner; the same mapping under two keys once."""
    seen: set[type[BaseModel]] = set()
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in seen:
                seen.add(part)
                path = f"{prefix}{field.alias}"
                yield path, part
                yield from _nested(part, f"{path}.")


def _kind(field: FieldInfo) -> str:
    if field.alias is not None and field.alias in TWO_FORMS:
        return TWO_FORMS[field.alias]
    parts = [part for part in _parts(field.annotation) if isinstance(part, type) and part is not NoneType]
    kinds = [part for part in parts if get_origin(part) is None and part not in (tuple, dict)]
    name = _kind_name(kinds[0])
    origins = {get_origin(part) for part in (field.annotation, *get_args(field.annotation))}
    if tuple in origins:
        return f"list of {name}"
    return "mapping of text to text" if dict in origins else name


def _kind_name(kind: type) -> str:
    if issubclass(kind, StrEnum):
        return " \\| ".join(f"`{member.value}`" for member in kind)
    if issubclass(kind, BaseModel):
        return "mapping"
    names: Mapping[type, str] = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return names[kind]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.default
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value}`"


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


if __name__ == "__main__":
    renew(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
