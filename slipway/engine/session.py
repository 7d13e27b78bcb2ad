"""One stack on the real engine, away from every account: its own backend, home, passphrase and providers."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pulumi.automation import ConfigValue, LocalWorkspace, Stack
from pulumi.automation.errors import CommandError

from slipway.engine import failures
from slipway.engine.binary import Engine, obtain
from slipway.engine.command import EngineCommand
from slipway.engine.events import EventLog, property_dependencies, unmarked
from slipway.engine.graph import Graph
from slipway.engine.program import InlineProgram, from_file
from slipway.engine.project import Folders, PlannedConfig, Project, prepare, read_project, without_secrets
from slipway.engine.standins import plan_only
from slipway.engine.standins.base import Answer, Notebook, ResourceFault, StandIn
from slipway.engine.standins.faults import Faults
from slipway.engine.standins.server import serve
from slipway.engine.warm import load
from slipway.problems import SlipwayError

Progress = Callable[[str], None]


class _PreparedStack(Stack):
    """A stack whose state `prepare` has written: there is nothing to create or select."""

    def __init__(self, name: str, workspace: LocalWorkspace) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.name = name
        self.workspace = workspace


class Offline:
    """A context manager for one stack; everything it made is gone when it ends.

    Args:
        stack: the stack's name.
        config: its configuration; values of the form ``{"secure": ...}`` become unknown secrets.
        project: the folder with `Pulumi.yaml` and the program.
        program: a function to run instead of the project's program; then `project` may be None.
        providers: package -> provider, in addition to the plan-only ones or in place of them.
        answers: invoke token -> answer, in addition to the built-in ones.
        secrets: configuration to be set as real secrets of the engine, encrypted in the session's own settings.
        on_progress: called with one line at a time while something is going on.
    """

    def __init__(
        self,
        stack: str,
        config: Mapping[str, Any],
        *,
        project: Path | None = None,
        program: Callable[[], object] | None = None,
        providers: Mapping[str, StandIn] | None = None,
        answers: Mapping[str, Answer] | None = None,
        secrets: Mapping[str, str] | None = None,
        engine: Engine | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self._report = on_progress or _silence
        self._project = _project(project, program)
        self._config: PlannedConfig = without_secrets(config)
        self._secrets = dict(secrets or {})
        self._providers = {**plan_only(answers or {}), **(providers or {})}
        self._engine = engine
        self._name = stack
        self._closing = ExitStack()
        self._command: EngineCommand | None = None
        self._cancelled = False
        body = program or from_file(self._project.program or Path())
        self._program = InlineProgram(body, self._project.folder, self._config.secrets)
        self.notebook = Notebook()
        self.transcript: list[str] = []
        """What the engine printed, of every operation so far."""

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def cancel(self) -> None:
        """End what is running and refuse what is to come; from any thread, also while the session is being opened."""
        self._cancelled = True
        if self._command is not None:
            self._command.cancel()

    def preview(self) -> Graph:
        """Plan the stack.

        Raises:
            StackError: the program asks for resources with mistakes in them.
            SlipwayError: the program or the engine failed.
        """
        self.notebook.collecting = True
        graph = self._operate("planning", lambda log: self._stack.preview(on_event=log, json=True, color="never"))
        return self._with_late_checks(graph)

    def up(self) -> Graph:
        """Apply the stack with the session's providers; the plan-only ones refuse. Raises as `preview`."""
        self.notebook.collecting = False
        return self._operate("applying", lambda log: self._stack.up(on_event=log, color="never"))

    def destroy(self) -> Graph:
        """Delete what `up` made. Raises as `preview`."""
        return self._operate("destroying", lambda log: self._stack.destroy(on_event=log, color="never"))

    @property
    def folders(self) -> Folders:
        """Where the session's files are, while it lasts."""
        return self._folders

    def state(self) -> str:
        """The backend's file for this stack, as it stands on disk."""
        return self._folders.checkpoint(self._project.name, self._name).read_text(encoding="utf-8")

    def _open(self) -> None:
        engine = self._engine or obtain(self._report)
        root = Path(tempfile.mkdtemp(prefix="slipway-"))
        self._closing.callback(shutil.rmtree, root, ignore_errors=True)
        self._folders = Folders(root)
        prepare(self._folders, self._project, self._name, self._config)
        if self._project.program is not None:
            threading.Thread(target=load, args=(self._project.program,), daemon=True).start()
        attached = self._closing.enter_context(serve(self._providers, self.notebook))
        command = self._command = EngineCommand(engine, self._folders.home)
        self._closing.callback(command.cancel)
        if self._cancelled:
            command.cancel()
        workspace = LocalWorkspace(
            work_dir=str(self._folders.work),
            pulumi_home=str(self._folders.home),
            program=self._program,
            env_vars=_variables(self._folders, attached),
            pulumi_command=command,
        )
        self._stack = _PreparedStack(self._name, workspace)
        if self._secrets:
            values = {key: ConfigValue(value=value, secret=True) for key, value in self._secrets.items()}
            self._stack.set_all_config(values)

    def _operate(self, doing: str, operation: Callable[[EventLog], Any]) -> Graph:
        log = EventLog(on_resource=lambda count: self._report(f"{self._name}: {doing}, {count} resources"))
        self._report(f"{self._name}: {doing}")
        self.notebook.clear()
        self._program.failure = None
        digest = ""
        try:
            result = operation(log)
            digest = result.stdout
            self.transcript += [result.stdout, result.stderr]
        except CommandError as error:
            self.transcript.append(str(error))
            self._program.finish()
            raise self._explained(log, str(error)) from None
        except InterruptedError as error:
            raise SlipwayError(f"{self._name}: {error}") from None
        except RuntimeError as error:  # the Automation API saw no summary: the engine ended before it began
            self._program.finish()
            raise self._explained(log, str(error)) from None
        return log.graph(self._name, property_dependencies(digest))

    def _with_late_checks(self, graph: Graph) -> Graph:
        """Check what the engine kept from its provider: the objects of a cluster that is only planned itself.

        The engine calls no provider whose configuration is unknown, and a planned cluster's kubeconfig is.
        """
        found: list[ResourceFault] = []
        for resource in graph.resources:
            provider = self._providers.get(resource.type.split(":", 1)[0])
            # What is read exists already: the program gives its id and no inputs.
            if provider is None or not resource.custom or resource.change == "read":
                continue
            if resource.urn in self.notebook.checked:
                continue
            faults = Faults()
            provider.check_resource(resource.urn, resource.type, unmarked(resource.inputs), faults)
            found += [
                ResourceFault(urn=resource.urn, type=resource.type, name=resource.name, fault=fault) for fault in faults
            ]
        found += self.notebook.faults
        if found:
            raise failures.from_faults(self._name, _in_order(found, graph))
        return replace(graph, unvalidated=tuple(self.notebook.unvalidated))

    def _explained(self, log: EventLog, output: str) -> BaseException:
        """The error to show for a failed operation, the closest to its cause first."""
        if self.notebook.faults:
            return failures.from_faults(self._name, self.notebook.faults)
        if self.notebook.refused:
            return failures.from_refusals(self._program.failure, self.notebook.refused, self._project.folder)
        if self._program.failure is not None:
            return failures.from_program(self._program.failure, self._project.folder)
        return failures.from_diagnostics(self._name, log.diagnostics, output)


def _in_order(faults: Iterable[ResourceFault], graph: Graph) -> list[ResourceFault]:
    """In the order the program makes the resources."""
    order = {resource.urn: index for index, resource in enumerate(graph.resources)}
    return sorted(faults, key=lambda found: order.get(found.urn, len(order)))


def _silence(_: str) -> None:
    """Report to nobody."""


def _project(folder: Path | None, program: Callable[[], object] | None) -> Project:
    if folder is not None:
        return read_project(folder)
    if program is None:
        raise ValueError("either a project or a program is needed")
    return Project(name="slipway", folder=Path.cwd(), schema={}, program=None)


def _variables(folders: Folders, attached: str) -> dict[str, str]:
    return {
        "PULUMI_BACKEND_URL": folders.state.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "offline",  # guards nothing: the state holds no secret and is deleted
        "PULUMI_DEBUG_PROVIDERS": attached,
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
