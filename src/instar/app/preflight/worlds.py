"""Episodes that would be played, or judged, in another world than the one whose tasks they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from instar.acquire.environments.program import Program
from instar.app.configs.uses import named_ops, uses
from instar.app.preflight.seen import Seen, inner_source
from instar.errors import ConfigError, InstarError
from instar.protocols import Environment


def others(seen: Seen) -> Iterator[InstarError]:
    """Solvers and judges with an environment that is not that of the tasks they are given. Tasks of a file say nothing
    of the world they belong to."""
    run = seen.plan.run
    for where, played, sets in _played(seen):
        for name in sets:
            of = inner_source(run.suites[name].tasks if name in run.suites else run.tasks)
            if isinstance(of, Environment) and _world(of) != _world(played):
                yield ConfigError(
                    f"{where} is in {_said(played)}, and the {name} tasks are of {_said(of)}.",
                    f"Set {where}.environment to the one of the tasks, or tasks to the one of {where}.",
                )
                break


def _played(seen: Seen) -> Iterator[tuple[str, Environment, Sequence[str]]]:
    """Where an operator with an environment stands, also one inside another, and the sets that it works on."""
    told: set[str] = set()
    for use in uses(seen.plan):
        for where, op in named_ops(use.op, use.where):
            played = getattr(op, "environment", None)
            if isinstance(played, Environment) and where not in told:
                told.add(where)
                yield where, played, use.sets


def _world(of: Environment) -> tuple[str, str]:
    """What makes two environments of one kind another world; how hard their tasks are does not: a task says it."""
    return of.name, of.what() if isinstance(of, Program) else ""


def _said(of: Environment) -> str:
    name, what = _world(of)
    return f"{name} ({what})" if what else name
