"""MLflow: a run in a local SQLite store (`mlflow ui --backend-store-uri sqlite:///...`), or on a server of yours.

A point carries the ledger's time: the store has (run, name, value, step, time) as its key, so that a point which is
sent again takes its own place.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from instar.track.settings import Tracking
from instar.track.tracker import Point, Told

BATCH = 500
"""Figures of one request; MLflow allows 1,000."""
PARAMS = 100
"""Parameters of one request: as many as MLflow allows."""
LONGEST = 500
"""Characters of a parameter or tag."""


class MLflow:
    """One MLflow run."""

    replaces: ClassVar[bool] = True

    def __init__(self, client: Any, run: str) -> None:
        self.client, self.run = client, run

    def send(self, points: Sequence[Point], before: int) -> None:
        """To the store, in requests of the size it allows."""
        from mlflow.entities import Metric

        for i in range(0, len(points), BATCH):
            part = [Metric(p.name, p.value, int(p.at * 1000), p.step) for p in points[i : i + BATCH]]
            self.client.log_batch(self.run, metrics=part)

    def close(self) -> None:
        self.client.set_terminated(self.run)


def opened(told: Told, tracking: Tracking) -> MLflow:
    """The run that carries this run's id, or a new one with the settings as its parameters."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.entities import Param
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):  # they tell of every migration of a new store
        logging.getLogger(name).setLevel(logging.WARNING)
    told.folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=tracking.mlflow_uri or f"sqlite:///{told.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(tracking.project)
    home = (
        experiment.experiment_id
        if experiment
        else client.create_experiment(tracking.project, artifact_location=(told.folder / "mlflow").as_uri())
    )
    found = client.search_runs([home], filter_string=f"tags.`instar.id` = '{told.id}'")
    if found:
        client.update_run(found[0].info.run_id, status="RUNNING")
        return MLflow(client, found[0].info.run_id)
    tags = {"instar.id": told.id, **{f"version.{k}": v[:LONGEST] for k, v in told.versions.items()}}
    run = client.create_run(home, run_name=told.name, tags=tags).info.run_id
    said = [Param(k, v[:LONGEST]) for k, v in told.config.items()]
    for i in range(0, len(said), PARAMS):
        client.log_batch(run, params=said[i : i + PARAMS])
    return MLflow(client, run)
