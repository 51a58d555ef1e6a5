"""Which exam this is: one value that says what was asked, how it was solved and judged, and on what engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from instar.errors import DataError
from instar.protocols import Op
from instar.records import Exam, Task, hash_of


def items_digest(tasks: Sequence[Task]) -> str:
    """A digest of the tasks of an exam: of each one's id and content, whatever their order.

    Raises DataError if there are none, or if two share an id: outcomes are paired by task id.
    """
    if not tasks:
        raise DataError("An exam without tasks measures nothing.", "Give it at least one task.")
    twice = [i for i, count in Counter(t.id for t in tasks).items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} task ids occur more than once among {len(tasks)} exam tasks (first: {twice[0]!r}).",
            "Give every task of an exam an id of its own, and each task once.",
        )
    # not Task.digest: it is cached, and a copy with a changed field would bring the cached one along
    return hash_of("items", sorted(hash_of("content", t.kind, t.id, t.content()) for t in tasks))


def make_exam(
    suite: str, tasks: Sequence[Task], *, solve: Op, judge: Op, engine: str, precision: str, n: int = 1
) -> Exam:
    """The exam of these tasks. ``n`` samples an item; solver (with its sampling) and judge go in by operator id."""
    if n < 1:
        raise DataError(f"An exam with n = {n} samples an item measures nothing.", "Set n to 1 or more.")
    return Exam(
        suite=suite,
        solve=solve.op_id,
        judge=judge.op_id,
        engine=engine,
        precision=precision,
        items=items_digest(tasks),
        n=n,
    )
