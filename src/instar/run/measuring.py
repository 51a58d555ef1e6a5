"""With what a run measures judges and filters, what it has measured so far, and whose word a judge passes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from instar.protocols import Audit, Judge
from instar.records import Experience, Plant, Policy
from instar.run.generate import Handles
from instar.run.keys import SELF

JUDGE = "judge"  # the role of the policy that judges
Marked = list[tuple[Plant, Experience]]
"""Plants, each as the filters see it: with its feedback."""


@dataclass
class Measuring:
    """With what a run measures its judges and filters, and what it has measured so far."""

    audit: Audit | None = None
    """Plants answers of known worth; None measures nothing."""
    judge: Policy | None = None
    """Who judges where a judge asks a model; None: the policy at hand, in exams the base."""
    done: set[tuple[str, str | None, int]] = field(default_factory=set)
    """What was measured already: operator, whose word it is, round."""
    planted: dict[int, Marked] = field(default_factory=dict)
    """By round, the plants as its first judge marked them. In memory only: a resumed run fills it as it replays."""


def believed(op: Judge, models: Handles) -> tuple[str, ...]:
    """The policy whose word a judge's verdicts are: they are made from it. None where it asks no model."""
    return (models.get(JUDGE, models[SELF]).policy.id,) if op.believes_a_model else ()
