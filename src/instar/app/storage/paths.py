"""Where things lie: INSTAR_HOME for models and artefacts, ``runs/`` in the current folder for runs."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from instar.errors import ConfigError, StoreError
from instar.store.artefacts import Artefacts
from instar.store.door import open_ledger


def home() -> Path:
    """INSTAR_HOME, or ~/.cache/instar."""
    place = os.environ.get("INSTAR_HOME")
    return Path(place).expanduser() if place else Path.home() / ".cache" / "instar"


def check_places() -> None:
    """Make INSTAR_HOME and the folder of runs. Raises StoreError when one cannot be made or written to."""
    for place, variable in ((home(), "INSTAR_HOME"), (runs_folder(), "INSTAR_RUNS")):
        why = ""
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            why = str(e.strerror)
        if why or not os.access(place, os.W_OK | os.X_OK):
            raise StoreError(
                f"the folder {place} cannot be written to ({why or 'no permission'}).",
                f"Make it writable, or set {variable} to one that is.",
            )


def check_writable() -> None:
    """As ``check_places``, but makes nothing: the nearest folder that is there must be one that can be written to."""
    for place, variable in ((home(), "INSTAR_HOME"), (runs_folder(), "INSTAR_RUNS")):
        there = nearest_folder(place)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            why = "no permission" if there.is_dir() else os.strerror(errno.ENOTDIR)
            raise StoreError(
                f"the folder {place} cannot be written to ({why}).",
                f"Make it writable, or set {variable} to one that is.",
            )


def nearest_folder(place: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    there = place.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return there


def artefacts() -> Artefacts:
    """The artefact store that all runs share."""
    return Artefacts(home() / "artefacts")


def runs_folder() -> Path:
    """INSTAR_RUNS, or ./runs."""
    return Path(os.environ.get("INSTAR_RUNS", "runs"))


def run_folder(name: str) -> Path:
    """The folder of a run by its name or path. Raises ConfigError naming the runs that exist."""
    for folder in (runs_folder() / name, Path(name)):
        if (folder / "ledger.db").exists():
            return folder
    raise ConfigError(f"there is no run {name!r} in {runs_folder()}.", _existing())


def last_run() -> Path:
    """The newest started run."""
    found = sorted(runs_folder().glob("*/ledger.db"), key=_started)
    if not found:
        raise ConfigError(f"there is no run in {runs_folder().resolve()} yet.", "Start one: instar run demo")
    return found[-1].parent


def _started(ledger: Path) -> int:
    """When a run began; where its file ``started`` was lost, when it was last written to."""
    mark = ledger.parent / "started"
    return (mark if mark.exists() else ledger).stat().st_mtime_ns


def new_run_folder(name: str | None, recipe: str) -> Path:
    """A fresh folder for a run. Raises ConfigError when the name is taken, with the command that continues it."""
    root = runs_folder()
    if name is not None:
        check_name(name)
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    root.mkdir(parents=True, exist_ok=True)
    for n in range(1, 100_000):
        folder = root / f"{recipe}-{n}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise ConfigError(f"{root} holds 99,999 runs of {recipe} already.", "Remove some.")


def check_name(name: str) -> None:
    """Raises ConfigError for what no run can be called, and for a name that is taken. Makes nothing."""
    if not re.fullmatch(r"[^\W_][\w.-]{0,99}", name):
        raise ConfigError(
            f"{name!r:.120} cannot be a run's name.", "Use letters, digits, ., - and _; a letter or digit first."
        )
    folder = runs_folder() / name
    if began(folder):
        raise ConfigError(
            f"the run {name!r} exists already.", f"Continue it with: instar resume {name}, or take another --name."
        )
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"the run {name!r} cannot be made: {folder} is a file.", "Take another --name.")


def called_after(target: str, recipe: str) -> str:
    """What a run without a name is called after: its config file, the demo, or its recipe."""
    if target.endswith(".toml"):
        return re.sub(r"[^\w.-]+", "-", Path(target).stem).lstrip("._-")[:80] or recipe
    return target if target == "demo" else recipe


def began(folder: Path) -> bool:
    """Whether a run has made anything yet. One that failed or was killed earlier may be started again."""
    if not (folder / "ledger.db").exists():
        return False
    try:
        ledger = open_ledger(folder / "ledger.db")
    except StoreError:
        return False
    try:
        return ledger.has_work()
    finally:
        ledger.close()


def _existing() -> str:
    names = sorted(p.parent.name for p in runs_folder().glob("*/ledger.db"))
    return f"There are: {', '.join(names)}." if names else "There is none yet: instar run demo"
