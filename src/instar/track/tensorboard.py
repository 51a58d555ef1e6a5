"""TensorBoard: event files that `tensorboard --logdir` reads. No torch and no TensorFlow is needed to write them.

Each sending is a file of its own, written under another name and renamed when it is whole: a sending that a kill cut
short is done again under the same name, so no point is there twice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from instar.track.settings import Tracking
from instar.track.tracker import Point, Told


class TensorBoard:
    """One folder of event files for one run."""

    replaces: ClassVar[bool] = True

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.text = folder, text
        folder.mkdir(parents=True, exist_ok=True)

    def send(self, points: Sequence[Point], before: int) -> None:
        """One event file more."""
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        # TensorBoard reads the files of a folder in the order of their names, and goes on to the next when one ends
        final = self.folder / f"events.out.tfevents.{before:010d}.instar"
        new = self.folder / f".{final.name}.new"
        at = points[0].at
        with new.open("wb") as f:
            out = RecordWriter(f)
            out.write(event_pb2.Event(wall_time=at, file_version="brain.Event:2").SerializeToString())
            if before == 0:
                config = summary_pb2.Summary(value=[_text("config", self.text)])
                out.write(event_pb2.Event(wall_time=at, step=0, summary=config).SerializeToString())
            for p in points:
                value = summary_pb2.Summary.Value(tag=p.name, simple_value=p.value)
                event = event_pb2.Event(wall_time=p.at, step=p.step, summary=summary_pb2.Summary(value=[value]))
                out.write(event.SerializeToString())
            f.flush()
            os.fsync(f.fileno())
        new.replace(final)

    def close(self) -> None:
        pass


def opened(told: Told, tracking: Tracking) -> TensorBoard:
    """The run's folder; a new run whose name an older one has taken gets its id behind it."""
    place = told.folder / "tensorboard"
    short, long = place / told.name, place / f"{told.name}-{told.id}"
    free = not short.exists() or ((short / ".id").exists() and (short / ".id").read_text() == told.id)
    board = TensorBoard(short if free and not long.exists() else long, _table(told))
    (board.folder / ".id").write_text(told.id)
    return board


def _table(told: Told) -> str:
    """Settings and versions as a Markdown table, which TensorBoard shows."""
    rows = [*told.config.items(), *((f"version of {k}", v) for k, v in told.versions.items())]
    return "\n".join(["| setting | value |", "|---|---|", *(f"| {_cell(k)} | {_cell(v)} |" for k, v in rows)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.text import metadata
    from tensorboard.util import tensor_util

    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(display_name=tag, description=""),
        tensor=tensor_util.make_tensor_proto([text.encode()]),
    )
