"""Judges that need of a task what it does not have: tests to run, a gold answer to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from instar.acquire.feedback.checkers import number
from instar.acquire.feedback.execution import Execution, visible_of
from instar.acquire.feedback.function_calls import wanted_calls
from instar.acquire.feedback.verify import Verify
from instar.app.configs.uses import Use, uses
from instar.app.preflight.needs import lacking
from instar.app.preflight.seen import Seen, shown
from instar.errors import DataError, InstarError
from instar.protocols import Judge
from instar.records import Task

GYM = ("family", "settings", "seed", "index")
"""What reasoning-gym's verifier makes its item from."""


def tests(seen: Seen) -> Iterator[InstarError]:
    """Tasks without the tests by which they would be judged, in every set and for every judge."""
    for use in uses(seen.plan):
        if isinstance(use.op, Execution) and use.op.tests == "hidden":
            yield from _lacking(seen, use, "hidden tests to execute", _hidden, all_of_them=True)
        elif isinstance(use.op, Execution):
            yield from _lacking(seen, use, "visible tests", lambda t: bool(visible_of(t)), all_of_them=use.exam)


def golds(seen: Seen) -> Iterator[InstarError]:
    """Tasks whose gold answer the checker cannot use. A user's own checker reads what it likes: it is not asked."""
    for use in uses(seen.plan):
        if isinstance(use.op, Verify) and ":" not in use.op.checker:
            what = {
                "numeric": "gold answer that is a number",
                "reasoning_gym": "item of reasoning-gym behind them",
                "function_call": "functions and calls in the form of BFCL",
            }
            checker = use.op.checker
            usable = _usable_by(checker)
            yield from _lacking(seen, use, what.get(checker, "gold answer"), usable, all_of_them=use.exam)


def walls(seen: Seen) -> Iterator[InstarError]:
    """What operators lack whatever their tasks are: code that would be run on a machine without a sandbox, or with a
    weaker one than asked for."""
    yield from lacking(seen.plan, {})


def needs(seen: Seen) -> Iterator[InstarError]:
    """What operators say that they lack of their tasks, beside what is said of these here and with numbers."""
    if next(tests(seen), None) is None:
        known = {str(e) for e in walls(seen)}
        yield from (e for e in lacking(seen.plan, seen.sets) if str(e) not in known)


def _hidden(task: Task) -> bool:
    tests = task.private.get("tests")
    hidden = list(tests.get("hidden", ())) if isinstance(tests, Mapping) else []
    return bool(hidden) and all(isinstance(t, str) for t in hidden)


def of_gym(task: Task) -> bool:
    """Whether reasoning-gym made this task, and so can check its answers."""
    return all(key in task.private for key in GYM)


def _usable_by(checker: str) -> Callable[[Task], bool]:
    def usable(task: Task) -> bool:
        gym = of_gym(task)
        if checker == "reasoning_gym" or (checker == "auto" and gym):
            return gym
        if checker == "function_call":
            return wanted_calls(task.private.get("functions"), task.private.get("calls"))
        gold = task.private.get("answer")
        return gold is not None and (checker != "numeric" or number(str(gold)) is not None)

    return usable


def _lacking(
    seen: Seen, use: Use, what: str, has: Callable[[Task], bool], *, all_of_them: bool
) -> Iterator[InstarError]:
    """One finding a judge, over all its sets; where it may leave some unjudged, only when it could judge none."""
    said: list[str] = []
    example: Task | None = None
    for name in use.sets:
        tasks: Sequence[Task] = seen.sets.get(name, ())
        without = [t for t in tasks if not has(t)]
        if without and (all_of_them or len(without) == len(tasks)):
            said.append(f"{len(without):,} of the {len(tasks):,} {name} tasks")
            example = example or without[0]
    if example is not None and isinstance(use.op, Judge):
        yield DataError(
            f"{use.where} is {use.op.name!r}, and {', '.join(said)} have no {what}: for example "
            f"{shown(example.question)} ({example.source}).",
            _mend(use, what),
        )


def _mend(use: Use, what: str) -> str:
    if "tests" in what:
        return (
            'Take tasks with private data tests = {"visible": [...], "hidden": [...]} (tasks.op = "code_jsonl" or '
            f'"code_basics"), or another judge, such as {use.where} = "verify".'
        )
    return f"Give these tasks one, or another checker: {use.where}.checker (your own: my_checks.py:is_right)."
