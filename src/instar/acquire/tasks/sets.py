"""The four sets of tasks and the proof that they are disjoint, made before a token is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from instar.errors import DataError
from instar.legible import storable, why_not
from instar.records import Role, Task
from instar.similarity import normalised

SETS = ("train", "dev", "gate", "sealed")
"""train; dev steers and tunes; gate promotes only; sealed is scored once, at the end."""

DRAW_ORDER = ("sealed", "gate", "dev", "train")
"""The sets that evidence hangs on are drawn first, so that the size of the others never changes them."""


def prove_disjoint(sets: Mapping[str, Sequence[Task]]) -> dict[str, int]:
    """The size of each set, if no canonical content stands twice, within a set or across two.

    Raises:
        DataError: an empty set, a duplicate inside a set, or two sets that share content; with one example question.
    """
    contents: dict[str, dict[str, Task]] = {}
    for name, tasks in sets.items():
        if not tasks:
            raise DataError(f"The {name} set is empty.", "Ask for at least one task, or leave the set out.")
        seen: dict[str, Task] = {}
        twice = [task for task in tasks if seen.setdefault(task.canonical, task) is not task]
        if twice:
            raise DataError(
                f"The {name} set holds {len(twice)} task(s) more than once, for example {_excerpt(twice[0])}.",
                "Remove the duplicates: two tasks are the same when their canonical content is.",
            )
        contents[name] = seen
    for a, b in combinations(contents, 2):
        shared = [task for key, task in contents[a].items() if key in contents[b]]
        if shared:
            raise DataError(
                f"The {a} and {b} sets overlap in {len(shared)} of {len(contents[a])} and {len(contents[b])} tasks, "
                f"for example {_excerpt(shared[0])}.",
                f"Take these tasks out of {b} or {a}: a score on tasks that were trained on proves nothing.",
            )
    return {name: len(tasks) for name, tasks in sets.items()}


def contents(task: Task) -> tuple[str, str]:
    """What a task asks, as canonical content and as words. Two sources may tell the same task's content otherwise (a
    sum by its numbers, a row of a file by its text), so both are compared where sources meet."""
    asked = " ".join(m.content for m in task.messages if m.role is not Role.system)
    return task.canonical, f"text:{normalised(asked)}"


def prove_apart(name: str, tasks: Sequence[Task], sets: Mapping[str, Sequence[Task]]) -> None:
    """Raises DataError if a set of another source shares a task with one of ``sets``, with one example question."""
    for other, own in sets.items():
        there = {key for task in own for key in contents(task)}
        shared = [task for task in tasks if not there.isdisjoint(contents(task))]
        if shared:
            raise DataError(
                f"The {other} and {name} sets overlap in {len(shared)} of {len(own)} and {len(tasks)} tasks, "
                f"for example {_excerpt(shared[0])}.",
                f"Take these tasks out of {name}: a score on tasks that a run was tuned on proves nothing.",
            )


def prove_storable(sets: Mapping[str, Sequence[Task]]) -> None:
    """Raises DataError for a task that no ledger can hold, whatever source it is from, with its question and why."""
    for name, tasks in sets.items():
        for task in tasks:
            said = {
                "ability": task.ability,
                "source": task.source,
                "canonical": task.canonical,
                "private": task.private,
            }
            why = why_not({"messages": [m.content for m in task.messages], **said})
            try:
                task.model_dump_json()
            except Exception as error:  # values that are no plain data; each kind raises its own
                why = why or f"cannot be stored ({storable(str(error)):.200})"
            if why is not None:
                raise DataError(
                    f"A task of {task.source} for the {name} set {why}: {storable(_excerpt(task))}.",
                    "Mend it where it comes from.",
                )


def check_wanted(wanted: Mapping[str, int]) -> list[str]:
    """The wanted set names in drawing order. Raises DataError for an unknown name or a negative size."""
    for name, size in wanted.items():
        if name not in SETS:
            raise DataError(f"There is no set named {name!r}.", f"The sets are {', '.join(SETS)}.")
        if size < 0:
            raise DataError(f"The {name} set cannot have {size} tasks.", "Give a number of at least 1.")
    return [name for name in DRAW_ORDER if name in wanted]


def _excerpt(task: Task) -> str:
    text = " ".join(task.question.split())
    return repr(text if len(text) <= 100 else text[:99] + "…")
