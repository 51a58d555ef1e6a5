"""Memories that have a name of their own under ``INSTAR_HOME/memories``: made from a file or a run's, given to a run
(``memory = "NAME"``). The name points at a root; what it pointed at before stays for those who began with it."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.app.storage.paths import artefacts, home
from instar.app.weights.policies import find, reading
from instar.durable import to_disk
from instar.errors import ConfigError, DataError
from instar.legible import storable
from instar.memory import kept, value
from instar.memory.embedders import embedder as known_embedder
from instar.memory.exam import repeated
from instar.memory.value import Memory
from instar.records import Note, NoteKind, Policy, Task, Trust
from instar.store.readers.persons import readable

LONGEST = 1_000
"""Characters of a note, as ``insert`` has it."""
MOST_WRONG = 10
"""Lines that one refusal lists."""
_TEXTS = {"text": True, "what": False, "who": False, "trust": False, "id": False, "kind": False, "state": False}
_NUMBERS = ("when", "strength", "recalled")
_KNOWN = (*_TEXTS, *_NUMBERS, "made_from", "pinned")
HOLDS = "holds"


@dataclass(frozen=True)
class Imported:
    """What came of a file of notes."""

    root: str
    notes: int
    known: int
    """Notes that the memory had already."""
    leaked: tuple[int, ...]
    """The lines that repeat a task that is held out, and were left out."""
    gone: int
    """Notes that no longer held where they come from."""


def memories() -> dict[str, str]:
    """The memories that have a name, with their roots; a damaged one is left out."""
    found = {}
    for path in sorted((home() / "memories").glob("*.json")):
        try:
            found[path.stem] = str(json.loads(path.read_text())["memory"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def root_of(said: str) -> str:
    """The root that a memory's name stands for, or that of a run's policy (RUN, RUN:ID). Raises ConfigError."""
    if (root := memories().get(said)) is not None:
        return root
    policy = find(said, system=None, say=lambda _: None).policy
    if policy.memory is None:
        raise ConfigError(
            f"{said} has no memory.", f"Memories by name: {', '.join(memories()) or 'none yet'}; instar memory import."
        )
    return policy.memory


def with_memory(policy: Policy, said: str | None, began: Policy | None) -> Policy:
    """The policy that remembers what ``said`` names, or what the run ``began`` with; the same one without a name."""
    if said is None:
        return policy
    root = began.memory if began is not None and began.memory is not None else root_of(said)
    return policy.model_copy(update={"memory": root}).identified()


def name_it(name: str, memory: Memory) -> str:
    """Keep a memory and let the name stand for it; returns its root. Raises ConfigError for what is no name."""
    if not re.fullmatch(r"[^\W_][\w.-]{0,99}", name):
        raise ConfigError(f"{name!r:.120} cannot be a memory's name.", "Use letters, digits, ., - and _.")
    folder = home() / "memories"
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f"writing-{os.getpid()}"
    try:
        root = kept.keep(memory, artefacts(), scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    (new := folder / f".{name}.new").write_text(json.dumps({"memory": root}))
    to_disk(new)
    os.replace(new, folder / f"{name}.json")
    to_disk(folder)
    return root


def refuse_taken(name: str) -> None:
    """Raises ConfigError for a name that stands for a memory: nobody could name that one any more."""
    if name in memories():
        raise ConfigError(f"there is a memory called {name} already.", f"Add to it (--to {name}), or name another.")


def pinned(said: str, notes: Iterable[str], *, on: bool) -> Memory:
    """The memory that ``said`` names, in which these notes are never forgotten by themselves (or are again)."""
    return value.pin(kept.read(artefacts(), root_of(said)), notes, pinned=on)


def imported(path: Path, name: str, *, onto: str | None, embedder: str) -> Imported:
    """A memory of that name from a file of notes (a JSON object a line, as ``memory export`` writes them), put onto
    what ``onto`` names. Whatever a line claims, its note is believed by nobody: ``unknown``. Where ``onto`` is of a
    run, what repeats a task that the run holds out is left out.

    Raises DataError that lists the lines which are no notes: nothing is kept then; ConfigError for an embedder that
    does not exist, and for the name of another memory.
    """
    known_embedder(embedder)
    if name != onto:
        refuse_taken(name)
    notes, gone = _read(path)
    before = kept.read(artefacts(), root_of(onto)) if onto is not None else Memory(embedder=embedder)
    leaks = repeated([n.text for n in notes.values()], held_out_of(onto) if onto is not None else [])
    leaked = tuple(line for line, leak in zip(notes, leaks, strict=True) if leak)
    new = {n.id: n for line, n in notes.items() if line not in leaked and n.id not in before.notes}
    root = name_it(name, value.insert(before, new.values()))
    return Imported(root, len(new), len(notes) - len(leaked) - len(new), leaked, gone)


def held_out_of(said: str) -> list[str]:
    """The questions that the run of a policy holds out; none for what is of no run."""
    run = None if said in memories() else find(said, system=None, say=lambda _: None).run
    if run is None:
        return []
    with reading(run) as ledger:
        ids = [id for name, own in ledger.sets().items() if name != "train" for id in own]
        return [t.question for t in readable(ledger, ids) if isinstance(t, Task)]


def leaking(memory: Memory, held_out: Sequence[str]) -> list[str]:
    """The notes of a memory that may be recalled and repeat one of these questions, by id."""
    live = list(memory.live())
    return [n.id for n, leaks in zip(live, repeated([n.text for n in live], held_out), strict=True) if leaks]


def _read(path: Path) -> tuple[dict[int, Note], int]:
    """The notes of a file that hold, by line, and how many do not."""
    try:
        text = path.read_text("utf-8-sig")  # Windows begins a file with a mark
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path} cannot be read as text: {e}.", "Give a .jsonl file in UTF-8.") from e
    notes: dict[int, Note] = {}
    wrong: list[str] = []
    gone = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as e:
            wrong.append(f"line {number} is no JSON ({e})")
            continue
        if (why := _wrong(said)) is not None:
            wrong.append(f"line {number}: {why}")
        elif said.get("state", HOLDS) != HOLDS:
            gone += 1
        else:
            notes[number] = _note(said)
    if not notes and not wrong:
        wrong.append("it has no note that holds")
    if wrong:
        more = f"; and {len(wrong) - MOST_WRONG} more" if len(wrong) > MOST_WRONG else ""
        raise DataError(
            f"{path} is no file of notes: {'; '.join(wrong[:MOST_WRONG])}{more}.",
            'A line is {"text": "My cat is called Miso.", "who": "Anna 1", "when": 3}; nothing was kept.',
        )
    return notes, gone


def _wrong(said: Any) -> str | None:
    """Why a line is no note; None for one that is."""
    if not isinstance(said, dict):
        return "it is no object"
    if unknown := [k for k in said if k not in _KNOWN]:
        return f"{unknown[0]!r:.60} is no field of a note (there are: {', '.join(_KNOWN)})"
    for field, needed in _TEXTS.items():
        found = said.get(field)
        if (needed or found is not None) and not isinstance(found, str):
            return f"{field} is {'missing' if found is None else 'no text'}"
        if isinstance(found, str) and ("\0" in found or storable(found) != found):
            return f"{field} holds characters that cannot be kept"
    if not 0 < len(said["text"].strip()) <= LONGEST:
        return f"the text has {len(said['text'].strip()):,} characters; a note has 1 to {LONGEST:,}"
    for field in _NUMBERS:
        found = said.get(field)
        if found is not None and (isinstance(found, bool) or not isinstance(found, (int, float)) or not _finite(found)):
            return f"{field} is no number"
    if said.get("what") is not None and said["what"] not in set(NoteKind):
        return f"what is {said['what']!r:.60}; there are: {', '.join(NoteKind)}"
    sources = said.get("made_from") or []
    if not isinstance(sources, list) or not all(isinstance(s, str) and storable(s) == s for s in sources):
        return "made_from is no list of ids"
    return None


def _finite(found: float) -> bool:
    try:
        return math.isfinite(found)
    except OverflowError:  # a whole number that no float holds
        return False


def _note(said: Mapping[str, Any]) -> Note:
    what = NoteKind(said.get("what") or NoteKind.event)
    return Note(
        what=what, text=said["text"].strip(), made_from=tuple(said.get("made_from") or ()), when=said.get("when"),
        who=said.get("who"), trust=Trust.unknown,
    ).identified()  # fmt: skip
