"""The settings inside the real engine: Pulumi.yaml's schema lets every stack pass, and strings mean what YAML means."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hand_made import Stack

from slipway.engine import Engine, preview
from slipway.problems import SlipwayError
from slipway.settings import Settings, read_stack, yaml_text

pytestmark = pytest.mark.engine

PROJECT = Path(__file__).parents[2]
STACKS = (
    *sorted(PROJECT.glob("Pulumi.*.yaml")),
    PROJECT / "examples" / "vllm-own-model.yaml",
    PROJECT / "examples" / "vllm-two-models.yaml",
    PROJECT / "examples" / "vllm-adopted-vpc.yaml",
)
PROGRAM = """
import pulumi
from slipway.settings import from_pulumi, secret

found = from_pulumi()
pulumi.export("settings", found.model_dump_json(by_alias=True))
if "hfToken" in found.secrets:
    def seen(value):
        raise AssertionError("an apply ran on a secret the plan cannot know")
    secret("hfToken").apply(seen)
    pulumi.export("token", secret("hfToken"))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with our own Pulumi.yaml and a program that only reads its settings."""
    shutil.copy(PROJECT / "Pulumi.yaml", tmp_path)
    (tmp_path / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in STACKS])
def test_a_stack_means_the_same_in_the_file_and_in_the_program(folder: Path, path: Path) -> None:
    stack = read_stack(str(path), PROJECT)
    graph = preview(stack, project=folder)
    assert Settings.model_validate_json(graph.outputs["settings"]) == stack.settings


PLAIN = {"aws:region": "us-east-1", "slipway:platform": "vllm", "slipway:instanceTypes": "g6.xlarge"}


# Read differently by YAML 1.1, which is what PyYAML speaks, or a matter of form.
SCALARS = [
    "09",
    "1_000",
    "010",
    "0o10",
    "0x1F",
    "0b11",
    "-0x1F",
    "+5",
    "1e3",
    "5e6",
    "2000.0",
    "1.",
    ".5",
    "1.30",
    "08.5",
    "190:20:30",
    "12:30",
    "yes",
    "No",
    "on",
    "TRUE",
    "False",
    "~",
    "null",
    "Null",
    "y",
    "n",
    "_1",
    "1__0",
    "0.1",
    "123456789",
    "us-east-1",
    "1.2.3",
    "+x",
    "=",
]


def test_plain_values_are_read_as_the_engine_reads_them(tmp_path: Path, folder: Path, engine: Engine) -> None:
    """A plan that reads a value in another way than the deployment proves something else than what will run."""
    inside = "".join(f"    v{index}: {text}\n" for index, text in enumerate(SCALARS))
    text = f"config:\n  slipway:platform: vllm\n  other:values:\n{inside}"
    (tmp_path / "Pulumi.values.yaml").write_text(text, encoding="utf-8")
    read, _ = yaml_text.read(text, "Pulumi.values.yaml")
    (tmp_path / "state").mkdir()
    environment = {
        "HOME": str(tmp_path),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PATH": os.environ["PATH"],
    }

    def pulumi(*arguments: str) -> str:
        command = [str(engine.path), *arguments, "--stack", "values", "--non-interactive"]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    pulumi("stack", "init")
    assert json.loads(pulumi("config", "get", "other:values")) == read["config"]["other:values"]


def test_an_encrypted_secret_is_planned_without_its_value(folder: Path) -> None:
    config = PLAIN | {"slipway:model": "qwen3-8b", "slipway:hfToken": {"secure": "v1:abc:def"}}
    graph = preview(Stack(config=config), project=folder)
    assert Settings.model_validate_json(graph.outputs["settings"]).secrets == {"hfToken"}


def test_a_stack_without_the_platform_is_refused_by_pulumi_itself(folder: Path) -> None:
    """The one key of the project without a default."""
    with pytest.raises(SlipwayError, match="missing configuration value 'slipway:platform'"):
        preview(Stack(config={"slipway:model": "qwen3-8b"}), project=folder)
