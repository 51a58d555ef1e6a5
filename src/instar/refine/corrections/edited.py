"""A right answer with one number of it changed: a wrong one that differs in a single step, made without a model.

Such a negative lies close to the right answer, so a pair of them says where it goes wrong (step-wise preferences, Lai
et al., *Step-DPO*, arXiv 2406.18629, section 3, where the wrong step is the model's own).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from instar.hashing import hash_of
from instar.protocols import Correct, Models
from instar.records import Experience, Finish, Polarity, Solution, Turn, TurnKind

EDITED = "edited"
"""The flag of an answer that was changed by hand, as it were: nobody said it."""
_NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?![\w])")


class Edited(Correct):
    """Of an answer of one turn, the same with one of its whole numbers a little larger or smaller: which one, and by
    how much, hangs on its text alone. It was meant wrong: a negative from birth, which no update trains toward. An
    answer without a number, or of several turns, gives nothing. Hand it right answers."""

    name: ClassVar[str] = "edited"

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        own = experience.solution
        spoken = [t for t in own.turns if t.kind is TurnKind.assistant]
        if len(own.turns) != 1 or len(spoken) != 1:
            return []
        found = list(_NUMBER.finditer(spoken[0].text))
        if not found:
            return []
        drawn = int(hash_of("edited", spoken[0].text).rsplit(":", 1)[1][:8], 16)
        at = found[drawn % len(found)]
        off = 1 + drawn // 7 % 9
        value = int(at[0]) + (off if drawn % 2 or int(at[0]) < off else -off)
        text = spoken[0].text[: at.start()] + str(value) + spoken[0].text[at.end() :]
        return [
            own.model_copy(
                update={
                    "id": "", "turns": (Turn(text=text),), "polarity": Polarity.wrong, "flags": (EDITED,),
                    "finish": Finish.stop, "tokens": 0,
                }
            )
        ]  # fmt: skip
