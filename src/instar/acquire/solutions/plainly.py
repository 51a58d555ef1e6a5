"""An answer that was given with something in sight which is no part of its task: how it may be learned."""

from __future__ import annotations

from collections.abc import Sequence

from instar.records import Learn, Turn
from instar.records.solution import ASIDES


def plainly(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """An answer that is one turn, whatever drafts it had: learned as if there had been no note. Of several turns none
    can be, and they are not trained on: under the prompts that they were asked with, the notes would be learned."""
    own = [t for t in turns if t.kind not in ASIDES or t.train]
    if len(own) > 1:
        return tuple(t.model_copy(update={"train": False}) for t in turns)
    return tuple(
        t.model_copy(update={"said": t.said.model_copy(update={"learn": Learn.plainly})}) if t.train and t.said else t
        for t in turns
    )
