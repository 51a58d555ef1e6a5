"""What trackers wrote, read back: TensorBoard's and MLflow's with their libraries, W&B's offline file by its format."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

Seen = list[tuple[str, int, float]]
"""(name, step, value), in the order stored; one that is there twice is in it twice."""


def tensorboard(folder: Path) -> Seen:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    seen: Seen = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for v in event.summary.value:
                if v.metadata.plugin_data.plugin_name == "scalars":
                    seen.append((v.tag, event.step, v.tensor.float_val[0]))
    return seen


def mlflow(store: Path) -> Seen:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("instar")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["recipe"] == "rest_em"
    assert "version.instar" in run.data.tags
    return [(m.key, m.step, m.value) for k in run.data.metrics for m in client.get_metric_history(run.info.run_id, k)]


def wandb(folder: Path) -> Seen:
    """Of all offline sessions. W&B keeps what is on the x axis ("round") beside the values."""
    from wandb.proto import wandb_internal_pb2 as pb

    seen: Seen = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for raw in _leveldb(file.read_bytes()):
            record = pb.Record()
            record.ParseFromString(raw)
            if record.WhichOneof("record_type") == "history":
                row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
                step = row.pop("training/step", None)
                step = row.pop("round", step)
                seen += [(k, int(step), v) for k, v in row.items() if not k.startswith("_")]
    return seen


def _leveldb(data: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB; checksum, length and kind before each piece."""
    at, piece = 7, b""  # a header of W&B's own
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        if not kind:
            return
        piece += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield piece
            piece = b""
