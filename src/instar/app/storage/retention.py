"""What may be thrown away: weights that no policy to be kept needs, what killed processes left behind, and copies of
ledgers that were brought to a newer schema.

The rule fails closed. Weights are kept if *any* reading of the ledgers needs them, if a run is being written, if a
ledger cannot be read, or if no run here knows them (they may be of runs in another folder).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from instar.app.memories import memories
from instar.app.review.rederive import verified
from instar.app.storage.inventory import digests, pointers, size_of
from instar.app.storage.paths import artefacts, home, runs_folder
from instar.app.weights.policies import names, reading, roles
from instar.engines.openvino.engine import alive
from instar.errors import StoreError
from instar.memory.kept import segments_of
from instar.records import Policy, Verdict
from instar.store.artefacts import Artefacts
from instar.store.lock import holder_of
from instar.store.reach import reach, reach_of, reaching

_COPY = re.compile(r"ledger\.db\.schema-\d+(\.part)?")
_PID = re.compile(r"^(?:writing|\.new)-(\d+)(?:-[0-9a-f]+)?$")


@dataclass(frozen=True)
class Leftover:
    """Something that may go: where it is, its size, and why nobody needs it."""

    path: Path
    bytes: int
    kind: Literal["weights", "scratch", "copy"]
    reason: str


@dataclass(frozen=True)
class Sweep:
    """What would go, and what was left alone although no policy asks for it, with the reason."""

    gone: tuple[Leftover, ...]
    kept: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """What removing all of it frees."""
        return sum(x.bytes for x in self.gone)


def sweep(*, orphans: bool = False) -> Sweep:
    """Look, and touch nothing. Kept is what each run began and ended with, its controls, and every policy that a gate
    let pass or compared with; of an unfinished run everything, so that it can be resumed.

    ``orphans`` also takes weights that no run of this runs folder knows.
    """
    store = artefacts()
    needed: dict[str, str] = {digest: f"the model {name}" for name, digest in pointers()}
    needed |= {root: f"the memory {name}" for name, root in memories().items()}
    known: dict[str, str] = {}
    notes: list[str] = []
    unreadable = False
    for name in names():
        try:
            mine, all_of_it, note = _of_run(runs_folder() / name)
        except StoreError as e:
            unreadable = True
            notes.append(f"the run {name} cannot be read ({e.message}): no weights are removed while that is so")
            continue
        needed |= dict.fromkeys(mine, name)
        known |= dict.fromkeys(all_of_it, name)
        if note:
            notes.append(note)
    for of in (needed, known):
        of |= {segment: name for digest, name in of.items() for segment in segments_of(store.place(digest))}
    gone = [] if unreadable else _weights(store, needed, known, orphans, notes)
    return Sweep((*gone, *_scratch(store), *_copies(notes)), tuple(notes))


def remove(found: Sweep) -> int:
    """Remove it; returns the bytes freed. A second look at each run's lock comes first: what began since is kept."""
    busy = [runs_folder() / n for n in names() if holder_of(runs_folder() / n / "lock") is not None]
    freed = 0
    for item in found.gone:
        if any(item.path.is_relative_to(run) for run in busy) or (item.kind == "weights" and busy):
            continue  # a run that is at work may be about to ask for these very weights
        if item.kind == "weights":
            # out of its place in one step: nobody opens half an artefact
            away = item.path.with_name(f".gone-{item.path.name[:12]}-{os.getpid()}")
            item.path.rename(away)
            shutil.rmtree(away)
        elif item.path.is_dir():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            item.path.unlink(missing_ok=True)
        freed += item.bytes
    return freed


