"""Keep answers that came to an end: not cut off, not empty, not too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience, Finish


class Finished(Filter):
    """Drops solutions that ran into the token limit, that say nothing, or (if set) that exceed ``max_tokens`` tokens.

    A cut-off answer can be right by luck; training on it teaches a model not to stop.
    """

    name: ClassVar[str] = "finished"

    max_tokens: int | None = Field(default=None, ge=1)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(item) for item in items]

    def _decide(self, item: Experience) -> Decision:
        solution = item.solution
        if solution.finish is Finish.length:
            return Decision(item=item.id, kept=False, reason=f"truncated: cut off after {solution.tokens} tokens")
        if not solution.text.strip():
            return Decision(item=item.id, kept=False, reason="empty: the model wrote nothing")
        if self.max_tokens is not None and solution.tokens > self.max_tokens:
            return Decision(
                item=item.id, kept=False, reason=f"too long: {solution.tokens} tokens, at most {self.max_tokens}"
            )
        return Decision(item=item.id, kept=True, reason="finished")
