"""The memories at hand, opened once and searched: what a run recalls from. Its indices are caches."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from instar.memory import kept
from instar.memory.embedders import embedder
from instar.memory.search import Index, Ready, index, ready, search
from instar.memory.value import Memory
from instar.protocols import ArtefactStore, Found, Query
from instar.records import Note

OPEN = 16
"""Memories held at once; the segments of all of them are shared."""

_Segment = tuple[str, tuple[str, ...]]
"""What an index is known by: the embedder, and the ids of its notes in order."""


class Library:
    """Opens memories by their root. The index of a segment is made once a process, whichever memories have it."""

    def __init__(self, store: ArtefactStore) -> None:
        self.store = store
        self._alone, self._reading = threading.Lock(), threading.Lock()
        self._open: OrderedDict[str, tuple[Memory, Ready]] = OrderedDict()
        self._indices: dict[_Segment, Index] = {}
        self._notes: OrderedDict[str, Mapping[str, Note]] = OrderedDict()

    def recall(self, root: str, query: Query) -> list[Found]:
        """What fits best in the memory of a root. Raises StoreError for a root that is not there, ConfigError for an
        embedder that is not installed."""
        with self._alone:  # an embedder is one model, and not made for threads
            memory, ready = self.open(root)
            return search(ready, query, embedder(memory.embedder)([query.text])[0])

    def notes(self, root: str) -> Mapping[str, Note]:
        """The notes of a memory by id, without making it ready to be searched, nor waiting for a search that is on: a
        run asks from the loop that all its calls share."""
        with self._reading:
            if root not in self._notes:
                self._notes[root] = kept.read(self.store, root).notes
            self._notes.move_to_end(root)
            while len(self._notes) > OPEN:
                self._notes.popitem(last=False)
            return self._notes[root]

    def open(self, root: str) -> tuple[Memory, Ready]:
        """A memory, ready to be searched. For one thread at a time."""
        if root not in self._open:
            memory = kept.read(self.store, root)
            indices = [self._index(segment, memory.embedder) for segment in memory.segments]
            self._open[root] = memory, ready(memory, indices)
            if len(self._open) > OPEN:
                while len(self._open) > OPEN:
                    self._open.popitem(last=False)
                used = {_segment(s, m.embedder) for m, _ in self._open.values() for s in m.segments}
                self._indices = {key: made for key, made in self._indices.items() if key in used}
        self._open.move_to_end(root)
        return self._open[root]

    def _index(self, notes: Sequence[Note], name: str) -> Index:
        key = _segment(notes, name)
        if key not in self._indices:
            self._indices[key] = index(notes, embedder(name))
        return self._indices[key]


def _segment(notes: Sequence[Note], name: str) -> _Segment:
    return name, tuple(n.id for n in notes)
