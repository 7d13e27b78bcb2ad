"""What good stacks mean: short forms, defaults, presets, secrets, and the same meaning as the engine's strings."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from settings_stacks import EXAMPLES, SHIPPED, accepted, as_the_engine_passes, everything

from slipway import catalog
from slipway.catalog.types import Market, Platform, Quantization
from slipway.planning import plan
from slipway.problems import StackError
from slipway.settings import Settings, from_config, read_stack
from slipway.settings.models import Preset, SecretName, ServedModel, Target
from slipway.settings.parsing import TOP_LEVEL_KEYS
from slipway.settings.presets import TIERS

pytestmark = pytest.mark.unit

GOOD: dict[str, Any] = {
    "aws:region": "us-east-1",
    "slipway:platform": "vllm",
    "slipway:instanceTypes": "g6.xlarge",
    "slipway:model": "llama-3.1-8b-instruct",
}
ALL_STACKS = [pytest.param(path, id=path.stem) for path in (*SHIPPED, *EXAMPLES)]


def test_platform_instance_type_and_model_are_enough() -> None:
    found = accepted(GOOD)
    assert (found.target, found.platform, found.instance_types) == (Target.INSTANCE, Platform.VLLM, ("g6.xlarge",))
    assert found.served == (ServedModel(name="llama-3.1-8b-instruct"),)
    assert (found.capacity.market, found.capacity.min, found.capacity.max) == (Market.ON_DEMAND, 1, None)
    assert (found.demand.concurrency, found.demand.context_length) == (8, 4096)
    assert (found.network.cidr, found.network.api_access_cidrs, found.kubernetes.version) == (
        "10.64.0.0/16",
        (),
        "1.35",
    )
    assert (found.budget, found.tags, found.protect, found.secrets) == (None, {}, False, frozenset())


def test_the_local_target_needs_neither_region_nor_instance_type() -> None:
    found = accepted({"slipway:target": "local", "slipway:platform": "ollama", "slipway:model": "qwen3-8b"})
    assert (found.region, found.instance_types) == (None, ())


@pytest.mark.parametrize("model", ["qwen3-8b", {"name": "qwen3-8b"}, '{"name": "qwen3-8b"}'])
def test_a_model_is_a_name_or_a_mapping(model: Any) -> None:
    assert accepted(GOOD | {"slipway:model": model}).model == ServedModel(name="qwen3-8b")


def test_models_are_names_or_mappings() -> None:
    models = ["qwen3-8b", {"name": "phi-4", "quantization": "fp8"}]
    found = accepted({key: value for key, value in GOOD.items() if key != "slipway:model"} | {"slipway:models": models})
    assert found.served == (ServedModel(name="qwen3-8b"), ServedModel(name="phi-4", quantization=Quantization.FP8))


@pytest.mark.parametrize("types", ["g6.xlarge", ["g6.xlarge"], '["g6.xlarge"]'])
def test_instance_types_are_one_name_or_a_list(types: Any) -> None:
    assert accepted(GOOD | {"slipway:instanceTypes": types}).instance_types == ("g6.xlarge",)


def test_keys_without_a_namespace_and_with_pulumis_old_module_are_ours() -> None:
    """Pulumi puts both into the project's namespace."""
    plain = {key.removeprefix("slipway:"): value for key, value in GOOD.items()}
    old = {key.replace("slipway:", "slipway:config:"): value for key, value in GOOD.items()}
    assert accepted(plain) == accepted(old) == accepted(GOOD)


def test_an_empty_value_is_left_out() -> None:
    """Pulumi fills optional keys of the project with these, and turns an empty YAML value into an empty text."""
    empty = {f"slipway:{key}": value for key in TOP_LEVEL_KEYS for value in ("",) if f"slipway:{key}" not in GOOD}
    assert accepted(GOOD | empty | {"slipway:tags": {}, "slipway:models": [], "slipway:budget": None}) == accepted(GOOD)


@pytest.mark.parametrize(("given_value", "expected"), [(True, True), ("true", True), (False, False), ("false", False)])
def test_a_flag_may_be_quoted_because_pulumi_config_set_quotes_it(given_value: object, *, expected: bool) -> None:
    assert accepted(GOOD | {"slipway:protect": given_value}).protect is expected


def test_keys_of_other_providers_are_not_ours_to_judge() -> None:
    others = {
        "aws:profile": "x",
        "aws:secretKey": {"secure": "abc"},
        "kubernetes:context": "y",
        "acme:thing": {"a": [1]},
    }
    assert accepted(GOOD | others) == accepted(GOOD)


