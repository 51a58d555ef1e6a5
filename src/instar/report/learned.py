"""What ``instar why`` says without an id: an answer that the result was trained on, or in a sentence why there is none.

What trained a control or a refused candidate is not in the result. It is never shown as if it were; where the result
was trained on nothing, the commands that show it are offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instar.report.policies import short
from instar.report.summary import summary
from instar.report.why import why
from instar.store.door import open_ledger
from instar.store.roles import Roles, Update, roles_of, unmoved


def learned(folder: Path) -> dict[str, Any]:
    """As ``why``, for an answer of the result's training. Where there is none, ``id`` is None, and the sentences say
    why and what there is instead."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        roles = roles_of(ledger)
        idle = unmoved(ledger, roles.base) if roles.base else 0
    finally:
        ledger.close()
    line = roles.line()
    for update in line:
        if some := update.solutions or update.away:
            return _with(_one_of(update, roles), why(folder, some[0]))
    for update in line:
        if update.idle:
            return _with(_handed(update, roles), why(folder, update.handed[0]))
        if update.tasks:
            return _with(_rolled(update, roles), why(folder, update.tasks[0]))
    if line and roles.result is not None:
        said = f"Policy {short(roles.result)}, {_what(roles)}, was made by {line[0].op} without an answer or a task."
        return _with(said, why(folder, roles.result))
    return {
        "id": None, "kind": None, "record": None, "made_from_sets": {}, "exchanges": [],
        "sentences": [_nothing(folder, roles, idle), *_instead(roles, folder.name)],
    }  # fmt: skip


def _with(said: str, found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "sentences": [said, *found["sentences"]]}


def _what(roles: Roles) -> str:
    return "which the run ended with" if roles.over else "which a gate let pass last (the run is not over)"


def _one_of(update: Update, roles: Roles) -> str:
    some = update.solutions or update.away
    n = len(some)
    one = "The one answer" if n == 1 else f"One of {n} answers"
    if update.rolled_out:
        one += " of its own rollouts"
    if some is update.away:
        one = one.replace(" answer", " worse answer", 1)
    if update.policy == roles.result:
        return f"{one} that policy {short(update.policy)} was trained on, {_what(roles)}."
    return (
        f"{one} that policy {short(update.policy)} was trained on, from which policy {short(roles.result or '')} was "
        f"made, {_what(roles)}."
    )


def _handed(update: Update, roles: Roles) -> str:
    n = len(update.handed)
    one = "the one answer" if n == 1 else f"one of {n} answers"
    return (
        f"No answer was trained on into policy {short(roles.result or '')}, {_what(roles)}. This is {one} that "
        f"{update.op} made policy {short(update.policy)} with."
    )


def _rolled(update: Update, roles: Roles) -> str:
    n = len(update.tasks)
    tasks = "the one task" if n == 1 else f"{n} tasks, of which this is one"
    return (
        f"No stored answer was handed to the training of policy {short(update.policy)}, {_what(roles)}: {update.op} "
        f"rolls out by itself. It was trained on its own answers to {tasks}; they are in the journal and no records."
    )


def _nothing(folder: Path, roles: Roles, idle: int) -> str:
    """Why the result was trained on nothing."""
    if roles.base is None:
        return f"{folder.name} was stopped before it began: it has no policy yet, and has trained on nothing."
    if not roles.over:
        state = summary(folder)["status"]
        judged = [u for u in roles.candidates if u.policy in roles.promoted]
        refused = "the one candidate so far was" if len(judged) == 1 else f"all {len(judged)} candidates so far were"
        so_far = f"{refused} refused at the gate" if judged else "no candidate has come to a gate"
        return f"{folder.name} is not over ({state}), and no answer was trained on into a result yet: {so_far}."
    head = f"No answer was trained on into the result, policy {short(roles.base)}, which is the base as it came:"
    made = len(roles.candidates)
    if made:
        refused = "its one candidate was not promoted" if made == 1 else f"none of {made} candidates was promoted"
        return f"{head} {refused}."
    if idle:
        return f"{head} its training changed nothing."
    return f"{head} the run trained no candidate."


def _instead(roles: Roles, run: str) -> list[str]:
    """What was trained on beside the result, newest first, each with the command that shows one of it."""
    out = []
    for update in reversed(roles.candidates):
        passed = roles.promoted.get(update.policy)
        word = "refused candidate" if passed is False else "candidate" if passed is None else "replaced policy"
        out += _offered(f"The {word} {short(update.policy)} of round {update.round}", update, run)
    for policy in roles.controls:
        if policy in roles.updates and policy not in roles.promoted:
            name = roles.of(policy)[-1].partition(": ")[2]
            called = f"The control {name!r}" if name else "The control"
            out += _offered(
                f"{called} ({short(policy)}, made to compare with, never promoted)", roles.updates[policy], run
            )
    return out


def _offered(who: str, update: Update, run: str) -> list[str]:
    some: Sequence[str] = update.solutions or update.away or update.handed or update.tasks
    if not some:
        return []
    one = some[0].split(":")[-1][:12]
    if update.idle:
        return [f"{who} was made with {len(some)} answer{'s' * (len(some) != 1)} and trained on none; one of them: "
                f"instar why {one} --run {run}"]  # fmt: skip
    of = (
        f"{len(some)} answer{'s' * (len(some) != 1)}"
        if update.solutions or update.away
        else (f"its own answers to {len(some)} task{'s' * (len(some) != 1)}")
    )
    return [f"{who} was trained on {of}; one of them: instar why {one} --run {run}"]
