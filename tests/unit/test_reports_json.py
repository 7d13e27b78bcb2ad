"""The JSON form is what docs/plan.schema.json says, and that schema is as strict as it can be."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from analyses import local, prod

from slipway.pipeline import Failure
from slipway.problems import Problem, SlipwayError, StackError
from slipway.reports.as_json import document

pytestmark = pytest.mark.unit

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "plan.schema.json").read_text(encoding="utf-8")
)
FAILURE = Failure(name="bad", error=StackError("bad", [Problem(key="slipway:model", message="is missing", line=3)]))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_kind_of_stack_has_the_published_shape() -> None:
    written = json.loads(json.dumps(document([local(), prod(), FAILURE])))
    jsonschema.Draft202012Validator(SCHEMA).validate(written)
    assert [stack["name"] for stack in written["stacks"]] == ["local", "prod", "bad"]


def test_the_keys_of_the_contract_hold_the_figures_of_the_plan() -> None:
    stack = document([prod()])["stacks"][0]
    assert (stack["target"], stack["platform"]) == ("cluster", "vllm")
    assert stack["resources"] == {
        "aws:ec2/subnet:Subnet": 2,
        "aws:eks/cluster:Cluster": 1,
        "kubernetes:apps/v1:Deployment": 1,
    }
    assert stack["monthly_usd"] == {"low": 693.35, "typical": 957.46, "high": 1903.35}
    model = stack["models"][0]
    assert (model["name"], model["fits"]) == ("llama-3.1-8b-instruct", True)
    assert model["memory_gib"] == {"weights": 8.5, "kv cache": 8.0, "activations": 1.0, "cuda graphs": 0.05}
    assert stack["findings"][0] == {
        "id": "SW004",
        "severity": "warning",
        "subject": "disk",
        "message": "is in clear",
        "fix": "encrypt it",
    }


def test_a_model_on_a_cpu_shows_the_terms_of_the_hosts_memory() -> None:
    model = document([local()])["stacks"][0]["models"][0]
    assert model["memory_gib"] == {"weights": 1.0, "engine": 1.0}
    assert model["gpu"] is None


def test_categories_add_up_to_the_total() -> None:
    stack = document([prod()])["stacks"][0]
    for case in ("low", "typical", "high"):
        total = round(sum(money[case] for money in stack["cost"]["by_category"].values()), 2)
        assert total == stack["monthly_usd"][case]


def test_unknown_outputs_are_null_and_secret_ones_are_not_shown() -> None:
    assert document([prod()])["stacks"][0]["outputs"] == {"endpoint": None, "api_key": "[secret]", "namespace": "llm"}


def test_a_problem_has_only_the_fields_it_knows() -> None:
    assert document([FAILURE])["stacks"] == [
        {"name": "bad", "problems": [{"key": "slipway:model", "message": "is missing", "line": 3}]}
    ]


def test_an_error_without_problems_is_one_problem() -> None:
    failure = Failure(name="prod", error=SlipwayError("No engine."))
    assert document([failure])["stacks"] == [{"name": "prod", "problems": [{"key": "", "message": "No engine."}]}]
