"""Episodes that would be played, or judged, in another world than the one whose tasks they are."""

from __future__ import annotations

from collections.abc import Iterator

from instar.acquire.environments.program import Program
from instar.app.configs.uses import uses
from instar.app.preflight.seen import Seen, inner_source
from instar.errors import ConfigError, InstarError
from instar.protocols import Environment


def others(seen: Seen) -> Iterator[InstarError]:
    """Solvers and judges with an environment that is not that of the tasks they are given. Tasks of a file say nothing
    of the world they belong to."""
    run = seen.plan.run
    for use in uses(seen.plan):
        played = getattr(use.op, "environment", None)
        if not isinstance(played, Environment):
            continue
        for name in use.sets:
            of = inner_source(run.suites[name].tasks if name in run.suites else run.tasks)
            if isinstance(of, Environment) and _world(of) != _world(played):
                yield ConfigError(
                    f"{use.where} is in {_said(played)}, and the {name} tasks are of {_said(of)}.",
                    f"Set {use.where}.environment to the one of the tasks, or tasks to the one of {use.where}.",
                )
                break


def _world(of: Environment) -> tuple[str, str]:
    """What makes two environments of one kind another world; how hard their tasks are does not: a task says it."""
    return of.name, of.what() if isinstance(of, Program) else ""


def _said(of: Environment) -> str:
    name, what = _world(of)
    return f"{name} ({what})" if what else name
