"""What is recalled first of what people told, in each language and by each embedder: the search alone, no model.

    python -m bench.languages                      Chinese, then English; half a minute
    python -m bench.languages --language zh

All questions of the 15 people of ``diaries`` over 10 days, before and after ``supersede``, by the share of BM25 in the
score. Prints Markdown: recall@1.
"""

from __future__ import annotations

import argparse
from typing import Literal, get_args

from bench.tools import processor
from instar.acquire.tasks.diaries import Diaries
from instar.memory import value
from instar.memory.embedders import Embedder, embedder
from instar.memory.search import index, ready, search
from instar.memory.value import Memory
from instar.protocols import Query
from instar.records import Note, NoteKind, Trust
from instar.update.memory.supersede import Supersede, contradicted

SHARES = (0.0, 0.5, 0.7, 1.0)


def recalled(people: Diaries, name: Embedder, *, superseded: bool) -> list[float]:
    """Recall@1 for each of ``SHARES``."""
    told = people.entries()
    memory = value.insert(Memory(embedder=name), [
        Note(what=NoteKind.event, text=e.text, who=e.who, when=float(e.day), trust=Trust.told).identified()
        for e in told
    ])  # fmt: skip
    if superseded:
        rule = Supersede()
        memory = value.supersede(memory, contradicted(memory, rule.share, rule.least))
    asked = people({"sealed": sum(e.holds for e in told)}, {})["sealed"]
    embed = embedder(name)
    prepared, vectors = ready(memory, [index(s, embed) for s in memory.segments]), embed([t.question for t in asked])
    right = []
    for share in SHARES:
        found = [search(prepared, Query(t.question, who=t.who, now=t.when, lexical=share), v)
                 for t, v in zip(asked, vectors, strict=True)]  # fmt: skip
        right.append(sum(bool(f) and f[0].note.text == t.private["told"] for f, t in zip(found, asked, strict=True)))
    return [n / len(asked) for n in right]


def main() -> None:
    """A table for each language."""
    parser = argparse.ArgumentParser(prog="python -m bench.languages", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--language", choices=("zh", "en"), nargs="*", default=["zh", "en"])
    languages: list[Literal["zh", "en"]] = parser.parse_args().language
    print(processor())
    heads = " | ".join(f"BM25 {share:.0%}" for share in SHARES)
    for language in languages:
        print(f"\n{language}\n\n| embedder | supersede | {heads} |\n|---|---|{'---|' * len(SHARES)}")
        for name in get_args(Embedder):
            for superseded in (False, True):
                row = recalled(Diaries(language=language), name, superseded=superseded)
                print(f"| {name} | {'after' if superseded else 'before'} | {' | '.join(f'{r:.1%}' for r in row)} |")


if __name__ == "__main__":
    main()
