"""The model a run began with: a resumed run goes on with the very weights that its ledger names, or says why not.

What a folder or a hub holds under the model's name may be others by now. The weights that count lie in the artefact
store; where they are gone from it, they are taken in again, but only if they are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from instar.app.weights.models import obtain, pointed_from, source_files
from instar.errors import ModelError
from instar.records import Policy, hash_of
from instar.store.artefacts import Artefacts, file_hash
from instar.store.ledger import Ledger
from instar.store.readers import policies

Say = Callable[[str], None]


def recorded_as(name: str) -> str:
    """What stands in the ledger as the maker of the policy that a model's name stood for."""
    return hash_of("model", name)


def begun_with(name: str, *, ledger: Ledger, home: Path, artefacts: Artefacts, system: str | None, say: Say) -> Policy:
    """The policy that ``name`` stood for when this run began; what it stands for now in a new run.

    Raises ModelError as ``obtain``, and where the weights are gone from the store and cannot be had again.
    """
    was = policies.begun_with(ledger, recorded_as(name))
    if was is None or was.weights.place != "artefact":
        return obtain(name, home=home, artefacts=artefacts, system=system, say=say)
    if artefacts.has(was.weights.digest):
        if (change := _change(name, was.weights.digest, home, artefacts)) is not None:
            say(f"note: {change}; this run goes on with the weights it began with.")
    else:
        _take_in_again(name, was, home, artefacts, say)
    return Policy(weights=was.weights, system=system, made_by=was.made_by).identified()


def _change(name: str, digest: str, home: Path, artefacts: Artefacts) -> str | None:
    """What is another now with a model's folder than when it was taken in; None where nothing is, or for no folder."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    try:
        files = source_files(folder)
    except ModelError as e:
        return e.message.rstrip(".")
    if pointed_from(folder, home, artefacts) == digest:
        return None  # no file was touched since
    kept = artefacts.files(digest)
    other = [
        p.name
        for p in files
        if p.name not in kept or p.stat().st_size != kept[p.name]["size"] or file_hash(p) != kept[p.name]["sha256"]
    ]
    return f"{', '.join(other[:3])} in {folder} changed since this run was made" if other else None


def _take_in_again(name: str, was: Policy, home: Path, artefacts: Artefacts, say: Say) -> None:
    gone = f"the weights this run began with ({was.weights.digest[:12]}) are gone from {artefacts.root}"
    back = "Put them back there, or what the model was made from back in its place, and resume; or start a new run."
    # a hub's branch may have moved: the policy is called after the commit
    wanted = was.weights.name if "@" in was.weights.name and not Path(name).expanduser().is_dir() else name
    try:
        now = obtain(wanted, home=home, artefacts=artefacts, system=None, say=say)
    except ModelError as e:
        raise ModelError(f"{gone}, and {wanted} cannot be had again: {e.message}", back) from e
    if now.weights.digest != was.weights.digest:
        raise ModelError(f"{gone}, and {wanted} stands for others now ({now.weights.digest[:12]}).", back)
