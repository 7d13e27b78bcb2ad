"""Finding and reading stack files, YAML as the engine reads it, and mistakes of the file itself."""

from pathlib import Path

import pytest
from settings_stacks import GOOD, SHIPPED, refused_file, written

from slipway.problems import Problem, StackError
from slipway.settings import read_stack, stack_names

pytestmark = pytest.mark.unit


def _problem(path: Path) -> Problem:
    (problem,) = refused_file(path)
    return problem


def _file(folder: Path, text: str, name: str = "Pulumi.test.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_stack_is_found_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD, "prod")
    found = read_stack("prod", tmp_path)
    assert (found.name, found.path, found.file) == ("prod", path.resolve(), "Pulumi.prod.yaml")
    assert found.config["slipway:instanceTypes"] == "g6.xlarge"
    assert found.settings.instance_types == ("g6.xlarge",)
    assert (found.settings.stack, found.settings.region) == ("prod", "us-east-1")


@pytest.mark.parametrize(
    ("file", "name"),
    [("Pulumi.prod.yaml", "prod"), ("Pulumi.eu.prod.yml", "eu.prod"), ("vllm-eks-spot.yaml", "vllm-eks-spot")],
)
def test_a_stack_is_found_by_its_path_and_named_after_its_file(tmp_path: Path, file: str, name: str) -> None:
    path = written(tmp_path, GOOD).rename(tmp_path / file)
    elsewhere = tmp_path / "project"
    elsewhere.mkdir()
    assert read_stack(str(path), elsewhere).name == name


def test_a_path_may_be_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    written(tmp_path / "examples", GOOD, "spot")
    found = read_stack("examples/Pulumi.spot.yaml", tmp_path)
    assert (found.name, found.file) == ("spot", str(Path("examples/Pulumi.spot.yaml")))


def test_an_unknown_stack_names_the_known_ones_and_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "prod")
    written(tmp_path, GOOD, "dev")
    with pytest.raises(StackError) as caught:
        read_stack("prdo", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.key, problem.message) == ("prdo", "there is no such stack")
    assert (problem.allowed, problem.nearest) == (("dev", "prod"), "prod")


def test_an_unknown_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(StackError) as caught:
        read_stack("nowhere/stack.yaml", tmp_path)
    assert [problem.message for problem in caught.value.problems] == ["there is no such file"]


def test_a_name_no_file_system_takes_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(StackError) as caught:
        read_stack("x" * 5000, tmp_path)
    assert [problem.message for problem in caught.value.problems] == ["there is no such stack"]


def test_a_file_name_that_is_no_stack_name_is_a_problem(tmp_path: Path) -> None:
    problem = _problem(_file(tmp_path, "config: {}", "my stack.yaml"))
    assert problem.message == "the file's name gives no stack name: letters, digits and _ . - only, at most 100"


def test_stack_names_are_those_of_the_projects_stack_files(tmp_path: Path) -> None:
    for name in ("prod", "dev"):
        written(tmp_path, GOOD, name)
    _file(tmp_path, "name: slipway", "Pulumi.yaml")
    _file(tmp_path, "", "Pulumi.txt")
    assert stack_names(tmp_path) == ("dev", "prod")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("config:\n  a: [1, 2\n  b: 3\n", "this is not valid YAML: while parsing a flow sequence", 3),
        ("config:\n\ta: 1\n", "this is not valid YAML: while scanning for the next token", 2),
        ("config: {}\n---\nconfig: {}\n", "this is not valid YAML: expected a single document", 2),
        ("config: *nothing\n", "this is not valid YAML: found undefined alias", 1),
    ],
)
def test_a_syntax_error_names_its_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    problem = _problem(_file(tmp_path, text))
    assert problem.message.startswith(message)
    assert (problem.file, problem.line) == ("Pulumi.test.yaml", line)


def test_a_syntax_error_never_repeats_a_token(tmp_path: Path) -> None:
    """YAML's own messages quote the name of an unknown alias."""
    problem = _problem(_file(tmp_path, "config: *hf_PLANTEDsecretMARKER0123456789\n"))
    assert "PLANTED" not in repr(problem)


