"""A memory of 100,000 and of 1,000,000 notes: what making it ready takes, a recall, and a hundred candidates of it.

    python -m bench.many_notes FOLDER                          both sizes; the larger takes half an hour and 8 GB
    python -m bench.many_notes FOLDER --notes 2000             a small one, to try the script
    python -m bench.many_notes FOLDER --embedder e5            with another embedder than hashed words

The notes are what simulated people tell (``diaries``), 67 each. A memory in FOLDER is read, a size whose figures
are there is only printed: the script may be killed and started again. Search is exact at every size. Prints Markdown:
wall times in milliseconds of 200 recalls each, the query's embedding included.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.tools import processor
from instar.acquire.tasks.diaries import Diaries
from instar.memory import kept, value
from instar.memory.library import Library
from instar.memory.value import LARGEST, Memory
from instar.protocols import Query
from instar.records import Note, NoteKind, Trust
from instar.store.artefacts import Artefacts

ASKED = 200
CANDIDATES = 100
USERS = 500
"""People of one world; more notes are of another world's."""


def told() -> Iterator[Note]:
    """What people tell, world after world, without end."""
    world = 0
    while True:
        for e in Diaries(users=USERS, world=world).entries():
            yield Note(
                what=NoteKind.event, text=e.text, who=f"{e.who} of {world}", when=float(e.day), trust=Trust.told
            ).identified()
        world += 1


def made(folder: Path, n: int, embedder: str) -> tuple[Artefacts, str]:
    """The store and the root of a memory of ``n`` notes, made where it is not there."""
    store, named = Artefacts(folder / "store"), folder / f"{embedder}-{n}.root"
    if not named.exists():
        stream, segments = told(), []
        for start in range(0, n, LARGEST):
            segments.append(tuple(islice(stream, min(LARGEST, n - start))))
        root = kept.keep(Memory(segments=tuple(segments), embedder=embedder), store, folder / "scratch")
        named.write_text(root)
    return store, named.read_text()


def asked(seed: int) -> list[Query]:
    """Questions of people of the first world, on the day after the last."""
    tasks = Diaries(users=USERS, world=0)({"sealed": ASKED}, {"sealed": seed})["sealed"]
    return [Query(t.question, who=f"{t.who} of 0", now=t.when) for t in tasks]


def measure(folder: Path, n: int, embedder: str) -> dict[str, Any]:
    """The figures of one size."""
    store, root = made(folder, n, embedder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    library, began = Library(store), time.perf_counter()
    memory, _ = library.open(root)
    found: dict[str, Any] = {
        "notes": len(memory), "segments": len(memory.segments), "open_s": time.perf_counter() - began,
        "gb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6,
    }  # fmt: skip
    for name, change in (("one_person", {}), ("anybody", {"who": None})):
        seconds = []
        for query in asked(1):
            began = time.perf_counter()
            library.recall(root, query._replace(**change))
            seconds.append(time.perf_counter() - began)
        found[name] = [1e3 * float(np.percentile(seconds, p)) for p in (50, 99)]
    return {**found, "candidates": candidates(folder, store, root, memory)}


def candidates(folder: Path, store: Artefacts, root: str, memory: Memory) -> float:
    """The bytes of the memory and ``CANDIDATES`` children of it, each with a note of its own, by those of it alone."""
    parent = {root, *kept.segments_of(store.open(root))}
    alone = sum(_bytes(store.open(d)) for d in parent)
    more: set[str] = set()
    for i in range(CANDIDATES):
        own = Note(what=NoteKind.event, text=f"It is candidate {i}.", trust=Trust.told).identified()
        child = kept.keep(value.insert(memory, [own]), store, folder / "scratch")
        more |= {child, *kept.segments_of(store.open(child))}
    own_bytes = sum(_bytes(store.open(d)) for d in more - parent)
    for digest in more - parent:
        shutil.rmtree(store.place(digest))
    return (alone + own_bytes) / alone


def _bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def row(x: dict[str, Any]) -> str:
    """A line of the table."""
    one, any_ = ("{:.0f} / {:.0f}".format(*x[k]) for k in ("one_person", "anybody"))
    return (
        f"| {x['notes']:,} in {x['segments']} | {x['open_s']:.0f} s, {x['gb']:.1f} GB | {one} | {any_} | "
        f"{x['candidates']:.2f} |"
    )


def main() -> None:
    """Measure each size that is not measured yet, and print all."""
    parser = argparse.ArgumentParser(prog="python -m bench.many_notes", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--notes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--embedder", default="words")
    o = parser.parse_args()
    o.folder.mkdir(parents=True, exist_ok=True)
    print(f"{processor()}; embedder {o.embedder}\n\n| notes, segments | ready in | of one person, p50 / p99 ms | of "
          f"anybody, ms | {CANDIDATES} candidates : 1 |\n|---|---|---|---|---|")  # fmt: skip
    for n in o.notes:
        kept_there = o.folder / f"{o.embedder}-{n}.json"
        if not kept_there.exists():
            kept_there.write_text(json.dumps(measure(o.folder, n, o.embedder)))
        print(row(json.loads(kept_there.read_text())), flush=True)


if __name__ == "__main__":
    main()