def _of_run(run: Path) -> tuple[set[str], set[str], str]:
    """(digests to keep, all digests it knows, a note)."""
    with reading(run) as ledger:
        policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
        ends = set(roles(ledger.about()).values())
        verdicts = [cast(Verdict, v) for v in ledger.records("verdict")]
        others = {d for kind in reaching() if kind != Policy.kind for ds in reach_of(ledger, kind).values() for d in ds}
    every = {d for p in policies.values() for d in reach(p)} | others
    if holder_of(run / "lock") is not None:
        return every, every, f"the run {run.name} is at work: all it has is kept"
    if not ends:
        return every, every, f"the run {run.name} is not finished: all it has is kept, so that it can be resumed"
    keep = set(ends) | {p.id for p in policies.values() if p.parent is None}
    keep |= {v.candidate for v in verdicts if v.promoted} | {v.incumbent for v in verdicts}
    # what another record than a policy needs is kept: of it no gate says whether it will be asked for again
    return {d for id in keep if id in policies for d in reach(policies[id])} | others, every, ""


def _weights(
    store: Artefacts, needed: dict[str, str], known: dict[str, str], orphans: bool, notes: list[str]
) -> list[Leftover]:
    gone, strangers = [], 0
    for digest in digests(store):
        if digest in needed:
            continue
        if digest in known:
            reason = f"made by the run {known[digest]}, which did not promote it and did not end with it"
        elif orphans:
            reason = f"no run in {runs_folder().resolve()} knows it"
        else:
            strangers += 1
            continue
        place = store.place(digest)
        gone.append(Leftover(place, size_of(place), "weights", reason))
    if strangers:
        notes.append(
            f"{strangers} artefacts are of no run in {runs_folder().resolve()}: kept, they may be of runs elsewhere "
            "(--orphans takes them)"
        )
    return gone


def _scratch(store: Artefacts) -> list[Leftover]:
    """What killed processes left: half-written artefacts and checkpoints, and scratch of runs that are finished."""
    found = [*_dead(store.root), *_dead(home() / "models")]
    for gone in store.root.glob("??/.gone-*"):
        found.append(Leftover(gone, size_of(gone), "scratch", "an artefact whose removal was interrupted"))
    for name in names():
        run = runs_folder() / name
        scratch = run / "scratch"
        if not scratch.is_dir() or holder_of(run / "lock") is not None:
            continue
        try:
            with reading(run) as ledger:
                finished = bool(roles(ledger.about()))
        except StoreError:
            continue
        if finished:
            found.append(Leftover(scratch, size_of(scratch), "scratch", f"scratch of {name}, which is finished"))
        else:
            for folder in [p for p in scratch.rglob("*") if p.is_dir()]:
                found += _dead(folder)
    return found


def _copies(notes: list[str]) -> Iterator[Leftover]:
    """Ledgers as they were before they were brought to a newer schema: of a run that is finished and verifies, nobody
    needs them. Of a run that is not, they are the way back."""
    for name in names():
        run = runs_folder() / name
        found = sorted(p for p in run.glob("ledger.db.schema-*") if _COPY.fullmatch(p.name))
        if not found or holder_of(run / "lock") is not None:
            continue
        finished = True
        try:
            with reading(run) as ledger:
                finished = bool(roles(ledger.about()))
            wrong = verified(run).wrong if finished else []
        except StoreError as e:
            wrong = [e.message]
        if wrong or not finished:
            why = f"its ledger does not verify ({wrong[0][:200]})" if wrong else "it is not finished"
            notes.append(f"{', '.join(p.name for p in found)} of the run {name} is kept: {why}")
            continue
        for path in found:
            reason = f"the ledger of {name} before it was brought to a newer schema; the run is finished and verifies"
            yield Leftover(path, size_of(path), "copy", reason)


def _dead(folder: Path) -> list[Leftover]:
    """Left-overs in a folder whose writer, named by its process id, is no more."""
    found = []
    for path in sorted(folder.glob("*")) + sorted(folder.glob(".*")):
        match = _PID.match(path.name)
        if match is None:
            continue
        pid = int(match.group(1))
        if not alive(pid):
            found.append(Leftover(path, size_of(path), "scratch", f"left by process {pid}, which is gone"))
    return found
