"""Keep episodes whose last reflection was true, as many that say "right" as say "wrong".

AutoAct (arXiv 2401.05268) trains its reflect agent on what was kept, which are right episodes alone: nearly all its
labels are "right", and an agent that always says so learns nothing. Departure: its rows are chosen apart, from right
and from wrong episodes, in equal numbers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from instar.protocols import Filter
from instar.records import Decision, Experience, Mark, TurnKind

_WORD = re.compile(r"\b(right|wrong)\b", re.IGNORECASE)


class TrueReflection(Filter):
    """Keeps an episode whose last reflection (turn of kind ``critique``) ends in what the judge's mark says, "right" or
    "wrong"; of the word that there is more of as many as of the other, drawn by ``seed``. ``balanced`` off keeps all
    that are true."""

    name: ClassVar[str] = "true_reflection"
    scope: ClassVar[Literal["group", "all"]] = "all"

    balanced: bool = True
    seed: int = 0

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        said = [_said(e) for e in items]
        marks = [e.feedback.mark.value if e.feedback else Mark.unscored.value for e in items]
        true = {word: [i for i, w in enumerate(said) if w == word == marks[i]] for word in ("right", "wrong")}
        fewest = min(map(len, true.values()))
        luck = random.Random(self.seed)
        chosen = {i for own in true.values() for i in (luck.sample(own, fewest) if self.balanced else own)}
        counts = " and ".join(f'{len(own)} say "{word}"' for word, own in true.items())
        return [
            Decision(item=e.id, kept=i in chosen, reason=_reason(said[i], marks[i], i in chosen, counts))
            for i, e in enumerate(items)
        ]


def _said(e: Experience) -> str | None:
    words = [t.text for t in e.solution.turns if t.kind is TurnKind.critique]
    found = _WORD.findall(words[-1]) if words else []
    return str(found[-1]).lower() if found else None


def _reason(said: str | None, mark: str, kept: bool, counts: str) -> str:
    if said is None:
        return "no reflection that says right or wrong"
    if said != mark:
        return f'its reflection says "{said}", and it is {mark}'
    return f'its reflection says "{said}", which is true; {counts}{"" if kept else ": not drawn"}'
