"""A gate that lets every candidate pass: for benches that compare what was trained, not what a gate made of it."""

from __future__ import annotations

from typing import ClassVar

from instar.protocols import Gate
from instar.records import Check, Report, Verdict


class Taken(Gate):
    """Promotes whatever is examined."""

    name: ClassVar[str] = "bench_taken"

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        """A verdict that says yes."""
        return Verdict(
            incumbent=incumbent.policy, candidate=candidate.policy, incumbent_report=incumbent.id,
            candidate_report=candidate.id, promoted=True,
            checks=(Check(name="taken", passed=True, reason="Every candidate is taken here."),),
            reason="Every candidate is taken here.",
        )  # fmt: skip
