"""A folder of documents as a source: its passages to learn from, and questions with a key in the text to examine by."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.documents.asking import by_rule, told, with_texts
from instar.acquire.documents.limits import Limits
from instar.acquire.documents.passages import Passage, passages
from instar.acquire.documents.read import Shelf, read_folder
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.sets import check_wanted
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Task

SHOWN = 20
"""Files that were not read whose reasons go into a run's notes."""


class Documents(Source):
    """``folder``: text, Markdown, HTML and PDF files, read within ``limits``, in passages of ``characters``.

    **train** are the passages themselves, of all documents in the order of their names; a recipe makes tasks of them.
    What was not read, and why, stands with the first of them (``unread``).
    **dev, gate, sealed** are questions. With ``questions``, a JSONL file (``question``, ``answer``), they are its rows,
    asked without any text. Without, they are gaps in the documents' sentences and cells of their tables, by rule, each
    fact in one set: asked without the text (``shows = "nothing"``), of the same documents; or with numbered texts of
    which ``distractors`` do not answer them (``shows = "texts"``), and then of documents that train has not.

    Raises:
        ConfigError: ``questions`` with ``shows = "texts"``: nobody knows which text answers a row.
        DataError: a folder without a document that can be read; fewer passages or questions than are wanted.
    """

    name: ClassVar[str] = "documents"

    folder: str = Field(min_length=1)
    questions: str | None = None
    shows: Literal["nothing", "texts"] = "nothing"
    characters: int = Field(default=800, ge=80, le=4_000)
    distractors: int = Field(default=2, ge=0, le=20)
    limits: Limits = Limits()

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        if self.questions is not None and self.shows == "texts":
            raise ConfigError(
                "documents has a file of questions, and is to show the texts that answer them.",
                'Leave questions out, or set shows = "nothing".',
            )
        shelf = read_folder(Path(self.folder).expanduser(), self.limits)
        of = [passages(d, self.characters) for d in shelf.documents]
        held, learned = self._parted(of, wanted, seeds)
        drawn = self._asked(held, {n: wanted[n] for n in order if n != "train"}, seeds)
        if "train" in wanted:
            drawn["train"] = self._learned(learned, wanted["train"], shelf)
        return {name: drawn[name] for name in wanted}

    def _parted(
        self, of: Sequence[Sequence[Passage]], wanted: Mapping[str, int], seeds: Mapping[str, int]
    ) -> tuple[list[Passage], list[Passage]]:
        """Passages to be asked about, and passages to learn from."""
        everything = [p for own in of for p in own]
        if self.shows == "nothing":
            return everything, everything
        need = sum(n for name, n in wanted.items() if name != "train")
        order = list(range(len(of)))
        random.Random(f"documents|{seeds.get('sealed', 0)}").shuffle(order)
        held: set[int] = set()
        there: set[str] = set()  # what two documents say is asked once
        for place in order:
            if len(there) >= need:
                break
            held.add(place)
            there |= {t.canonical for p in of[place] for t in by_rule(p, self.name, "cited")}
        asked = [p for i, own in enumerate(of) if i in held for p in own]
        return asked, [p for i, own in enumerate(of) if i not in held for p in own]

    def _asked(
        self, held: Sequence[Passage], wanted: Mapping[str, int], seeds: Mapping[str, int]
    ) -> dict[str, list[Task]]:
        if self.questions is not None:
            rows = Jsonl(path=self.questions)(wanted, seeds) if wanted else {}
            return {name: [_mentions(t) for t in tasks] for name, tasks in rows.items()}
        ability = "closed_book" if self.shows == "nothing" else "cited"
        asked = {t.canonical: t for p in held for t in by_rule(p, self.name, ability)}
        left = list(asked.values())
        random.Random(f"questions|{seeds.get('sealed', 0)}").shuffle(left)
        if sum(wanted.values()) > len(left):
            raise DataError(
                f"{len(held):,} passages hold {len(left):,} facts that can be asked by rule, and "
                f"{sum(wanted.values()):,} questions are wanted.",
                'Ask for fewer, add documents, or give questions of your own (questions = "FILE.jsonl").',
            )
        drawn: dict[str, list[Task]] = {}
        for name, n in wanted.items():
            own, left = left[:n], left[n:]
            drawn[name] = [with_texts(t, held, self.distractors) for t in own] if self.shows == "texts" else own
        return drawn

    def _learned(self, learned: Sequence[Passage], n: int, shelf: Shelf) -> list[Task]:
        tasks = list({t.canonical: t for t in told(learned, self.name)}.values())
        if n > len(tasks):
            held = " once those that are asked about are held out" if self.shows == "texts" else ""
            raise DataError(
                f"{len(shelf.documents):,} documents have {len(tasks):,} passages{held}, and {n:,} are wanted.",
                f"Set sizes.train to at most {len(tasks)}.",
            )
        said = [f"{u.name} was not read: {u.reason}" for u in shelf.unread]
        said += [f"of {d.name} was left out: {'; '.join(d.left_out)}" for d in shelf.documents if d.left_out]
        if said and tasks:
            more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
            private = {**tasks[0].private, "unread": [*said[:SHOWN], *more]}
            tasks[0] = tasks[0].model_copy(update={"private": private})
        return tasks[:n]


def _mentions(task: Task) -> Task:
    """A row of a file, told right where its answer stands in the reply, unless the row says otherwise."""
    return task.model_copy(update={"private": {"told_by": "mentions", "others": [], **task.private}})
