"""What is made from the models is current: the JSON Schema for editors, Pulumi.yaml's config block, the reference."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from settings_stacks import EXAMPLES, PROJECT, SHIPPED

from slipway import catalog
from slipway.settings import editor_schema, yaml_text
from slipway.settings.models import SecretName
from slipway.settings.parsing import TOP_LEVEL_KEYS
from slipway.settings.reference import REFERENCE_FILE, reference, renewed_project
from slipway.settings.schema import SCHEMA_FILE, editor_schema_text, project_config

pytestmark = pytest.mark.unit

ALL_STACKS = [pytest.param(path, id=path.stem) for path in (*SHIPPED, *EXAMPLES)]
OWN_KEYS = {f"slipway:{key}" for key in (*TOP_LEVEL_KEYS, *SecretName)}
RENEW = "run: python -m slipway.settings.reference"


def _errors(config: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(editor_schema())
    return [error.json_path for error in validator.iter_errors({"config": config})]


def test_the_editor_schema_in_the_repository_is_current() -> None:
    assert (PROJECT / SCHEMA_FILE).read_text(encoding="utf-8") == editor_schema_text(), RENEW


def test_the_reference_in_the_repository_is_current() -> None:
    assert (PROJECT / REFERENCE_FILE).read_text(encoding="utf-8") == reference(), RENEW


def test_the_project_file_is_current() -> None:
    text = (PROJECT / "Pulumi.yaml").read_text(encoding="utf-8")
    assert text == renewed_project(text), RENEW


def test_the_editor_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(editor_schema_text()))


def test_the_project_declares_exactly_the_keys_of_the_settings() -> None:
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert set(project["config"]) == OWN_KEYS
    assert all(declared["description"] for declared in project["config"].values())


def test_only_the_platform_has_no_default_in_the_project() -> None:
    """Pulumi refuses every stack that lacks a key without a default."""
    assert [key for key, declared in project_config().items() if "default" not in declared] == ["slipway:platform"]


def test_keys_with_two_forms_and_secrets_have_no_type_in_the_project() -> None:
    """Pulumi would refuse `slipway:model: {name: x}` for a key of type string, and ask every stack for the secret."""
    untyped = {key for key, declared in project_config().items() if "type" not in declared}
    assert untyped == {
        "slipway:model",
        "slipway:models",
        "slipway:instanceTypes",
        "slipway:hfToken",
        "slipway:apiKey",
    }


@pytest.mark.parametrize("path", ALL_STACKS)
def test_every_shipped_stack_satisfies_the_editor_schema(path: Path) -> None:
    document, _ = yaml_text.read(path.read_text(encoding="utf-8"), path.name)
    jsonschema.validate(document, editor_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("path", ALL_STACKS)
def test_every_shipped_stack_points_editors_at_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    place = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / place).resolve() == (PROJECT / SCHEMA_FILE).resolve()


GOOD = {"slipway:platform": "vllm", "slipway:model": "qwen3-8b"}


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"slipway:platfrom": "vllm"}, "$.config"),
        ({"platform": "vllm"}, "$.config"),
        ({"slipway:platform": "vlm"}, "$.config['slipway:platform']"),
        ({"slipway:hfToken": "clear"}, "$.config['slipway:hfToken']"),
        ({"slipway:capacity": {"market": "spt"}}, "$.config['slipway:capacity'].market"),
        ({"slipway:capacity": {"mx": 1}}, "$.config['slipway:capacity']"),
        ({"slipway:demand": {"concurrency": "8"}}, "$.config['slipway:demand'].concurrency"),
        ({"slipway:model": {"quantization": "fp8"}}, "$.config['slipway:model']"),
    ],
)
def test_the_editor_marks_mistakes(config: dict[str, Any], where: str) -> None:
    assert _errors(GOOD | config) == [where]


@pytest.mark.parametrize(
    "config",
    [
        {"slipway:model": "a-model-of-tomorrow", "slipway:instanceTypes": ["g9.xlarge"], "aws:region": "moon-1"},
        {"slipway:models": ["qwen3-8b", {"name": "phi-4"}]},
        {"slipway:hfToken": {"secure": "v1:abc"}, "aws:profile": "x", "kubernetes:context": "y"},
        {"slipway:protect": "true"},
    ],
)
def test_the_editor_only_suggests_what_the_catalogue_knows(config: dict[str, Any]) -> None:
    assert _errors(GOOD | config) == []


def test_the_editor_suggests_models_instance_types_and_regions() -> None:
    schema = editor_schema()
    keys = schema["properties"]["config"]["properties"]
    name = schema["$defs"]["ServedModel"]["properties"]["name"]
    assert name["anyOf"][0]["enum"] == list(catalog.models())
    assert keys["slipway:model"]["anyOf"][0]["enum"] == list(catalog.models())
    assert keys["slipway:instanceTypes"]["anyOf"][0]["enum"] == list(catalog.instance_types())
    assert keys["aws:region"]["anyOf"][0]["enum"] == list(catalog.regions())


def test_every_key_has_a_hover_text() -> None:
    schema = editor_schema()
    keys = schema["properties"]["config"]["properties"] | {
        f"{name}.{key}": value
        for name, definition in schema["$defs"].items()
        for key, value in definition.get("properties", {}).items()
    }
    assert [key for key, value in keys.items() if not value.get("description")] == []


def test_the_reference_lists_every_key() -> None:
    text = reference()
    assert [key for key in OWN_KEYS if f"| `{key}` |" not in text] == []
    nested = [key for definition in editor_schema()["$defs"].values() for key in definition.get("properties", {})]
    assert [key for key in nested if f"| `{key}` |" not in text] == []
