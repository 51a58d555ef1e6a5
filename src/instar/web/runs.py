"""The runs in a folder: which there are, and what can be said of each at a glance."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from instar.errors import InstarError
from instar.report.summary import status_of, why_of
from instar.store.door import open_ledger
from instar.store.sessions import seconds_of

NAME = re.compile(r"[^\W_][\w.-]{0,99}")


def folder_of(runs: Path, name: str) -> Path | None:
    """The folder of a run by its name; None for what is no run, or no name (a path would lead elsewhere)."""
    if not NAME.fullmatch(name):
        return None
    folder = runs / name
    return folder if (folder / "ledger.db").is_file() else None


def runs_in(runs: Path) -> list[dict[str, Any]]:
    """Every run, the newest first; one whose ledger cannot be read says why."""
    found = [glance(p.parent) for p in runs.glob("*/ledger.db") if NAME.fullmatch(p.parent.name)]
    return sorted(found, key=lambda r: (-(r["started"] or 0), r["name"]))


def glance(folder: Path) -> dict[str, Any]:
    """Name, recipe, model, status, the sealed figures: read in milliseconds however large the ledger is."""
    out: dict[str, Any] = {"name": folder.name, "error": None, "started": None, "sealed": None, "seconds": 0.0}
    out["why"] = None
    try:
        ledger = open_ledger(folder / "ledger.db")
    except InstarError as e:
        return {**out, "error": e.message}
    try:
        about, sessions = ledger.about(), ledger.rows("sessions")
        config, result = json.loads(about.get("resolved", "{}")), json.loads(about.get("result", "{}"))
        return {
            **out, "recipe": about.get("recipe"), "model": config.get("model"), "rounds": config.get("rounds"),
            "status": status_of(folder, result, sessions), "why": why_of(sessions), "sealed": result.get("sealed"),
            "unchanged": bool(result) and result.get("final") == result.get("base"),
            "started": sessions[0]["started"] if sessions else None,
            "seconds": sum(seconds_of(ledger).values()),
        }  # fmt: skip
    finally:
        ledger.close()
