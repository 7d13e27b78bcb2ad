"""The `slipway` command. Only click is imported at the top: help and completion must answer at once."""

# ruff: noqa: PLC0415 - everything but click is imported where it is used, so that help and completion stay fast

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from slipway.checks.quota import Answer
    from slipway.findings import Finding
    from slipway.pipeline import Analysis, Failure

OK, PROBLEM, USAGE, BUG, INTERRUPTED = 0, 1, 2, 70, 130

_PROJECT_FILE = "Pulumi.yaml"
# A stack's way to production; stacks of other names follow alphabetically.
_PROMOTION = ("local", "dev", "test", "staging", "prod")


def main() -> NoReturn:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and give its exit code: 0 done, 1 a problem, 2 usage, 70 a defect, 130 interrupted."""
    with _interrupts() as interrupted:
        try:
            return int(slipway.main(list(arguments), prog_name="slipway", standalone_mode=False) or OK)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            return _stopped()
        except BrokenPipeError:
            # The reader of a pipe has left; what is still buffered has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PROBLEM
        except Exception as error:  # noqa: BLE001 - the last line before the user; SLIPWAY_DEBUG shows everything
            # An extension module that is being imported turns an interrupt into an error of its own.
            return _stopped() if interrupted else _failed(error)


@contextlib.contextmanager
def _interrupts() -> Generator[list[int], None, None]:
    """The signals that came, each also raised as KeyboardInterrupt; elsewhere than in the main thread none come."""
    came: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:
        yield came
        return

    def note(number: int, _: object) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, usual)


def _stopped() -> int:
    click.echo("Interrupted.", err=True)
    return INTERRUPTED


def _failed(error: Exception) -> int:
    from slipway.problems import SlipwayError

    if isinstance(error, SlipwayError):
        click.echo(f"Error: {error}", err=True)
        return PROBLEM
    if os.environ.get("SLIPWAY_DEBUG") == "1":
        raise error
    words = str(error).partition("\n")[0]
    click.echo(f"Slipway has a defect: {type(error).__name__}: {words}", err=True)
    click.echo("Run again with SLIPWAY_DEBUG=1 and open an issue with what it prints.", err=True)
    return BUG


class _StackReference(click.ParamType[str]):
    """The name of a stack of the project, or the path of any stack file."""

    name = "stack"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The project's stacks, or files once a path is being typed."""
        if os.sep in incomplete or incomplete.startswith("."):
            return [CompletionItem(incomplete, type="file")]
        project = _find_project(ctx.params.get("project") or Path.cwd())
        names = _stack_names(project) if project else ()
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _stack_options(command: Callable[..., int]) -> Callable[..., int]:
    decorators = (
        click.argument("stacks", nargs=-1, metavar="[STACK]...", type=_StackReference()),
        click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/plan.schema.json) and nothing else."),
        _project_option,
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Stacks planned at the same time; default: the number of processors.",
        ),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def _project_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--project",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        is_eager=True,
        help=f"Folder of {_PROJECT_FILE}; default: the nearest one at or above the current folder.",
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="slipway", prog_name="slipway")
def slipway() -> None:
    """Self-hosted LLM serving: does the model fit, what does it cost, is it safe.

    Everything is worked out before anything is created, without a cloud account.
    """


@slipway.command()
@_stack_options
@click.option("-v", "--verbose", is_flag=True, help="Also how each figure was computed, and every line of the bill.")
@click.option(
    "--quota", "ask_quota", is_flag=True, help="Also ask AWS what the account's EC2 quotas allow; only reads."
)
def plan(
    stacks: tuple[str, ...], *, as_json: bool, project: Path | None, jobs: int | None, verbose: bool, ask_quota: bool
) -> int:
    """Plan stacks on the real Pulumi engine, offline.

    STACK is a stack's name or the path of a stack file; none means every stack of the project. Shows resources,
    memory proof, engine flags, placement, cold start, monthly cost and findings.
    """
    from slipway import pipeline

    outcomes = _analyse(stacks, project, jobs, quiet=as_json)
    answers = pipeline.quotas(outcomes, ask=ask_quota)
    if as_json:
        _print_json(outcomes, answers)
    else:
        from slipway.reports import terminal

        terminal.show_plans(outcomes, verbose=verbose)
        terminal.show_quotas(answers, asked=ask_quota)
    return _exit_code(outcomes, (answer.finding for answer in answers))


