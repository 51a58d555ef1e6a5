"""A part of an ask: as many of its samples as one batch holds at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from instar.engines.scheduler.request import Answer, Request


@dataclass(eq=False)
class Part(Request):
    """Samples ``first`` to ``first + n`` of one ask: as many as the batch can hold at once."""

    first: int = 0
    outputs: dict[int, Answer] = field(default_factory=dict)

    @property
    def reach(self) -> int:
        """Tokens a row of it can come to."""
        return len(self.ids) + self.sampling.max_tokens
