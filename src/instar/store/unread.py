"""Answers and feedback that are read from the ledger only when somebody looks into them.

A resumed run walks through everything it did before, and of most of it needs the ids alone: they are what keys hang on.
So a finished call gives back records that know their id; the first look at anything else reads them (and fetches their
neighbours, which will be wanted next), and from then on they are plain records.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from instar.records import Decision, Feedback, Record, Solution

MANY = 5000
"""Records of one step from which it is worth while to leave them out of the search for cycles for good."""
TOGETHER = 200
"""Records fetched by one look: an update looks into them all, one after the other."""


@contextmanager
def uncollected(*, for_good: bool = False) -> Iterator[None]:
    """While a list of many records is made, Python's search for cycles is paused: it went through all of them again
    and again, and took a third of the time of a resume. ``for_good``: what is there now is never searched; a run does
    so with its past, a server must not."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was and for_good:
            gc.freeze()
        if was:
            gc.enable()


class _Chunk:
    """Neighbours that are fetched together. Training looks from a thread of its own."""

    def __init__(self, fetch: Callable[[Sequence[str]], Mapping[str, Record]], ids: Sequence[str]) -> None:
        self._fetch, self._ids = fetch, ids
        self._found: Mapping[str, Record] | None = None
        self._lock = threading.Lock()

    def whole(self, id: str) -> Record:
        with self._lock:
            if self._found is None:
                self._found = self._fetch(self._ids)
        return self._found[id]


_own_dict = BaseModel.__dict__["__dict__"]  # the descriptor that _Unread's property hides


def _whole(record: Any) -> Any:
    chunk = _own_dict.__get__(record).get("_chunk")
    if chunk is not None:
        whole = chunk.whole(record.id)
        for slot in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
            object.__setattr__(record, slot, getattr(whole, slot))
        _own_dict.__set__(record, dict(whole.__dict__))
        object.__setattr__(record, "__class__", type(whole))
    return record


class _Unread:
    """Before every other base: whatever is asked but the id, the record is read and asks again as what it is."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattr__(name)  # type: ignore[misc]  # pydantic's, hidden from mypy
        return getattr(_whole(self), name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # pydantic's own code, in Python and in Rust, reads a model's fields here
        return _own_dict.__get__(_whole(self))


def _reading(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **named: Any) -> Any:
        whole, *others = (_whole(x) if isinstance(x, _Unread) else x for x in (self, *args))
        return getattr(type(whole), name)(whole, *others, **named)

    method.__name__ = name
    return method


# what looks at the class before it looks at the fields
_READING = {
    name: _reading(name)
    for name in (
        "__eq__", "__hash__", "__repr__", "__copy__", "__deepcopy__", "__reduce_ex__", "model_copy", "model_dump",
        "model_dump_json",
    )
}  # fmt: skip

UNREAD: dict[str, type[Record]] = {
    kind.kind: type(f"Unread{kind.__name__}", (_Unread, kind), {"__module__": __name__, **_READING})
    for kind in (Solution, Feedback, Decision)
}
"""The kinds that there are so many of, and that are so seldom looked into."""


def unread(
    kind: str,
    ids: Iterable[str],
    fetch: Callable[[Sequence[str]], Mapping[str, Record]],
    known: Mapping[str, dict[str, Any]] | None = None,
) -> list[Record]:
    """Records of these ids, in order, not read yet. ``fetch`` gives the whole records of some ids; ``known``: fields
    that are told without reading, by id, and the id itself among them. They become the records' own."""
    wanted, cls = list(ids), UNREAD[kind]
    out: list[Record] = []
    with uncollected(for_good=len(wanted) > MANY):
        for i in range(0, len(wanted), TOGETHER):
            part = wanted[i : i + TOGETHER]
            chunk = _Chunk(fetch, part)
            for id in part:
                record = cls.__new__(cls)
                fields: dict[str, Any] = known[id] if known else {"id": id}
                fields["_chunk"] = chunk
                _own_dict.__set__(record, fields)
                out.append(record)
    return out
