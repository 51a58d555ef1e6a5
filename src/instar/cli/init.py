"""``instar init``: from your own JSONL to a config and a verifier that are known to work together."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from instar.app.config import plan, read
from instar.app.own_tasks import checks_text, config_text, fit, read_tasks
from instar.app.registry import recipes, unknown
from instar.cli.plain import plain
from instar.errors import ConfigError

SHOWN = 5
"""Bad lines that are shown; all are counted."""


def begin(
    data: Path, folder: Path, *, recipe: str, model: str, question: str | None, answer: str | None, force: bool,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Read, say what is there, write both files, and check that the config can be run."""
    if recipe not in recipes():
        raise unknown("recipe", recipe, recipes())
    reading = read_tasks(data, question=question, answer=answer)
    sizes = fit(reading.tasks)
    folder.mkdir(parents=True, exist_ok=True)
    config, checks = folder / f"{data.stem}.toml", folder / "my_checks.py"
    for path in (config, checks):
        if path.exists() and not force:
            raise ConfigError(f"{path} is there already.", "Give another --folder, or --force to replace it.")
    checks.write_text(checks_text(reading), "utf-8")
    shown = str(checks)  # a config's paths are looked up from where instar is called
    config.write_text(config_text(reading, sizes, recipe=recipe, model=model, checks=shown), "utf-8")
    plan(read(str(config)))
    if reading.bad:
        note = f"{len(reading.bad)} lines cannot be used: a run will refuse the file until they are mended."
    else:
        note = ""
    command = f"instar run {shlex.quote(str(config))}"
    if as_json:
        told: dict[str, Any] = {k: v for k, v in asdict(reading).items() if k not in ("path", "sample")}
        told |= {"sizes": asdict(sizes), "config": str(config), "checks": str(checks), "next": command, "note": note}
        print(json.dumps(told, indent=1))
        return
    if quiet:
        return
    print(f"{data}: {reading.rows} rows, {reading.tasks} distinct tasks, {reading.duplicates} duplicates")
    for line in reading.bad[:SHOWN]:
        print(f"  {plain(line)}")
    if note:
        print(f"  {note}")
    most = sorted(reading.abilities.items(), key=lambda kv: -kv[1])
    print("  abilities: " + ", ".join(f"{plain(a)} {n}" for a, n in most[:8]) + (" ..." if len(most) > 8 else ""))
    print(f"  question in {reading.question!r}, gold answer in {reading.answer!r}")
    print(f"  suggested verifier: {reading.checker} ({reading.why_checker}); written out in {checks}, change it there")
    print(
        f"  sizes: {sizes.rounds} rounds of {sizes.train} to learn from and {sizes.gate} at the gate; {sizes.sealed} "
        f"sealed, which show a gain of about {sizes.detects:.0f} points or more"
    )
    print(f"written: {config} and {checks}")
    print(f"next:    {command} --dry-run{os.linesep}then:    {command}")
