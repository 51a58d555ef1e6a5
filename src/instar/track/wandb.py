"""Weights & Biases: an offline run in a folder, without a login; `wandb sync` sends it when you want it sent."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from instar.track.settings import Tracking
from instar.track.tracker import Point, Told

FLUSH = 0.2
"""Seconds after which W&B's own process writes to its file what it was told. As it is set by W&B (15 s), a run that is
killed leaves an empty file behind."""


class WeightsAndBiases:
    """One W&B run; a resumed session is another offline folder of the same run."""

    replaces: ClassVar[bool] = False

    def __init__(self, run: Any) -> None:
        self.run = run

    def send(self, points: Sequence[Point], before: int) -> None:
        """One row for each round or training step; W&B writes them in a process of its own."""
        rows: dict[tuple[str, int], dict[str, float]] = {}
        for p in points:
            axis = "training/step" if p.name.startswith("training/") else "round"
            rows.setdefault((axis, p.step), {axis: p.step})[p.name] = p.value
        # W&B's own step must grow over all sessions; what the charts have on their x axis is the round
        for i, row in enumerate(rows.values()):
            self.run.log(row, step=before + i, commit=True)
        time.sleep(3 * FLUSH)  # in the trackers' thread: until it is in the file

    def close(self) -> None:
        self.run.finish()


def opened(told: Told, tracking: Tracking) -> WeightsAndBiases:
    """The run, opened without console capture, system figures, git or code: only what is sent here is stored."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # crash reports to the vendor
    import wandb

    folder = told.folder / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        mode=tracking.wandb_mode, silent=True, console="off", x_disable_stats=True, x_disable_meta=True,
        x_disable_machine_info=True, x_transaction_log_flush_interval=FLUSH, disable_git=True, disable_code=True,
        save_code=False,
    )  # fmt: skip
    run = wandb.init(
        project=tracking.project, name=told.name, id=told.id, dir=str(folder), resume="allow", settings=settings,
        config={**told.config, **{f"version/{k}": v for k, v in told.versions.items()}},
    )  # fmt: skip
    run.define_metric("*", step_metric="round")
    run.define_metric("training/*", step_metric="training/step")
    return WeightsAndBiases(run)
