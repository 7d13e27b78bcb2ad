"""The JSON Schema of a stack file, for editors, and the ``config:`` block of Pulumi.yaml; both from the models."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from slipway import catalog
from slipway.settings.models import SecretName, Settings
from slipway.settings.parsing import NAMESPACE, TOP_LEVEL_KEYS

Schema = dict[str, Any]

SCHEMA_FILE = "docs/stack.schema.json"

SECRET_DESCRIPTIONS: Mapping[SecretName, str] = {
    SecretName.HF_TOKEN: "Hugging Face token for gated models.",
    SecretName.API_KEY: "Key the server asks its clients for; made at random where it is not set.",
}

# Keys that are written in more than one form. Pulumi can type a key in one way only.
TWO_FORMS: Mapping[str, str] = {
    "model": "name, or mapping",
    "models": "list of names or mappings",
    "instanceTypes": "name, or list of names",
}


def editor_schema() -> Schema:
    """JSON Schema (draft 2020-12) of a whole stack file, for completion and hover texts in editors.

    Names that only the catalogue knows (models, instance types, regions) are suggestions: the catalogue grows. Keys
    are asked for in full, with ``slipway:``; Pulumi and Slipway also take them without.
    """
    properties, definitions = _generated()
    own = {f"{NAMESPACE}:{key}": properties[key] for key in TOP_LEVEL_KEYS}
    secrets = {f"{NAMESPACE}:{name}": _secure(text) for name, text in SECRET_DESCRIPTIONS.items()}
    known = "|".join((*TOP_LEVEL_KEYS, *SECRET_DESCRIPTIONS))
    config: Schema = {
        "type": "object",
        "description": "Keys of the stack; keys of providers, such as aws:region, stand beside those of slipway.",
        "properties": {
            "aws:region": {"description": "AWS region; not needed by the local target.", **_any_of(catalog.regions())},
            **own,
            **secrets,
        },
        "patternProperties": {f"^{NAMESPACE}:(?!({known})$)": False, "^[^:]*$": False},
        "required": [f"{NAMESPACE}:platform"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Slipway stack",
        "type": "object",
        "properties": {
            "config": config,
            "secretsprovider": {"type": "string", "description": "What encrypts the secrets, such as awskms://..."},
            "encryptedkey": {"type": "string"},
            "encryptionsalt": {"type": "string"},
            "environment": {"description": "Pulumi ESC environments."},
        },
        "required": ["config"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def editor_schema_text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(editor_schema(), indent=2, ensure_ascii=False) + "\n"


def project_config() -> dict[str, Schema]:
    """The ``config:`` block of Pulumi.yaml.

    Pulumi asks every stack for each key its project declares without a default, so optional keys have one: the
    setting's own, or an empty value, which Slipway reads as left out. Keys with two forms and secrets have no `type`:
    Pulumi would refuse the second form, or ask every stack for the secret.
    """
    properties, _ = _generated()
    block = {f"{NAMESPACE}:{key}": _declared(key, properties[key]) for key in TOP_LEVEL_KEYS}
    for name, text in SECRET_DESCRIPTIONS.items():
        block[f"{NAMESPACE}:{name}"] = {"description": f"{text} Set it with --secret.", "default": "", "secret": True}
    return block


def _generated() -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The properties of Settings and the models they refer to, as pydantic describes them, tidied for reading."""
    generated = Settings.model_json_schema(by_alias=True)
    properties: dict[str, Schema] = {key: _tidy(value) for key, value in generated["properties"].items()}
    definitions: dict[str, Schema] = {key: _tidy(value) for key, value in generated["$defs"].items()}
    model = _any_of(catalog.models())
    served: Schema = {"$ref": "#/$defs/ServedModel"}
    machine = _any_of(catalog.instance_types())
    definitions["ServedModel"]["properties"]["name"] |= model
    _replace(properties["model"], {"anyOf": [*model["anyOf"], served]})
    _replace(properties["models"], {"type": "array", "items": {"anyOf": [*model["anyOf"], served]}})
    _replace(properties["instanceTypes"], {"anyOf": [*machine["anyOf"], {"type": "array", "items": machine}]})
    # `pulumi config set` writes every scalar as text.
    _replace(properties["protect"], {"enum": [True, False, "true", "false"]})
    return properties, definitions


def _replace(schema: Schema, form: Schema) -> None:
    """Give `schema` another form; what it says stays."""
    for key in schema.keys() - {"description", "default"}:
        del schema[key]
    schema |= form


def _any_of(names: Iterable[str]) -> Schema:
    """Names offered for completion; any other text is allowed."""
    return {"anyOf": [{"enum": list(names)}, {"type": "string"}]}


def _secure(description: str) -> Schema:
    return {
        "description": f"{description} Set it with `pulumi config set --secret`.",
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }


def _tidy(value: Any) -> Any:
    """Without pydantic's titles, without null (a key is left out instead), without limits that only stop nonsense."""
    if isinstance(value, list):
        return [_tidy(item) for item in cast("list[Any]", value) if item != {"type": "null"}]
    if not isinstance(value, dict):
        return value
    schema = {
        key: _tidy(item)
        for key, item in cast("Schema", value).items()
        if not (key == "title" and isinstance(item, str)) and not (key == "default" and item is None)
    }
    if schema.get("maximum", 0) >= 10**12:
        del schema["maximum"]
    if len(schema.get("anyOf", ())) == 1:
        schema |= schema.pop("anyOf")[0]
    return schema


def _declared(key: str, schema: Schema) -> Schema:
    declared: Schema = {"description": schema["description"]}
    kind = _pulumi_type(key, schema)
    if kind is not None:
        declared["type"] = kind
    if key != "platform":
        declared["default"] = _neutral(key, kind, schema)
    return declared


def _pulumi_type(key: str, schema: Schema) -> str | None:
    if key in TWO_FORMS:
        return None
    if "enum" in schema:
        return "boolean"
    if key in {"target", "platform", "preset"}:
        return "string"
    return "object"


def _neutral(key: str, kind: str | None, schema: Schema) -> Any:
    """The setting's own default where it is one word, else an empty value."""
    if kind in {"string", "boolean"}:
        return schema.get("default", "")
    return {} if kind == "object" else [] if key != "model" else ""