@pytest.mark.parametrize("base", [1, 2, 5])
def test_min_follows_the_base_where_it_is_left_out(base: int) -> None:
    capacity = {"market": "spot", "onDemandBase": base, "max": 8}
    found = accepted(GOOD | {"slipway:target": "cluster", "slipway:capacity": capacity}).capacity
    assert (found.min, found.on_demand_base, found.max) == (base, base, 8)


def test_a_model_of_ones_own_brings_its_facts() -> None:
    facts = {
        "parametersB": 7.242,
        "layers": 32,
        "heads": 32,
        "kvHeads": 8,
        "headDim": 128,
        "hiddenSize": 4096,
        "vocabulary": 32000,
        "maxContext": 32768,
    }
    found = accepted(GOOD | {"slipway:model": {"name": "org/mine", "facts": facts}}).model
    assert found is not None
    assert found.facts is not None
    assert (found.name, found.facts.parameters_b, found.facts.kv_heads, found.facts.gated) == (
        "org/mine",
        7.242,
        8,
        False,
    )


def test_only_the_names_of_secrets_reach_the_settings() -> None:
    found = accepted(GOOD | {"slipway:hfToken": {"secure": "v1:PLANTED"}, "slipway:apiKey": ""})
    assert found.secrets == {SecretName.HF_TOKEN}
    assert "PLANTED" not in repr(found)


@pytest.mark.parametrize("preset", Preset)
def test_a_preset_fills_the_whole_tier(preset: Preset) -> None:
    tier = TIERS[preset]
    found = accepted(
        {key: value for key, value in GOOD.items() if "Types" not in key} | {"slipway:preset": preset.value}
    )
    assert found.instance_types == tier.instance_types
    assert (found.demand.context_length, found.demand.concurrency) == (tier.context_length, tier.concurrency)


def test_what_the_user_wrote_wins_over_the_preset() -> None:
    found = accepted(GOOD | {"slipway:preset": "large", "slipway:demand": {"concurrency": 3, "tokensPerDay": 10}})
    assert found.instance_types == ("g6.xlarge",)
    assert (found.demand.context_length, found.demand.concurrency, found.demand.tokens_per_day) == (8192, 3, 10)


def test_a_preset_on_this_machine_fills_no_instance_type() -> None:
    config = {"target": "local", "platform": "ollama", "model": "qwen3-0.6b", "preset": "small"}
    found = accepted(config)
    assert (found.instance_types, found.demand.context_length) == ((), 2048)


@pytest.mark.parametrize(
    ("preset", "model"),
    [
        ("small", {"name": "qwen2.5-3b-instruct"}),
        ("balanced", {"name": "llama-3.1-8b-instruct", "quantization": "awq"}),
        ("large", {"name": "llama-3.3-70b-instruct", "quantization": "fp8"}),
    ],
)
def test_a_preset_has_room_for_the_models_it_is_meant_for(preset: str, model: dict[str, str]) -> None:
    config = {"aws:region": "us-east-1", "platform": "vllm", "preset": preset, "model": model}
    assert [found.memory.fits for found in plan(accepted(config)).models] == [True]


def test_the_name_of_a_repository_is_not_taken_for_a_token() -> None:
    assert accepted(GOOD | {"slipway:tags": {"source": "org/hf_whisper_large", "team": "task-force-1"}}).tags == {
        "source": "org/hf_whisper_large",
        "team": "task-force-1",
    }


def test_preset_contexts_are_the_guides() -> None:
    assert [tier.context_length for tier in TIERS.values()] == [2048, 4096, 8192]


def test_preset_machines_are_what_their_reasons_say() -> None:
    types = catalog.instance_types()
    small, balanced = types["g4dn.xlarge"], types["g5.2xlarge"]
    assert small.gpu is not None
    assert balanced.gpu is not None
    assert (small.gpu.name, small.gpu_count, small.memory_gib) == ("T4", 1, 16)
    assert (balanced.gpu.name, balanced.gpu_count, balanced.memory_gib) == ("A10G", 1, 32)
    assert types["g5.xlarge"].memory_gib == 16


def test_the_large_preset_is_the_cheapest_machine_with_as_much_gpu_memory_as_two_a100() -> None:
    asked = 2 * 80e9 / 2**30
    enough = [
        kind.name
        for kind in catalog.instance_types().values()
        if kind.gpu is not None and kind.gpu_count * kind.gpu.memory_gib >= asked
    ]
    prices = {name: catalog.on_demand_price(name, "us-east-1") for name in enough}
    cheapest = min((price.usd_per_hour, name) for name, price in prices.items() if price is not None)
    assert TIERS[Preset.LARGE].instance_types == (cheapest[1],)


