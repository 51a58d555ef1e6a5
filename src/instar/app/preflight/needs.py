"""Whether the operators of a plan have what they need, before a token is spent. Each says so itself: ``Op.prepare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from instar.app.configs.config import Plan
from instar.app.configs.uses import uses
from instar.errors import ConfigError, InstarError
from instar.legible import said
from instar.records import Task


def lacking(plan: Plan, sets: Mapping[str, Sequence[Task]]) -> Iterator[InstarError]:
    """What each operator of the plan says that it lacks, nested ones too; a sentence that two say is one finding.
    Solvers and judges are handed their own of these sets."""
    works_on: dict[str, set[str]] = {}
    for use in uses(plan):
        works_on.setdefault(use.op.op_id, set()).update(use.sets)
    told: set[str] = set()
    for op in plan.ops():
        own = works_on.get(op.op_id, set())
        try:
            op.prepare({name: tasks for name, tasks in sets.items() if name in own})
        except InstarError as e:
            found = e
        except (Exception, SystemExit) as e:  # the class may be the user's own
            found = ConfigError(f"the operator {op.name} fails in prepare: {type(e).__name__}: {said(e)}.", "Mend it.")
        else:
            continue
        if str(found) not in told:
            told.add(str(found))
            yield found
