"""The program itself, as Pulumi's language host runs it."""

import runpy
from pathlib import Path

import pulumi
import pytest
from recording import Recording, record

pytestmark = pytest.mark.unit

PROGRAM = Path(__file__).parents[2] / "__main__.py"
LOCAL = {"slipway:target": "local", "slipway:platform": "ollama", "slipway:model": "qwen2.5-0.5b-instruct"}


def run(config: dict[str, str]) -> Recording:
    def program() -> None:
        pulumi.runtime.set_all_config(config)
        runpy.run_path(str(PROGRAM), run_name="__main__")

    try:
        return record(program)
    finally:
        pulumi.runtime.set_all_config({})


def test_a_stack_becomes_the_resources_of_its_target_and_no_other():
    kinds = {found.type.partition(":")[0] for found in run(LOCAL).resources if found.custom}
    assert kinds == {"docker"}


def test_a_stack_with_mistakes_ends_in_one_error_that_names_them_all():
    """A traceback would bury what the user has to change."""
    with pytest.raises(pulumi.RunError) as caught:
        run({**LOCAL, "slipway:platform": "olama", "slipway:sise": "large"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert any(line.startswith("slipway:platform: ") and "nearest: ollama" in line for line in lines)
    assert any(line.startswith("slipway:sise: ") for line in lines)


def test_the_program_is_short():
    assert len(PROGRAM.read_text().splitlines()) <= 40
