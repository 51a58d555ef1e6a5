"""Whether forgetting by R = exp(-t / S) keeps what will be asked for: recall by age, against other ways to fit a size.

    python -m bench.forgetting [--worlds 5] [--cap 15]

No language model. People of ``diaries`` tell facts over ten days. Each day a person asks three questions about what was
told so far: of a share of them about the half of the facts that is in use (which half is drawn by lot), otherwise about
any. What is found is strengthened, as in a run (``strengthen``). Each night a memory that holds more than ``cap`` notes
of a person loses some: the most faded (MemoryBank), by lot (forgetting off), or the oldest. On the last day each fact
that still holds is asked for: recall@1 by the age of the note, in use or not, with 95 % intervals, paired. The share is
given twice: 0.8, and 0 (nothing is in use: what was asked says nothing of what will be).
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.tools import processor
from instar.acquire.tasks.diaries import Diaries, Entry
from instar.acquire.tasks.diary_world import FACTS
from instar.evaluate.intervals import paired_bootstrap, wilson
from instar.memory import value
from instar.memory.embedders import minilm
from instar.memory.search import Index, index, ready, search
from instar.memory.value import Memory
from instar.protocols import Query
from instar.records import Note, NoteKind, Trust

Vector = np.ndarray[Any, np.dtype[np.float32]]
Vectors = Mapping[str, Vector]
WAYS = ("all is kept", "forgotten by R", "by lot", "the oldest goes")
ASKED = {f.key: f.asked for f in FACTS}
QUESTIONS_A_DAY, DAYS_OF_ONE_STRENGTH = 3, 100.0


class Probe(NamedTuple):
    """One question of the last day."""

    who: str
    key: str
    told: str
    age: int
    used: bool


class Person:
    """One person's memory under one way to keep it small."""

    def __init__(self, way: str, cap: int, luck: random.Random, vectors: Vectors) -> None:
        self.memory, self._way, self._cap, self._luck, self._vectors = (
            Memory(embedder="minilm"),
            way,
            cap,
            luck,
            vectors,
        )

    def hear(self, notes: Sequence[Note]) -> None:
        self.memory = value.insert(self.memory, notes)

    def ask(self, key: str, day: float) -> Note | None:
        """What is recalled first."""
        made: list[Index] = [index(s, lambda texts: _rows(self._vectors, texts)) for s in self.memory.segments]
        query = Query(ASKED[key], k=1, now=day, days=DAYS_OF_ONE_STRENGTH)
        found = search(ready(self.memory, made), query, _rows(self._vectors, [query.text])[0])
        return found[0].note if found else None

    def sleep(self, day: float) -> None:
        """Down to the cap."""
        live = list(self.memory.live())
        many = len(live) - self._cap
        if self._way == "all is kept" or many <= 0:
            return
        kept_least = {
            "forgotten by R": lambda n: value.retention(n, self.memory.state(n.id), day, DAYS_OF_ONE_STRENGTH),
            "by lot": lambda n: self._luck.random(),
            "the oldest goes": lambda n: n.when or 0.0,
        }[self._way]
        gone = sorted(live, key=lambda n: (kept_least(n), n.id))[:many]
        self.memory = value.forget(self.memory, {n.id: "no room" for n in gone})


def _rows(vectors: Vectors, texts: Sequence[str]) -> Vector:
    return np.asarray([vectors[t] for t in texts], dtype=np.float32)


def lived(way: str, world: int, cap: int, share: float, vectors: Vectors) -> Iterator[tuple[Probe, bool]]:
    """Each probe of a world, and whether the note that has its answer was recalled first."""
    source = Diaries(world=world)
    entries = source.entries()
    for who in dict.fromkeys(e.who for e in entries):
        own = [e for e in entries if e.who == who]
        # what happens to a person is the same under each way; only the lot that forgets is another's
        luck = random.Random(f"{world}|{who}")
        person = Person(way, cap, random.Random(f"{world}|{who}|lot"), vectors)
        used = set(luck.sample([f.key for f in FACTS], len(FACTS) // 2))
        for day in range(source.days):
            person.hear([_note(e) for e in own if e.day == day])
            for key in _asked(own, day, used, share, luck):
                if (found := person.ask(key, float(day))) is not None:
                    person.memory = value.strengthen(person.memory, {found.id: (1, float(day))})
            person.sleep(float(day))
        for e in own:
            if e.holds:
                found = person.ask(e.key, float(source.days))
                yield (
                    Probe(who, e.key, e.text, source.days - e.day, e.key in used),
                    (found is not None and found.text == e.text),
                )


def _asked(own: Sequence[Entry], day: int, used: set[str], share: float, luck: random.Random) -> list[str]:
    told = list(dict.fromkeys(e.key for e in own if e.day <= day and e.key))
    of_use = [k for k in told if k in used]
    made = []
    for _ in range(QUESTIONS_A_DAY):
        pool = of_use if of_use and luck.random() < share else told
        if pool:
            made.append(luck.choice(pool))
    return made


def _note(e: Entry) -> Note:
    return Note(
        what=NoteKind.event, text=e.text, made_from=(f"i1:{e.who}{e.day}{e.text}",), when=float(e.day), who=e.who,
        trust=Trust.told,
    ).identified()  # fmt: skip


def rows(worlds: int, cap: int, share: float) -> list[str]:
    """A table: recall@1 of each way by age and use, and forgetting by R against the lot, paired."""
    texts = sorted({e.text for w in range(1, worlds + 1) for e in Diaries(world=w).entries()} | set(ASKED.values()))
    vectors = dict(zip(texts, minilm(texts), strict=True))
    found = {way: [x for w in range(1, worlds + 1) for x in lived(way, w, cap, share, vectors)] for way in WAYS}
    groups = {
        "in use": lambda p: p.used, "not in use": lambda p: not p.used, "1 to 3 days": lambda p: p.age <= 3,
        "4 to 7 days": lambda p: 3 < p.age <= 7, "over 7 days": lambda p: p.age > 7, "all": lambda p: True,
    }  # fmt: skip
    made = [f"| | n | {' | '.join(WAYS)} | by R less by lot, points |", "|---|---|" + "---|" * (len(WAYS) + 1)]
    for name, inside in groups.items():
        hits = {way: [float(hit) for p, hit in own if inside(p)] for way, own in found.items()}
        n = len(hits["by lot"])
        cells = [f"{sum(hits[w]) / n:.1%} ({_interval(hits[w])})" for w in WAYS]
        gain = paired_bootstrap(hits["by lot"], hits["forgotten by R"])
        cells.append(f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})")
        made.append(f"| {name} | {n} | {' | '.join(cells)} |")
    return made


def _interval(hits: Sequence[float]) -> str:
    found = wilson(int(math.fsum(hits)), len(hits))
    return f"{found.low:.0%} to {found.high:.0%}"


def main(argv: Sequence[str] | None = None) -> None:
    """Live through both kinds of world and print a table of each."""
    parser = argparse.ArgumentParser(prog="python -m bench.forgetting", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--worlds", type=int, default=5, help="of 15 people each")
    parser.add_argument("--cap", type=int, default=15, help="notes that are kept of each person")
    o = parser.parse_args(argv)
    print(processor())
    for share in (0.8, 0.0):
        print("", f"A question is of what is in use with {share:.0%}; {o.cap} notes a person", "", sep="\n")
        print(*rows(o.worlds, o.cap, share), sep="\n", flush=True)


if __name__ == "__main__":
    main()
