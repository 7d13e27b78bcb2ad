"""Inside a running program: the engine's strings become the same settings, and secrets stay where they are."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import Mocks, set_all_config, set_mocks
from pulumi.runtime.rpc import UNKNOWN
from settings_stacks import EXAMPLES, SHIPPED, as_the_engine_passes, everything

from slipway.problems import StackError
from slipway.settings import from_pulumi, read_stack, secret

pytestmark = pytest.mark.unit

GOOD = {
    "aws:region": "us-east-1",
    "slipway:platform": "vllm",
    "slipway:instanceTypes": '["g6.xlarge"]',
    "slipway:model": "llama-3.1-8b-instruct",
}


class _Nothing(Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return args.name, dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        return {}


def _configured(values: Mapping[str, str], stack: str = "prod", secrets: tuple[str, ...] = ()) -> None:
    set_mocks(_Nothing(), project="slipway", stack=stack)
    set_all_config(dict(values), list(secrets))


@pytest.fixture(autouse=True)
def _no_config_left_behind() -> Iterator[None]:
    yield
    set_all_config({}, [])


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in (*SHIPPED, *EXAMPLES)])
def test_every_shipped_stack_reads_the_same_in_the_program(path: Path) -> None:
    found = read_stack(str(path), path.parent)
    _configured(as_the_engine_passes(found.config), found.name)
    assert from_pulumi() == found.settings


def test_a_decrypted_secret_leaves_only_its_name() -> None:
    _configured(GOOD | {"slipway:hfToken": "hf_PLANTEDsecretMARKER0123"}, secrets=("slipway:hfToken",))
    found = from_pulumi()
    assert found.secrets == {"hfToken"}
    assert "PLANTED" not in repr(found)


def test_a_secret_of_the_offline_plan_counts_as_set() -> None:
    """The plan has no key to decrypt with and puts the sentinel for an unknown value in its place."""
    _configured(GOOD | {"slipway:apiKey": UNKNOWN})
    assert from_pulumi().secrets == {"apiKey"}


def test_a_secret_that_is_not_set_is_empty_in_the_project() -> None:
    _configured(GOOD | {"slipway:hfToken": "", "slipway:apiKey": ""})
    assert from_pulumi().secrets == frozenset()


def test_a_secret_in_clear_is_refused_in_the_program_too() -> None:
    _configured(GOOD | {"slipway:apiKey": "hunter2hunter2"})
    with pytest.raises(StackError) as caught:
        from_pulumi()
    assert [problem.key for problem in caught.value.problems] == ["slipway:apiKey"]
    assert "hunter2" not in everything(caught.value.problems)


def test_a_secret_value_elsewhere_is_refused_without_being_read() -> None:
    _configured(GOOD | {"slipway:tags": '{"a":"hunter2hunter2"}'}, secrets=("slipway:tags",))
    with pytest.raises(StackError) as caught:
        from_pulumi()
    assert [problem.key for problem in caught.value.problems] == ["slipway:tags"]
    assert "hunter2" not in everything(caught.value.problems)


def test_secrets_of_other_providers_are_left_alone() -> None:
    _configured(GOOD | {"aws:secretKey": "abc"}, secrets=("aws:secretKey",))
    assert from_pulumi().secrets == frozenset()


def test_every_mistake_is_reported_at_once() -> None:
    _configured({"slipway:platform": "vlm", "slipway:model": "qwen3-8b", "aws:region": "us-esat-1"}, "dev")
    with pytest.raises(StackError) as caught:
        from_pulumi()
    assert caught.value.stack == "dev"
    assert [problem.key for problem in caught.value.problems] == [
        "slipway:platform",
        "aws:region",
        "slipway:instanceTypes",
    ]


def test_a_secret_is_a_secret_output() -> None:
    ran: list[str] = []
    _configured(GOOD | {"slipway:hfToken": "hf_x"}, secrets=("slipway:hfToken",))
    assert (_run(_state("hfToken", ran)), ran) == ((True, True), ["hf_x"])


def test_a_secret_of_the_offline_plan_is_unknown_and_secret_and_no_apply_runs() -> None:
    """Otherwise the sentinel would be hashed, split or encoded as if it were the token."""
    ran: list[str] = []
    _configured(GOOD | {"slipway:hfToken": UNKNOWN})
    assert (_run(_state("hfToken", ran)), ran) == ((False, True), [])


async def _state(name: str, ran: list[str]) -> tuple[bool, bool]:
    derived = secret(name).apply(lambda value: ran.append(value) or value)
    state = await derived.is_known(), await derived.is_secret()
    await derived.future()
    return state


def _run(coroutine: Coroutine[Any, Any, tuple[bool, bool]]) -> tuple[bool, bool]:
    return asyncio.run(coroutine)
