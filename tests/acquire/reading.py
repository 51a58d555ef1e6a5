"""Rows that a test writes into a file, and how the file is read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from instar.app.scaffold.tasks import Reading, read_tasks, source_of


def read(folder: Path, rows: list[dict[str, Any]], **named: Any) -> Reading:
    """These rows as lines of JSON."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return read_tasks(path, **named)


def read_csv(folder: Path, rows: list[dict[str, Any]]) -> Reading:
    """These rows as a CSV."""
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return read_tasks(path)


def golds(reading: Reading) -> set[str]:
    """The gold answers of all tasks."""
    return {str(task.private["answer"]) for task in source_of(reading).distinct()}
