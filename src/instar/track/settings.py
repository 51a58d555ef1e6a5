"""Which trackers there are, how they are set, and whether they are installed."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from instar.errors import ConfigError
from instar.track.tracker import Told, Tracker

NEEDS: dict[str, tuple[str, ...]] = {
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow", "alembic"),
    "trackio": ("trackio",),
}
"""Tracker to the libraries that it needs; its extra has its name."""


class Tracking(BaseModel):
    """How the trackers named in ``track`` are set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str | None = None
    """Where trackers write; none: ``track`` beside the runs. TensorBoard's logs are ``tensorboard/RUN`` in it, W&B's
    offline runs ``wandb``, MLflow's store ``mlflow.db``, Trackio's ``trackio``."""
    project: str = Field(default="instar", pattern=r"^[\w.-]{1,100}$")
    """The project (MLflow: the experiment) that the runs are in."""
    wandb_mode: Literal["offline", "online"] = "offline"
    """"online" sends to the W&B server that you are logged in to. Nothing else here uses the network."""
    mlflow_uri: str | None = None
    """Another MLflow store, such as a server's address; none: the SQLite file in ``folder``."""

    def place(self, run: Path) -> Path:
        """The folder that trackers write to, absolute."""
        return (Path(self.folder).expanduser() if self.folder else run.parent / "track").resolve()


def names(value: object) -> object:
    """``track`` as people write it: a list, or one text with commas; "none" is no tracker."""
    if isinstance(value, str):
        parts = [p.strip() for p in value.split(",")]
        return tuple(p for p in parts if p and p != "none")
    return value


def known(track: Iterable[str]) -> None:
    """Raises ConfigError for a tracker that does not exist or is named twice."""
    wanted = list(track)
    for name in wanted:
        if name not in NEEDS:
            close = difflib.get_close_matches(name, NEEDS, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"there is no tracker {name!r}.{meant}", f"There are: {', '.join(sorted(NEEDS))}.")
        if wanted.count(name) > 1:
            raise ConfigError(f"track names {name!r} twice.", "Name each tracker once.")


def installed(track: Iterable[str]) -> None:
    """Raises ConfigError for a tracker that is not installed, with the line that installs it. Nothing is imported."""
    for name in track:
        missing = [library for library in NEEDS[name] if importlib.util.find_spec(library) is None]
        if missing:
            raise ConfigError(
                f"the tracker {name} needs {' and '.join(missing)}, which is not installed.",
                f"pip install 'instar[{name}]', or leave it out of track.",
            )


def opened(name: str, told: Told, tracking: Tracking) -> Tracker:
    """The tracker of this name, opened. Raises whatever its library raises."""
    made: Tracker = import_module(f"instar.track.{name}").opened(told, tracking)
    return made
