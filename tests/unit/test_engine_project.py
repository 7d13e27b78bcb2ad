"""What is read from a project and a stack file, and what is kept from the engine."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.engine import SECRET, UNKNOWN, warm
from slipway.engine.events import property_dependencies, readable, unmarked
from slipway.engine.program import place_of
from slipway.engine.project import Folders, prepare, read_project, without_secrets
from slipway.engine.standins.values import UNKNOWN_ON_THE_WIRE

pytestmark = pytest.mark.unit

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain.filter(lambda value: "secure" not in repr(value)), max_size=4))
def test_configuration_without_secrets_is_left_as_it_is(config):
    hidden = without_secrets(config)
    assert (hidden.values, hidden.secrets) == (config, frozenset())


@given(plain)
def test_no_ciphertext_is_left_at_any_depth(value):
    config = {"slipway:a": {"b": [{"secure": "v1:CIPHER"}, value]}, "slipway:c": {"secure": "v1:CIPHER"}}
    hidden = without_secrets(config)
    assert "CIPHER" not in repr(hidden.values)
    assert hidden.secrets == {"slipway:a", "slipway:c"}
    assert hidden.values["slipway:c"] == UNKNOWN_ON_THE_WIRE


def test_only_name_runtime_and_configuration_schema_reach_the_engine(tmp_path):
    """A `backend:` or `plugins:` of the project would lead the engine away from the session's own folders."""
    settings = {
        "name": "demo",
        "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
        "backend": {"url": "s3://state"},
        "stackConfigDir": "elsewhere",
        "config": {"demo:a": {"type": "string"}, "demo:token": {"type": "string", "secret": True}},
    }
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(settings))
    (folder / "__main__.py").touch()
    folders = Folders(tmp_path / "session")
    config = without_secrets({"demo:a": "x", "demo:token": {"secure": "v1:CIPHER"}})
    prepare(folders, read_project(folder), "dev", config)
    assert yaml.safe_load((folders.work / "Pulumi.yaml").read_text()) == {
        "name": "demo",
        "runtime": "python",
        "config": {"demo:a": {"type": "string"}, "demo:token": {}},
    }
    assert yaml.safe_load((folders.work / "Pulumi.dev.yaml").read_text()) == {
        "config": {"demo:a": "x", "demo:token": UNKNOWN_ON_THE_WIRE}
    }
    state = json.loads(folders.checkpoint("demo", "dev").read_text())
    assert state == {"version": 3, "checkpoint": {"stack": "organization/demo/dev", "latest": None}}


@pytest.mark.parametrize(("main", "program"), [(None, "__main__.py"), ("sub", "sub/__main__.py"), ("a.py", "a.py")])
def test_the_program_is_where_the_project_says(tmp_path, main, program):
    (tmp_path / "sub").mkdir()
    for name in ("__main__.py", "sub/__main__.py", "a.py"):
        (tmp_path / name).touch()
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "demo", **({"main": main} if main else {})}))
    assert read_project(tmp_path).program == tmp_path / program


def test_event_values_become_plain_unknown_and_secret():
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
    event = {"a": [UNKNOWN_ON_THE_WIRE, {"b": secret}], "n": 2.0, "f": 2.5, "__defaults": []}
    read = readable(event)
    assert read == {"a": [UNKNOWN, {"b": SECRET}], "n": 2, "f": 2.5}
    assert type(read["n"]) is int
    assert unmarked(read) == {"a": [UNKNOWN, {"b": UNKNOWN}], "n": 2, "f": 2.5}


def test_dependencies_come_from_the_digest_and_are_empty_without_one():
    step = {"urn": "u", "newState": {"propertyDependencies": {"a": ["v", "w"], "b": None}}}
    assert property_dependencies(json.dumps({"steps": [step, {"urn": "gone"}]})) == {
        "u": {"a": ("v", "w"), "b": ()},
        "gone": {},
    }
    assert property_dependencies("no JSON") == {}


def test_the_place_of_an_error_is_the_deepest_line_of_the_project_itself(tmp_path):
    """The virtual environment lies inside the project's folder; a line of an SDK helps nobody."""
    outside = tmp_path / "project" / ".venv" / "site-packages" / "sdk.py"
    inside = tmp_path / "project" / "parts.py"
    outside.parent.mkdir(parents=True)
    spaces: list[dict] = [{}, {}]
    exec(compile("def fail():\n    raise ValueError('deep')", str(outside), "exec"), spaces[0])  # noqa: S102
    exec(compile("\ndef call(fail):\n    fail()", str(inside), "exec"), spaces[1])  # noqa: S102
    with pytest.raises(ValueError, match="deep") as caught:
        spaces[1]["call"](spaces[0]["fail"])
    assert place_of(caught.value, tmp_path / "project") == "parts.py:3"
    assert place_of(caught.value, tmp_path / "other") is None


def test_sdk_names_are_found_under_whatever_name_the_source_gives_them(tmp_path):
    source = tmp_path / "parts.py"
    source.write_text(
        "import pulumi_aws as aws\nimport pulumi_docker\nfrom pulumi_kubernetes import core, apps as workloads\n"
        "aws.ec2.Instance('a')\npulumi_docker.Container('b')\ncore.v1.Service('c')\nworkloads.v1.Deployment\nother.x\n"
    )
    found = warm._names(source)
    assert {
        "pulumi_aws.ec2.Instance",
        "pulumi_docker.Container",
        "pulumi_kubernetes.core.v1.Service",
        "pulumi_kubernetes.apps.v1.Deployment",
    } <= found
    assert not any(name.startswith("other") for name in found)
