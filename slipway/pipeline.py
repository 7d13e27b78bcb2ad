"""From a stack's name to everything the reports show: read, fit, plan on the engine, price, check."""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from slipway import checks, costs, planning, settings
from slipway.checks import quota
from slipway.checks.quota import Answer
from slipway.costs.types import Estimate
from slipway.engine.binary import Engine, obtain
from slipway.engine.graph import Graph
from slipway.engine.session import Offline
from slipway.findings import Finding
from slipway.operate.quotas import limits
from slipway.planning.types import ServingPlan
from slipway.problems import SlipwayError, StackError
from slipway.settings import StackFile


class Phase(StrEnum):
    """What is being done for a stack, in this order; FAILED instead of DONE where it stopped."""

    READING = "reading"
    FITTING = "fitting"
    ENGINE = "engine"
    PRICING = "pricing"
    DONE = "done"
    FAILED = "failed"


_T = TypeVar("_T")
Watch = Callable[[str, Phase, str], None]
"""Called with the stack, its phase and, during ENGINE, the engine's own words; from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything known about one stack before it is created. `seconds` is how long that took."""

    stack_file: StackFile
    plan: ServingPlan
    graph: Graph
    estimate: Estimate
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.stack_file.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A stack that does not plan, and why."""

    name: str
    error: SlipwayError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A stack whose settings are right and whose models fit: ready for the engine."""

    stack_file: StackFile
    plan: ServingPlan
    started: float


def fit(reference: str, project: Path, *, watch: Watch) -> Fitted:
    """Read a stack and prove that its models fit.

    Raises:
        StackError: with every mistake of the stack.
    """
    started = time.monotonic()
    watch(reference, Phase.READING, "")
    stack_file = settings.read_stack(reference, project)
    watch(reference, Phase.FITTING, "")
    try:
        plan = planning.plan(stack_file.settings)
    except StackError as error:
        raise stack_file.located(error) from None
    return Fitted(stack_file=stack_file, plan=plan, started=started)


def analyse_all(references: Sequence[str], project: Path, *, jobs: int, watch: Watch) -> tuple[Analysis | Failure, ...]:
    """Analyse several stacks, in the given order; one bad stack does not hide the others.

    Mistakes are found in every stack before the engine starts for any. An interrupt ends the engines and is passed on.
    """
    outcomes = {
        reference: _or_failure(reference, watch, functools.partial(fit, reference, project, watch=watch))
        for reference in references
    }
    ready = {reference: outcome for reference, outcome in outcomes.items() if isinstance(outcome, Fitted)}
    if not ready:
        return tuple(outcome for outcome in outcomes.values() if isinstance(outcome, Failure))
    run = _Run(project, watch, _obtain(ready, watch))
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="stack") as pool:
        futures = {reference: pool.submit(run.analyse, reference, fitted) for reference, fitted in ready.items()}
        try:
            return tuple(
                outcome if isinstance(outcome, Failure) else futures[reference].result()
                for reference, outcome in outcomes.items()
            )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            run.cancel()
            raise


def quotas(outcomes: Iterable[Analysis | Failure], *, ask: bool = False) -> tuple[Answer, ...]:
    """What all stacks together take of the account's EC2 quotas; with `ask`, what AWS says the account is allowed."""
    needs = quota.needs(outcome.graph for outcome in outcomes if isinstance(outcome, Analysis))
    allowed = limits((need.region, need.quota.code) for need in needs if ask)
    return tuple(Answer(need=need, allowed=allowed.get((need.region, need.quota.code))) for need in needs)


class _Run:
    """The stacks being planned at the same time, and a way to end them all."""

    def __init__(self, project: Path, watch: Watch, engine: Engine) -> None:
        self._project = project
        self._watch = watch
        self._engine = engine
        self._sessions: list[Offline] = []
        self._cancelled = False
        self._guard = threading.Lock()

    def analyse(self, reference: str, fitted: Fitted) -> Analysis | Failure:
        """Plan a fitted stack on the engine, price it and check it."""
        return _or_failure(reference, self._watch, functools.partial(self._analyse, reference, fitted))

    def cancel(self) -> None:
        """End every engine, also those that are only being opened."""
        with self._guard:
            self._cancelled = True
            for session in self._sessions:
                session.cancel()

    def _analyse(self, reference: str, fitted: Fitted) -> Analysis:
        stack_file, plan = fitted.stack_file, fitted.plan
        graph = self._preview(reference, stack_file)
        self._watch(reference, Phase.PRICING, "")
        estimate = costs.price(graph)
        findings = (*plan.findings, *checks.run(graph), *checks.over_budget(estimate, plan.settings.budget))
        seconds = time.monotonic() - fitted.started
        self._watch(reference, Phase.DONE, "")
        return Analysis(
            stack_file=stack_file, plan=plan, graph=graph, estimate=estimate, findings=findings, seconds=seconds
        )

    def _preview(self, reference: str, stack_file: StackFile) -> Graph:
        session = Offline(
            stack_file.name,
            stack_file.config,
            project=self._project,
            engine=self._engine,
            on_progress=lambda line: self._watch(reference, Phase.ENGINE, line),
        )
        self._watch(reference, Phase.ENGINE, "")
        with session:
            with self._guard:
                self._sessions.append(session)
                if self._cancelled:  # it came while this session was being opened
                    session.cancel()
            return session.preview()


def _obtain(references: Iterable[str], watch: Watch) -> Engine:
    """The engine for all stacks; the first run may take minutes, so every stack shows how far it is."""
    waiting = tuple(references)

    def report(line: str) -> None:
        for reference in waiting:
            watch(reference, Phase.ENGINE, line)

    return obtain(report)


def _or_failure(reference: str, watch: Watch, step: Callable[[], _T]) -> _T | Failure:
    try:
        return step()
    except SlipwayError as error:
        watch(reference, Phase.FAILED, "")
        return Failure(name=error.stack if isinstance(error, StackError) else reference, error=error)
