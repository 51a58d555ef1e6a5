"""How a memory changed by one update, in figures: what came, gave way, was forgotten, and what holds now, by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from instar.memory.value import Memory

UNIT = "memory"
"""Under which an update's figures of its memory are kept."""
_HOLDS = "holds: "


def figures_of(before: Memory, after: Memory) -> dict[str, float]:
    """Notes ``added``, ``superseded``, ``forgotten`` and ``strengthened`` on the way from one memory to the next, and
    how many hold then: in all (``holds``) and of each kind (``holds: event``)."""
    known = before.notes
    changed = {id: (before.state(id), s) for id, s in after.states.items() if before.state(id) != s}
    gave_way = [s for was, s in changed.values() if s.superseded_by and not was.superseded_by]
    kinds = Counter(n.what.value for n in after.live())
    return {
        "added": float(sum(id not in known for id in after.notes)),
        "superseded": float(len(gave_way)),
        "forgotten": float(sum(s.gone is not None and was.gone is None for was, s in changed.values())),
        "strengthened": float(sum(s.strength > was.strength and id in known for id, (was, s) in changed.items())),
        "holds": float(kinds.total()),
        **{f"{_HOLDS}{kind}": float(n) for kind, n in sorted(kinds.items())},
    }  # fmt: skip


def in_words(figures: Mapping[str, float]) -> str:
    """The same as a line; of what did not happen nothing is said."""
    done = [f"{figures[name]:g} {name}" for name in ("added", "superseded", "forgotten", "strengthened")
            if figures.get(name)]  # fmt: skip
    kinds = [f"{kind.removeprefix(_HOLDS)} {n:g}" for kind, n in figures.items() if kind.startswith(_HOLDS)]
    return f"{', '.join(done) or 'nothing new'}; {figures.get('holds', 0):g} hold ({', '.join(kinds) or 'none'})"
