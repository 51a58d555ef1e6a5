"""A memory on disk: artefacts by digest. The root names its segments, so its digest is a Merkle root over all of it.

``memory.json`` of the root holds the segments' digests, the states and the embedder; ``notes.jsonl`` of a segment one
note a line. Equal segments are stored once, whoever has them. A note that had to go (``emptied``) leaves its id in its
line, in every memory that has the segment; digests stay what they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instar.errors import StoreError
from instar.memory.value import LARGEST, Memory, State
from instar.protocols import ArtefactStore
from instar.records import Note, canonical_json

ROOT, NOTES = "memory.json", "notes.jsonl"
FORMAT = 1
GONE = "redacted"
_GONE = f'{{"{GONE}":'
"""How a line begins that says of a note only that it had to go."""
REMEMBERED = 2_048
"""Segments whose digests are known without writing them; some eight million notes."""
_written: dict[tuple[str, ...], str] = {}
DAMAGED = "Put the artefact back from a copy: its digest says what it was."


def keep(memory: Memory, store: ArtefactStore, scratch: Path) -> str:
    """Write what is not there yet and return the root's digest. ``scratch`` is a folder to build in."""
    segments = [_segment(segment, store, scratch) for segment in memory.segments]
    states = {id: s.model_dump(mode="json", exclude_defaults=True) for id, s in sorted(memory.states.items())}
    about = {"format": FORMAT, "embedder": memory.embedder, "segments": segments, "states": states}
    return _put(store, scratch, ROOT, canonical_json(about))


def read(store: ArtefactStore, root: str) -> Memory:
    """The memory of a root. Raises StoreError for one that is not there, is damaged, or is no memory."""
    found = _root(store.open(root), root)
    segments = tuple(notes for digest in found["segments"] if (notes := segment(store, digest)))
    states = {id: State.model_validate(s) for id, s in found["states"].items()}
    return Memory(segments=segments, states=states, embedder=found["embedder"])


def segment(store: ArtefactStore, digest: str) -> tuple[Note, ...]:
    """The notes of a segment, without those that had to go. Raises StoreError for one that is not there or is none."""
    folder = store.open(digest)
    return _notes(str(folder), digest, (folder / NOTES).stat().st_mtime_ns if (folder / NOTES).is_file() else 0)


def is_segment(folder: Path) -> bool:
    """Whether an artefact's folder holds notes."""
    return (folder / NOTES).is_file()


def emptied(store: ArtefactStore, digest: str, ids: Collection[str]) -> str | None:
    """What the file ``NOTES`` of a segment says when these notes had to go; None where it has none of them."""
    notes = segment(store, digest)
    going = [n.id for n in notes if n.id in ids]
    if not going:
        return None
    said = (store.open(digest) / NOTES).read_text("utf-8").split("\n")
    gone = [json.loads(line)[GONE] for line in said if line.startswith(_GONE)]
    marks = "".join(canonical_json({GONE: id}) + "\n" for id in [*gone, *going])
    return _lines([n for n in notes if n.id not in ids]) + marks


def segments_of(folder: Path) -> tuple[str, ...]:
    """The digests that a root names; none for a folder that is no memory."""
    if not (folder / ROOT).is_file():
        return ()
    return tuple(_root(folder, folder.name)["segments"])


def whole(store: ArtefactStore, root: str) -> bool:
    """Whether a memory is there with every segment of it."""
    return store.has(root) and all(map(store.has, segments_of(store.open(root))))


def _root(folder: Path, root: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / ROOT).read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise StoreError(f"the artefact {root} is no memory ({e}).", "Was it made by a memory update?") from e
    if found.get("format") != FORMAT:
        raise StoreError(f"the memory {root} has the format {found.get('format')}.", "It is of a newer instar.")
    return found


@lru_cache(maxsize=512)
def _notes(folder: str, digest: str, at: int = 0) -> tuple[Note, ...]:
    """The notes of a segment, as its file of this time has them. Only a newline ends one: the other ends of a line that
    Unicode knows (U+2028, U+2029, U+0085) stand in notes as people wrote them."""
    try:
        lines = (Path(folder) / NOTES).read_text("utf-8").split("\n")
    except (OSError, ValueError) as e:
        raise StoreError(f"the segment {digest} of a memory cannot be read ({e}).", DAMAGED) from e
    lines = [line for line in lines if line and not line.startswith(_GONE)]
    if len(lines) > LARGEST:
        raise StoreError(f"the segment {digest} has {len(lines)} notes; the most is {LARGEST}.")
    try:
        return tuple(Note.model_validate_json(line) for line in lines)
    except ValidationError as e:
        raise StoreError(f"the segment {digest} of a memory holds something that is no note.", DAMAGED) from e


def _lines(notes: Sequence[Note]) -> str:
    return "".join(canonical_json(n.model_dump(mode="json", exclude_defaults=True)) + "\n" for n in notes)


def _segment(notes: tuple[Note, ...], store: ArtefactStore, scratch: Path) -> str:
    """The digest of a segment that is in the store then. One that this process wrote is not written again to know it: a
    child of a large memory costs what differs."""
    ids = tuple(n.id for n in notes)
    if ids not in _written or not store.has(_written[ids]):
        _written[ids] = _put(store, scratch, NOTES, _lines(notes))
        while len(_written) > REMEMBERED:
            del _written[next(iter(_written))]
    return _written[ids]


def _put(store: ArtefactStore, scratch: Path, name: str, text: str) -> str:
    folder = scratch / "memory"
    shutil.rmtree(folder, ignore_errors=True)  # of a killed process
    folder.mkdir(parents=True)
    (folder / name).write_text(text, "utf-8")
    return store.put(folder)