@pytest.mark.parametrize(
    ("text", "key", "message", "line"),
    [
        (
            "config:\n  aws:region: us-east-1\n  aws:region: us-east-2\n",
            "aws:region",
            "this key stands twice; the first is on line 2",
            3,
        ),
        (
            "config:\n  slipway:demand:\n    concurrency: 1\n    concurrency: 2\n",
            "slipway:demand.concurrency",
            "this key stands twice; the first is on line 3",
            4,
        ),
        ("config: {}\nconfig: {}\n", "config", "this key stands twice; the first is on line 1", 2),
        ("config:\n  [a, b]: 1\n", "config", "a key must be text", 2),
        ("config:\n  x: !!binary aGk=\n", "x", "YAML tags are not used in stack files", 2),
        ("config:\n  x: !!int one\n", "x", "YAML tags are not used in stack files", 2),
        ("config:\n  <<: 5\n", "<<", "only mappings can be merged", 2),
        ("config: &a\n  x: *a\n", "x", "anchors make this file endless", 1),
        ("secretsprovider: x\n", "config", "is missing", None),
        ("", "config", "is missing", None),
        ("config:\n", "config", "is missing", 1),
        ("config: [a]\n", "config", "must be a mapping of keys to values", 1),
        ("- config\n", "Pulumi.test.yaml", "a stack file is a mapping with the key `config`", 1),
    ],
)
def test_a_file_of_the_wrong_shape_is_one_problem(
    tmp_path: Path, text: str, key: str, message: str, line: int | None
) -> None:
    problem = _problem(_file(tmp_path, text))
    assert (problem.key, problem.message, problem.line) == (key, message, line)


def test_deep_nesting_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    assert _problem(_file(tmp_path, f"config: {'[' * 2000}{']' * 2000}")).message.endswith(
        "nested too deeply to be read"
    )
    assert _problem(_file(tmp_path, f"config: {'[' * 50}{']' * 50}")).message == "is nested too deeply"


def test_anchors_that_multiply_are_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    """Ten anchors of ten references each ask for ten billion values."""
    levels = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 11))
    problem = _problem(_file(tmp_path, f"a0: &a0 [x]\n{levels}"))
    assert problem.message == "anchors make this file endless"


def test_a_file_that_is_not_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.test.yaml").write_bytes(b"\xff\xfe\x00config")
    assert _problem(tmp_path / "Pulumi.test.yaml").message == "this is not a text file"


def test_pulumis_own_top_level_keys_are_accepted(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    path.write_text(
        "secretsprovider: awskms://alias/slipway\nencryptedkey: abc=\nencryptionsalt: v1:abc\nenvironment: [base]\n"
        + path.read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    assert read_stack("test", tmp_path).settings.region == "us-east-1"


def test_an_unknown_top_level_key_is_reported_with_the_mistakes_inside_config(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("g6.xlarge", "g6.xlrage"))
    path.write_text(path.read_text(encoding="utf-8") + "encryptionsalts: x\nslipway:model: y\n", encoding="utf-8")
    found = [(problem.line, problem.key, problem.nearest) for problem in refused_file(path)]
    assert found == [
        (4, "slipway:instanceTypes", "g6.xlarge"),
        (6, "encryptionsalts", "encryptionsalt"),
        (7, "slipway:model", None),
    ]


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
aws:region: us-east-1
slipway:platform: vllm
slipway:instanceTypes: &types [g6.12xlarge]
slipway:models:
  - &base {name: qwen3-8b, concurrency: 4, contextLength: 2048}
  - {<<: *base, name: qwen3-14b, concurrency: 8}
""",
    )
    first, second = read_stack(str(path), tmp_path).settings.models
    assert (first.name, first.concurrency, first.context_length) == ("qwen3-8b", 4, 2048)
    assert (second.name, second.concurrency, second.context_length) == ("qwen3-14b", 8, 2048)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("12:30", "12:30"),
        ("1_000", 1000),
        ("0x10", 16),
        ("010", 8),
        ("0o10", 8),
        ("09", 9),
        ("5e6", 5000000.0),
        ("1.30", 1.3),
        ("-.5", -0.5),
        ("2024-01-01", "2024-01-01"),
        ("us-east-1", "us-east-1"),
        ('"5"', "5"),
    ],
)
def test_plain_values_mean_what_they_mean_to_the_engine(tmp_path: Path, text: str, value: object) -> None:
    """PyYAML alone would read `yes` as true and `12:30` as 750: the plan would differ from `pulumi up`."""
    path = written(tmp_path, GOOD + f"other:value: {{inside: {text}}}")
    found = read_stack(str(path), tmp_path).config["other:value"]["inside"]
    assert (found, type(found)) == (value, type(value))


def test_problems_of_later_rooms_get_their_place_in_the_file(tmp_path: Path) -> None:
    """Planning knows keys, not files."""
    found = read_stack(str(written(tmp_path, GOOD + "demand: {concurrency: 4}")), tmp_path)
    keys = (
        "slipway:instanceTypes[0]",
        "slipway:model.quantization",
        "slipway:demand.concurrency",
        "slipway:storage.diskGib",
    )
    located = found.located(StackError("test", [Problem(key=key, message="x") for key in keys]))
    assert [(problem.file, problem.line) for problem in located.problems] == [
        ("Pulumi.test.yaml", 4),
        ("Pulumi.test.yaml", 5),
        ("Pulumi.test.yaml", 6),
        ("Pulumi.test.yaml", None),
    ]


def test_the_project_ships_the_five_stacks() -> None:
    assert [path.name.split(".")[1] for path in SHIPPED] == ["dev", "fleet", "local", "prod", "staging"]
