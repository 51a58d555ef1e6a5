"""The trackers of a run while a session works on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from instar.app.configs.config import Plan
from instar.app.storage.paths import artefacts
from instar.track.following import Following
from instar.track.settings import installed


def ready(plan: Plan) -> None:
    """Raises ConfigError for a tracker that is not installed: before a token is spent."""
    installed(plan.run.track)


@contextlib.contextmanager
def followed(plan: Plan, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Inside, the trackers of the plan hear of the run; without any, nothing happens."""
    if not plan.run.track:
        yield
        return
    following = Following(folder, plan.run.track, plan.run.tracking, artefacts().place, say)
    following.start()
    try:
        yield
    finally:
        following.close()