@slipway.command()
@_stack_options
def costs(stacks: tuple[str, ...], *, as_json: bool, project: Path | None, jobs: int | None) -> int:
    """Compare what stacks cost a month, side by side.

    STACK is a stack's name or the path of a stack file; none means every stack of the project. One stack alone is
    shown line by line.
    """
    outcomes = _analyse(stacks, project, jobs, quiet=as_json)
    if as_json:
        from slipway import pipeline

        _print_json(outcomes, pipeline.quotas(outcomes))
    else:
        from slipway.reports import terminal

        terminal.show_costs(outcomes)
    return _exit_code(outcomes)


@slipway.command()
@_project_option
@click.option("--write", is_flag=True, help="Write it to the project's docs/stack.schema.json instead of printing it.")
def schema(*, project: Path | None, write: bool) -> int:
    """The JSON Schema of a stack file, for editors."""
    from slipway.settings.schema import SCHEMA_FILE, editor_schema_text

    text = editor_schema_text()
    if write:
        path = _project(project) / SCHEMA_FILE
        path.write_text(text, encoding="utf-8")
        click.echo(f"Wrote {path}", err=True)
    else:
        click.echo(text, nl=False)
    return OK


def _analyse(
    stacks: Iterable[str], project: Path | None, jobs: int | None, *, quiet: bool
) -> "tuple[Analysis | Failure, ...]":
    folder = _project(project)
    references = tuple(dict.fromkeys(stacks)) or _all_stacks(folder)

    from slipway import pipeline
    from slipway.reports import progress

    with progress.shown(references, quiet=quiet) as watch:
        return pipeline.analyse_all(references, folder, jobs=jobs or os.cpu_count() or 1, watch=watch)


def _print_json(outcomes: "Sequence[Analysis | Failure]", answers: "Sequence[Answer]") -> None:
    import json

    from slipway.reports import as_json

    click.echo(json.dumps(as_json.document(outcomes, answers), indent=2, ensure_ascii=False))


def _exit_code(outcomes: "Sequence[Analysis | Failure]", more: "Iterable[Finding | None]" = ()) -> int:
    from slipway.findings import Severity
    from slipway.pipeline import Failure

    bad = any(
        isinstance(outcome, Failure) or any(finding.severity is Severity.ERROR for finding in outcome.findings)
        for outcome in outcomes
    )
    bad = bad or any(finding is not None and finding.severity is Severity.ERROR for finding in more)
    return PROBLEM if bad else OK


def _project(given: Path | None) -> Path:
    found = _find_project(given or Path.cwd(), above=given is None)
    if found is None:
        where = str(given) if given else "this folder or above it"
        raise click.UsageError(f"There is no {_PROJECT_FILE} in {where}. Go to the project, or name it with --project.")
    return found


def _find_project(start: Path, *, above: bool = True) -> Path | None:
    folder = start.resolve()
    candidates = (folder, *folder.parents) if above else (folder,)
    return next((candidate for candidate in candidates if (candidate / _PROJECT_FILE).is_file()), None)


def _all_stacks(project: Path) -> tuple[str, ...]:
    names = _stack_names(project)
    if not names:
        raise click.UsageError(f"There is no stack file (Pulumi.NAME.yaml) in {project}.")
    return names


def _stack_names(project: Path) -> tuple[str, ...]:
    """Stacks in the order of promotion, then by name."""
    names = {path.name.removeprefix("Pulumi.").rpartition(".")[0] for path in project.glob("Pulumi.*.y*ml")}
    order = {name: index for index, name in enumerate(_PROMOTION)}
    return tuple(sorted(names, key=lambda name: (order.get(name, len(order)), name)))
