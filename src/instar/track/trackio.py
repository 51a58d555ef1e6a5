"""Trackio: a local SQLite file that `trackio show` reads. Nothing goes to a Space or a server unless Trackio's own
environment variables say so."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from instar.track.settings import Tracking
from instar.track.tracker import Point, Told


class Trackio:
    """One Trackio run. Its library writes in a thread of its own, which ``close`` waits for."""

    replaces: ClassVar[bool] = False

    def __init__(self, run: Any) -> None:
        self.run = run

    def send(self, points: Sequence[Point], before: int) -> None:
        """One row a step: a training step or a round."""
        rows: dict[tuple[bool, int], dict[str, float]] = {}
        for p in points:
            rows.setdefault((p.name.startswith("training/"), p.step), {})[p.name] = p.value
        for (_, step), row in rows.items():
            self.run.log(row, step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.run.finish()


def opened(told: Told, tracking: Tracking) -> Trackio:
    """The run of this name, or a new one; without figures of the machine."""
    folder = told.folder / "trackio"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TRACKIO_DIR", str(folder))  # read when it is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import trackio

    with contextlib.redirect_stdout(io.StringIO()):  # it greets, and stdout may be JSON
        run = trackio.init(
            project=tracking.project, name=f"{told.name}-{told.id}", resume="allow", embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
            config={**told.config, **{f"version.{k}": v for k, v in told.versions.items()}},
        )  # fmt: skip
    return Trackio(run)
