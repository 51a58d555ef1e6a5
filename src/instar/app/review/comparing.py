"""Two policies, paired item by item, on the sealed exams their runs stored: no token is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from instar.app.weights.policies import Found, find, reading
from instar.errors import ConfigError
from instar.evaluate.compare import Comparison, compare
from instar.records import Report, Task, hash_of
from instar.store.readers.persons import readable

SEALED = "sealed"


@dataclass(frozen=True)
class Paired:
    """Two policies and the comparison of their reports. ``comparison.refusal`` says why there is none."""

    a: Found
    b: Found
    comparison: Comparison
    exam: str
    """The exam in words."""


def paired(a: str, b: str | None) -> Paired:
    """``b`` against ``a`` on the sealed exam; without ``b``, a run's final policy against its base.

    Two runs need not have the same task ids: items are paired by their content (question, gold answer, checker's
    data), so runs that differ in rounds or training size compare when their sealed sets hold the same tasks.
    Raises ConfigError for something that is no policy of a run, or was not examined, with the command that examines it.
    """
    first, second = (f"{a}:base", f"{a}:final") if b is None else (a, b)
    left, right = (find(said, system=None, say=_quiet) for said in (first, second))
    return pair(left, right, stored_report(left), stored_report(right))


def pair(a: Found, b: Found, before: Report, after: Report) -> Paired:
    """Two reports compared. Where task ids differ, only content decides whether the items are the same."""
    e = before.exam
    where = f"{e.suite} exam, {len(before.outcomes)} items, {e.n} a task, {e.engine} {e.precision}"
    return Paired(a, b, compare(before, after), where)


def stored_report(found: Found, suite: str = SEALED) -> Report:
    """The report of a policy on its run's exam, its items named by content. Raises ConfigError if there is none."""
    if found.run is None:
        raise ConfigError(
            f"{found.title} is of no run, so nothing is known of it on a sealed exam.",
            "Examine it: instar evaluate POLICY --on RUN.",
        )
    with reading(found.run) as ledger:
        reports = [cast(Report, r) for r in ledger.records("report")]
        tasks = [cast(Task, t) for t in readable(ledger, ledger.sets().get(suite, []))]
    for report in reports:
        if report.policy == found.policy.id and report.exam.suite == suite:
            return by_content(report, tasks)
    id = found.policy.id.split(":")[-1][:8]
    raise ConfigError(
        f"{found.title} has no report on the {suite} exam of {found.run.name}.",
        f"Examine it: instar evaluate {found.run.name}:{id} --on {found.run.name} (an unfinished run has no report).",
    )


def by_content(report: Report, tasks: list[Task]) -> Report:
    """The same report with each item named by its task's content digest, so that two runs' reports can be paired. One
    whose task was redacted keeps its id: another run's is not known to be the same."""
    named = {t.id: t.digest for t in tasks}
    outcomes = tuple(o.model_copy(update={"task": named.get(o.task, o.task)}) for o in report.outcomes)
    items = hash_of("contents", sorted(o.task for o in outcomes))
    exam = report.exam.model_copy(update={"items": items})
    return report.model_copy(update={"outcomes": outcomes, "exam": exam})


def _quiet(_: str) -> None:
    """Nothing is said: no model is fetched here that a run does not already have."""
