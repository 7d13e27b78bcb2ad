"""The way from a stack's name to its analysis: order, failures, cancelling. The engine is replaced here."""

import threading
from pathlib import Path
from typing import Any, Self

import pytest
from planned import graph, resource

from slipway import pipeline
from slipway.engine.graph import Graph
from slipway.pipeline import Analysis, Failure, Phase, analyse_all
from slipway.problems import SlipwayError, StackError

pytestmark = pytest.mark.unit

GOOD = """
config:
  aws:region: us-east-1
  slipway:target: instance
  slipway:platform: ollama
  slipway:instanceTypes: [g5.xlarge]
  slipway:model: llama-3.1-8b-instruct
  slipway:budget: {monthlyUsd: 1}
"""
TOO_BIG = GOOD.replace("ollama", "vllm").replace("g5.xlarge", "g4dn.xlarge")
MISSPELT = GOOD.replace("ollama", "olama")


class Engine:
    """Stands in for a session of the real engine."""

    sessions: list["Engine"]
    started = threading.Event()
    error: BaseException | None = None

    def __init__(self, stack: str, config: Any, **_: Any) -> None:
        self.stack = stack
        self.cancelled = False
        Engine.sessions.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def preview(self) -> Graph:
        if Engine.error and self.stack == "bad":
            raise Engine.error
        return graph(resource("aws:ec2/eip:Eip", "address"))

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Engine.sessions, Engine.error = [], None
    monkeypatch.setattr(pipeline, "Offline", Engine)
    monkeypatch.setattr(pipeline, "obtain", lambda _: None)
    for name, text in (("good", GOOD), ("big", TOO_BIG), ("misspelt", MISSPELT), ("bad", GOOD)):
        (tmp_path / f"Pulumi.{name}.yaml").write_text(text)
    return tmp_path


def analyse(project: Path, *references: str) -> tuple[tuple[Analysis | Failure, ...], list[tuple[str, Phase]]]:
    seen: list[tuple[str, Phase]] = []

    def watch(reference: str, phase: Phase, _: str) -> None:
        seen.append((reference, phase))

    return analyse_all(references, project, jobs=2, watch=watch), seen


def test_outcomes_come_in_the_order_asked_for_and_failures_hide_nothing(project: Path) -> None:
    outcomes, _ = analyse(project, "misspelt", "good", "big")
    assert [type(outcome) for outcome in outcomes] == [Failure, Analysis, Failure]
    assert [outcome.name for outcome in outcomes] == ["misspelt", "good", "big"]


def test_mistakes_are_found_before_the_engine_starts_for_any_stack(project: Path) -> None:
    _, seen = analyse(project, "good", "big", "misspelt")
    phases = [phase for _, phase in seen]
    assert phases.index(Phase.ENGINE) > max(index for index, phase in enumerate(phases) if phase is Phase.FAILED)


def test_without_a_good_stack_the_engine_is_not_even_looked_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "obtain", pytest.fail)
    outcomes, _ = analyse(project, "misspelt", "big")
    assert all(isinstance(outcome, Failure) for outcome in outcomes)


def test_what_does_not_fit_names_the_file_and_line_of_the_key(project: Path) -> None:
    ((outcome,), _) = analyse(project, "big")
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, StackError)
    problem = outcome.error.problems[0]
    assert (problem.file, problem.key, problem.line) == ("Pulumi.big.yaml", "slipway:instanceTypes", 6)


def test_a_stack_the_engine_refuses_does_not_hide_the_others(project: Path) -> None:
    Engine.error = SlipwayError("the program failed")
    (bad, good), seen = analyse(project, "bad", "good")
    assert isinstance(bad, Failure)
    assert str(bad.error) == "the program failed"
    assert isinstance(good, Analysis)
    assert ("bad", Phase.FAILED) in seen
    assert ("good", Phase.DONE) in seen


def test_an_analysis_holds_the_bill_and_all_findings(project: Path) -> None:
    ((outcome,), _) = analyse(project, "good")
    assert isinstance(outcome, Analysis)
    assert str(outcome.estimate.monthly_usd.typical) == "3.65"
    assert "SW090" in [finding.id for finding in outcome.findings]
    assert outcome.seconds > 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a defect")])
def test_an_interrupt_or_a_defect_ends_every_engine(project: Path, error: BaseException) -> None:
    Engine.error = error
    with pytest.raises(type(error)):
        analyse(project, "good", "bad")
    assert Engine.sessions
    assert all(session.cancelled for session in Engine.sessions)
