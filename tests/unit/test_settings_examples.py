"""The examples: each platform on each target it supports, each with a reason to use it, all listed."""

from pathlib import Path

import pytest
from settings_stacks import EXAMPLES, PROJECT, SHIPPED

from slipway.catalog.types import Market, Platform
from slipway.planning import plan
from slipway.settings import read_stack
from slipway.settings.models import Settings, Target

pytestmark = pytest.mark.unit

README = (PROJECT / "examples" / "README.md").read_text(encoding="utf-8")


def _all() -> dict[str, Settings]:
    return {path.stem: read_stack(str(path), PROJECT).settings for path in EXAMPLES}


@pytest.mark.parametrize("path", [*SHIPPED, *EXAMPLES], ids=lambda path: path.stem)
def test_every_shipped_stack_and_example_fits(path: Path) -> None:
    assert all(model.memory.fits for model in plan(read_stack(str(path), PROJECT).settings).models)


def test_every_platform_is_shown_on_every_target_it_supports() -> None:
    shown = {(found.platform, found.target) for found in _all().values()}
    assert shown == {(platform, target) for platform in Platform for target in Target} - {
        (Platform.GPUSTACK, Target.LOCAL)
    }


def test_the_special_cases_are_shown() -> None:
    examples = _all()
    assert len(examples["vllm-two-models"].served) == 2
    assert examples["vllm-70b-tensor-parallel"].served[0].tensor_parallel == 4
    assert examples["vllm-gpt-oss-20b"].served[0].name == "gpt-oss-20b"
    assert examples["vllm-adopted-vpc"].network.vpc_id == "vpc-0a1b2c3d4e5f60718"
    assert examples["vllm-own-model"].served[0].facts is not None
    assert examples["vllm-instance"].preset is not None
    assert (examples["vllm-instance-spot"].target, examples["vllm-instance-spot"].capacity.market) == (
        Target.INSTANCE,
        Market.SPOT,
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_says_in_three_lines_when_to_use_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("# Use it ")
    assert [line.startswith("# ") for line in lines[1:5]] == [True, True, True, False]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_table_of_examples_is_current(path: Path) -> None:
    found = read_stack(str(path), PROJECT).settings
    use = path.read_text(encoding="utf-8").splitlines()[1].removeprefix("# Use it ").rstrip(".")
    machines = ", ".join(found.instance_types) or "this machine"
    models = ", ".join(model.name for model in found.served)
    row = f"| [{path.stem}]({path.name}) | {found.platform} | {found.target} | {machines} | {models} | {use} |"
    assert row in README.splitlines()


def test_the_table_lists_nothing_else() -> None:
    assert sum(line.startswith("| [") for line in README.splitlines()) == len(EXAMPLES)
