"""``instar difficulty``: how hard the tasks of runs are, and how able their policies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from instar.app.review.difficulty import difficulties
from instar.cli.plain import plain
from instar.cli.show import page

SHOWN = 5
"""Tasks that are listed of each end."""


def show_difficulty(folders: Sequence[Path], *, two: bool, as_json: bool) -> None:
    """Print the policies by ability, and the abilities and tasks by difficulty."""
    model: Literal["rasch", "2pl"] = "2pl" if two else "rasch"
    found = difficulties(folders, model).as_data()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    console = page()
    name = "Rasch model" if model == "rasch" else "2PL model"
    tries = sum(t["tries"] for t in found["tasks"])
    console.print(
        f"{len(found['policies'])} policies on {len(found['tasks'])} tasks of train and dev, {tries:,} marked answers: "
        f"{name}, in logits", markup=False, style="bold",
    )  # fmt: skip
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("policy", "run", "ability", "error"):
        table.add_column(column, justify="left" if column in ("policy", "run") else "right")
    for p in found["policies"]:
        short = p["policy"].split(":")[-1][:8]
        table.add_row(Text(short), Text(plain(p["run"])), f"{p['ability']:+.2f}", f"{p['error']:.2f}")
    console.print(table)
    _abilities(console, found["tasks"])
    hardest = found["tasks"]
    for title, some in (("hardest", hardest[:SHOWN]), ("easiest", hardest[::-1][:SHOWN])):
        console.print(f"  {title}:", style="dim")
        for t in some:
            console.print(Text(f"    {t['difficulty']:+.2f} (error {t['error']:.2f}) {plain(t['question'][:80])}"))


def _abilities(console: Console, tasks: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("tasks of", "n", "mean difficulty"):
        table.add_column(column, justify="left" if column == "tasks of" else "right")
    for ability in sorted({t["ability"] for t in tasks}):
        own = [t["difficulty"] for t in tasks if t["ability"] == ability]
        table.add_row(Text(plain(ability)), str(len(own)), f"{fmean(own):+.2f}")
    console.print(table)
