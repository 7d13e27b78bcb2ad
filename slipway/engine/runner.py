"""The door of this room: a stack file in, the graph of its planned resources out."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from slipway.engine.binary import obtain
from slipway.engine.graph import Graph
from slipway.engine.project import StackSource
from slipway.engine.session import Offline
from slipway.engine.standins.base import Answer
from slipway.problems import SlipwayError

Progress = Callable[[str], None]


def preview(
    stack: StackSource,
    *,
    project: Path,
    on_progress: Progress | None = None,
    answers: Mapping[str, Answer] | None = None,
) -> Graph:
    """Plan one stack on the real engine, with no account and without touching anything of the user's.

    `answers` adds to the invokes that are answered offline: token -> function of the arguments.

    Raises:
        StackError: the program refused its configuration, or asks for resources with mistakes in them.
        SlipwayError: there is no engine, or the program or the engine failed.
    """
    with Offline(stack.name, stack.config, project=project, answers=answers, on_progress=on_progress) as session:
        return session.preview()


def previews(
    stacks: Iterable[StackSource],
    *,
    project: Path,
    on_progress: Progress | None = None,
    answers: Mapping[str, Answer] | None = None,
) -> dict[str, Graph | SlipwayError]:
    """Plan several stacks at the same time; gives per stack name its graph, or the error that stopped it.

    An interrupt ends every engine before it is passed on.
    """
    engine = obtain(on_progress)
    sessions = {
        stack.name: Offline(
            stack.name, stack.config, project=project, answers=answers, engine=engine, on_progress=on_progress
        )
        for stack in stacks
    }

    def plan(session: Offline) -> Graph:
        with session:
            return session.preview()

    results: dict[str, Graph | SlipwayError] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(sessions)), thread_name_prefix="slipway-plan") as threads:
        futures = {threads.submit(plan, session): name for name, session in sessions.items()}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is not None and not isinstance(error, SlipwayError):
                    raise error
                results[futures[future]] = error if isinstance(error, SlipwayError) else future.result()
        except BaseException:
            for session in sessions.values():
                session.cancel()
            raise
    return {name: results[name] for name in sessions}
