"""``instar init``: from your own JSONL to a config and a verifier that are known to work together."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from instar.app.config import plan, read
from instar.app.foresight import contradicted, foreseen
from instar.app.own_files import check_kept, checks_text, config_text
from instar.app.own_tasks import Reading, fit, read_tasks
from instar.app.registry import recipes, unknown
from instar.app.session import draw
from instar.cli.plain import aloud, plain
from instar.errors import ConfigError, DataError

SHOWN = 20
"""Bad lines that are shown; all are counted."""


def begin(
    data: Path, folder: Path, *, recipe: str, model: str, question: str | None, answer: str | None, force: bool,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Read, say what is there, write both files, and check that the config can be run and can promote.

    A file with bad lines is refused with all of them named and nothing written: a run would refuse it too. A verifier
    that is there is kept, whatever ``force`` says: it may be the user's work.
    """
    if recipe not in recipes():
        raise unknown("recipe", recipe, recipes())
    reading = read_tasks(data, question=question, answer=answer)
    _refuse_bad(reading)
    sizes = fit(reading.tasks, reading.abilities)
    folder.mkdir(parents=True, exist_ok=True)
    config, checks = folder / f"{data.stem}.toml", folder / "my_checks.py"
    if config.exists() and not force:
        raise ConfigError(f"{config} is there already.", "Give another --folder, or --force to replace it.")
    kept = checks.exists()
    if kept:
        check_kept(checks)
    else:
        checks.write_text(checks_text(reading), "utf-8")
    seen = str(data) if data.is_absolute() else os.path.relpath(data, folder)
    config.write_text(config_text(reading, sizes, recipe=recipe, model=model, path=seen, checks=checks.name), "utf-8")
    made = plan(read(str(config)))
    warnings = [*contradicted(made), *foreseen(made, draw(made))]
    command = f"instar run {shlex.quote(str(config))}"
    if as_json:
        told: dict[str, Any] = {k: v for k, v in asdict(reading).items() if k not in ("path", "sample")}
        told |= {"sizes": asdict(sizes), "config": str(config), "checks": str(checks), "checks_kept": kept}
        print(json.dumps(told | {"warnings": warnings, "next": command}, indent=1))
        return
    if quiet:
        return
    aloud(f"{data}: {reading.rows} rows, {reading.tasks} distinct tasks, {reading.duplicates} duplicates")
    most = sorted(reading.abilities.items(), key=lambda kv: -kv[1])
    aloud("  abilities: " + ", ".join(f"{plain(a)} {n}" for a, n in most[:8]) + (" ..." if len(most) > 8 else ""))
    aloud(f"  question in {reading.question!r}, gold answer in {reading.answer!r}")
    aloud(
        f"  suggested verifier: {reading.checker} ({reading.why_checker}); "
        + (f"{checks} is there already: kept" if kept else f"written out in {checks}, change it there")
    )
    aloud(
        f"  sizes: {sizes.rounds} round{'s' * (sizes.rounds > 1)} of {sizes.train} to learn from and {sizes.gate} at "
        f"the gate, which show a gain of about {sizes.gate_detects:.0f} points or more; {sizes.sealed} sealed, which "
        f"show {sizes.detects:.0f}"
    )
    for sentence in warnings:
        aloud(f"  warning: {sentence}")
    aloud(f"written: {config}" + ("" if kept else f" and {checks}"))
    aloud(f"next:    {command} --dry-run{os.linesep}then:    {command}")


def _refuse_bad(reading: Reading) -> None:
    """Name the lines that cannot be used on standard error. Raises DataError if there are any."""
    if not reading.bad:
        return
    for line in reading.bad[:SHOWN]:
        print(plain(line), file=sys.stderr)
    if len(reading.bad) > SHOWN:
        print(f"... and {len(reading.bad) - SHOWN} more", file=sys.stderr)
    raise DataError(
        f"{len(reading.bad)} of the {reading.rows} lines of {reading.path} cannot be used; nothing was written.",
        "Mend or remove the lines named above: a run refuses a file that has one.",
    )
