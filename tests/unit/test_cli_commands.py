"""The command line: what goes where, and with which exit code. Planning itself is replaced here."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from analyses import local, prod

from slipway import catalog, cli, pipeline
from slipway.catalog.types import Market
from slipway.checks.quota import Answer, Need
from slipway.pipeline import Analysis, Failure, Phase
from slipway.problems import Problem, SlipwayError, StackError

pytestmark = pytest.mark.unit

CLEAN = replace(prod(), findings=())
BAD = Failure(name="bad", error=StackError("bad", [Problem(key="slipway:model", message="is missing")]))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with four stacks, named so that neither the alphabet nor the file system gives their order."""
    (tmp_path / "Pulumi.yaml").write_text("name: test\n")
    for name in ("alpha", "dev", "prod", "local"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("config: {}\n")
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replaces planning: every stack is the clean one, unless `outcomes` says otherwise; keeps what was asked."""
    seen: dict[str, Any] = {}

    def analyse_all(
        references: Sequence[str], project: Path, *, jobs: int, watch: pipeline.Watch
    ) -> tuple[Analysis | Failure, ...]:
        seen.update(references=references, project=project, jobs=jobs)
        for reference in references:
            watch(reference, Phase.ENGINE, "")
        return seen.get("outcomes") or tuple(CLEAN for _ in references)

    monkeypatch.setattr(pipeline, "analyse_all", analyse_all)
    return seen


def run(project: Path, *arguments: str) -> int:
    return cli.run([*arguments, "--project", str(project)])


def test_no_stack_means_all_in_the_order_of_promotion(project: Path, asked: dict[str, Any]) -> None:
    assert run(project, "plan") == cli.OK
    assert asked["references"] == ("local", "dev", "prod", "alpha")


def test_named_stacks_keep_their_order_and_come_once(project: Path, asked: dict[str, Any]) -> None:
    run(project, "plan", "prod", "examples/x.yaml", "prod")
    assert asked["references"] == ("prod", "examples/x.yaml")


def test_the_project_is_found_above_the_current_folder(
    project: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(project / "a" / "b")
    assert cli.run(["plan"]) == cli.OK
    assert asked["project"] == project


def test_jobs_reach_the_pipeline(project: Path, asked: dict[str, Any]) -> None:
    run(project, "costs", "--jobs", "3")
    assert asked["jobs"] == 3


@pytest.mark.parametrize("command", ["plan", "costs"])
def test_json_is_all_there_is_on_standard_output(
    command: str, project: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["outcomes"] = (CLEAN, BAD)
    assert run(project, command, "--json") == cli.PROBLEM
    captured = capsys.readouterr()
    assert [stack["name"] for stack in json.loads(captured.out)["stacks"]] == ["prod", "bad"]
    assert captured.err == ""


def test_problems_go_to_standard_error_and_do_not_hide_other_stacks(
    project: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["outcomes"] = (BAD, CLEAN)
    assert run(project, "plan", "bad", "prod") == cli.PROBLEM
    captured = capsys.readouterr()
    assert "bad does not plan: 1 mistake" in captured.err
    assert "slipway:model" in captured.err
    assert "GPU memory" in captured.out
    assert "slipway:model" not in captured.out


def test_without_a_terminal_progress_is_plain_lines(
    project: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(project, "plan", "dev", "prod")
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(",")[0] for line in lines] == ["dev: engine", "prod: engine"]


@pytest.mark.parametrize("command", ["plan", "costs"])
def test_an_error_finding_is_a_problem(command: str, project: Path, asked: dict[str, Any]) -> None:
    asked["outcomes"] = (prod(),)
    assert run(project, command) == cli.PROBLEM


def test_warnings_alone_are_none(project: Path, asked: dict[str, Any]) -> None:
    asked["outcomes"] = (replace(prod(), findings=prod().findings[:1]), local())
    assert run(project, "plan") == cli.OK


@pytest.mark.parametrize("arguments", [["plan", "--nope"], ["nope"], ["plan", "--jobs", "0"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert cli.run(arguments) == cli.USAGE


def test_a_folder_without_a_project_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "plan") == cli.USAGE
    assert "There is no Pulumi.yaml" in capsys.readouterr().err


def test_a_project_without_stacks_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: test\n")
    assert run(tmp_path, "plan") == cli.USAGE
    assert "There is no stack file" in capsys.readouterr().err


def _raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def analyse_all(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pipeline, "analyse_all", analyse_all)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_130(error: BaseException, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(error, monkeypatch)
    assert run(project, "plan") == cli.INTERRUPTED


def test_an_error_of_ours_is_one_line_without_a_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raising(SlipwayError("No engine could be obtained."), monkeypatch)
    assert run(project, "plan") == cli.PROBLEM
    assert capsys.readouterr().err == "Error: No engine could be obtained.\n"


def test_a_defect_is_one_line_and_how_to_report_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raising(KeyError("boom"), monkeypatch)
    assert run(project, "plan") == cli.BUG
    error = capsys.readouterr().err
    assert error.splitlines()[0] == "Slipway has a defect: KeyError: 'boom'"
    assert "SLIPWAY_DEBUG=1" in error
    assert "Traceback" not in error


def test_a_defect_shows_everything_when_asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_DEBUG", "1")
    _raising(KeyError("boom"), monkeypatch)
    with pytest.raises(KeyError, match="boom"):
        run(project, "plan")


def test_stack_names_are_completed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    kind = cli.slipway.commands["plan"].params[0].type
    context = click.Context(cli.slipway.commands["plan"])
    argument = cli.slipway.commands["plan"].params[0]
    assert [item.value for item in kind.shell_complete(context, argument, "")] == ["local", "dev", "prod", "alpha"]
    assert [item.value for item in kind.shell_complete(context, argument, "p")] == ["prod"]
    assert [item.type for item in kind.shell_complete(context, argument, "./ex")] == ["file"]


def test_the_schema_is_written_where_editors_look(project: Path) -> None:
    (project / "docs").mkdir()
    assert run(project, "schema", "--write") == cli.OK
    schema = json.loads((project / "docs" / "stack.schema.json").read_text())
    assert "config" in schema["properties"]


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["--version"]])
def test_help_is_there_without_loading_the_house(arguments: list[str]) -> None:
    """`slipway --help` answers at once: importing rich, pydantic or pulumi would take it above 0.2 s."""
    code = (
        "import sys; from slipway.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'rich', 'pydantic', 'pulumi', 'yaml', 'jinja2', 'grpc'} & set(sys.modules);"
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "slipway" in done.stdout


SHORT = Answer(
    need=Need(
        region="us-east-1",
        quota=catalog.quotas()["G", Market.ON_DEMAND],
        minimum=4,
        maximum=8,
        stacks={"prod": 8},
    ),
    allowed=0.0,
)


def test_a_quota_too_small_for_what_always_runs_fails_the_plan(
    project: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "quotas", lambda outcomes, *, ask=False: (SHORT,) if ask else ())
    assert run(project, "plan", "prod") == cli.OK
    assert run(project, "plan", "prod", "--quota") == cli.PROBLEM
    assert "L-DB2E81BA" in capsys.readouterr().out
    assert run(project, "plan", "prod", "--quota", "--json") == cli.PROBLEM
    (entry,) = json.loads(capsys.readouterr().out)["quota"]
    assert (entry["code"], entry["allowed_vcpus"], entry["finding"]["severity"]) == ("L-DB2E81BA", 0.0, "error")
