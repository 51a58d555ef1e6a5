"""What was tried in the rounds so far, and how often it was right: what a selection of tasks looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instar.protocols import Tried
from instar.records import Experience, Mark

_TOLD = (Mark.right, Mark.wrong, Mark.invalid)


@dataclass
class Tries:
    """One entry for each task, policy and round, the oldest first. In memory only: a resumed run hears them again, so
    it shows no future."""

    known: dict[tuple[str, str, int], Tried] = field(default_factory=dict)

    def hear(self, round: int, attempts: Sequence[Experience]) -> None:
        """Count these answers. What was not scored is no try; of a task that a round has marked already (answers that
        were written again, an audit) the first marks stand."""
        found: dict[tuple[str, str, int], Tried] = {}
        for e in attempts:
            key = (e.task.id, e.solution.policy, round)
            if e.feedback is None or e.feedback.mark not in _TOLD or key in self.known:
                continue
            was = found.get(key) or Tried(e.task, e.solution.policy, round, 0, 0)
            found[key] = was._replace(right=was.right + (e.feedback.mark is Mark.right), tries=was.tries + 1)
        self.known |= found

    def all(self) -> list[Tried]:
        """Everything that was tried."""
        return list(self.known.values())