@pytest.mark.parametrize("path", ALL_STACKS)
def test_every_shipped_stack_means_the_same_as_the_engines_strings(path: Path) -> None:
    """A plan that reads numbers and a program that reads strings must not come to different settings."""
    found = read_stack(str(path), path.parent)
    assert from_config(found.name, as_the_engine_passes(found.config)) == found.settings


def test_no_import_of_the_room_costs_pydantic_or_pulumi_before_use() -> None:
    """`slipway --help` must answer at once, and planning must run without pulumi."""
    code = (
        "import sys, slipway.settings as s; assert not {'pydantic', 'pulumi'} & set(sys.modules)\n"
        "s.from_config, s.read_stack, s.editor_schema\n"
        "assert 'pydantic' in sys.modules and 'pulumi' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_of_the_room_is_an_ordinary_import_error() -> None:
    with pytest.raises(ImportError):
        from slipway.settings import nothing  # noqa: F401, PLC0415


words = st.sampled_from([*TOP_LEVEL_KEYS, *SecretName, "name", "secure", "facts", "min", "vpcId", "market", "x"])
names = st.one_of(
    words.map(lambda word: f"slipway:{word}"),
    words,
    st.sampled_from(["aws:region", "slipwy:model", "a:b:c", ":", "", "slipway:"]),
    st.text(max_size=8),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["vllm", "local", "cluster", "g6.xlarge", "us-east-1", "qwen3-8b", "{", '{"a": [1]}', "[" * 5000]),
)
junk = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(words, st.text(max_size=6)), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(names, junk, max_size=8))
def test_junk_gives_settings_or_problems_and_nothing_else(config: dict[str, Any]) -> None:
    outcome = _outcome(config)
    if isinstance(outcome, StackError):
        assert [problem for problem in outcome.problems if not (problem.key and problem.message)] == []
        assert outcome.problems
    else:
        assert outcome.served


sound = st.fixed_dictionaries(
    {},
    optional={
        "slipway:demand": st.fixed_dictionaries({}, optional={"concurrency": st.integers(-1, 9) | st.floats(0, 3)}),
        "slipway:budget": st.fixed_dictionaries({}, optional={"monthlyUsd": st.floats() | st.integers()}),
        "slipway:tags": st.dictionaries(st.text("ab:1", max_size=3), st.text("ab 1;", max_size=3), max_size=3),
        "slipway:protect": st.booleans() | st.sampled_from(["true", "no"]),
        "slipway:preset": st.sampled_from(["small", "", None, 5, True]),
        "slipway:model": st.sampled_from(["phi-4", {"name": "phi-4"}, ["phi-4"], 4, 1.5, None]),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(sound, st.dictionaries(names, junk, max_size=3)))
def test_both_ways_in_come_to_the_same_settings(config: dict[str, Any]) -> None:
    """From YAML and from the engine's strings. What the engine cannot write as JSON never reaches it."""
    try:
        strings = as_the_engine_passes(GOOD | config)
    except (ValueError, OverflowError):
        assume(condition=False)
        return
    assume(len(strings) == len(GOOD | config))  # a key in full and without namespace: only the file shows that
    found, passed = _outcome(GOOD | config), _outcome(strings)
    if isinstance(found, StackError):
        assert isinstance(passed, StackError)
    else:
        assert found == passed


def _outcome(config: dict[str, Any]) -> Settings | StackError:
    try:
        return from_config("test", config)
    except StackError as error:
        return error


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        ["hf_ABCdefGHIjkl0123456789", "sk-proj-abcdefghijklmnopqrstuv", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9]
    ),
    st.sampled_from(
        ["slipway:tags", "slipway:model", "slipway:models", "slipway:hfToken", "slipway:hfTokn", "x:y", "z"]
    ),
    st.sampled_from([lambda t: t, lambda t: [t], lambda t: {"a": t}, lambda t: {"a": [{"b": f"https://{t}@host"}]}]),
)
def test_a_token_anywhere_is_a_problem_and_never_repeated(token: str, key: str, wrap: Any) -> None:
    with pytest.raises(StackError) as caught:
        from_config("test", GOOD | {key: wrap(token)})
    assert token not in everything(caught.value.problems)
    assert any(problem.key.startswith(key) for problem in caught.value.problems)
