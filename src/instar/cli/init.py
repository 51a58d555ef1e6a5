"""``instar init``: from your own rows to a config and a verifier that are known to work together."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.configs.registry import recipes, unknown
from instar.app.preflight.foreseen import contradicted, foreseen
from instar.app.scaffold.beginning import prepare, told_format, told_kind
from instar.app.scaffold.kinds import KINDS, Kind
from instar.app.scaffold.tasks import Reading, read_tasks
from instar.app.sessions.task_sets import draw
from instar.cli.plain import aloud, plain
from instar.errors import ConfigError, DataError

SHOWN = 20
"""Bad lines that are shown; all are counted."""


def begin(
    data: Path, folder: Path, *, recipe: str, model: str, question: str | None, answer: str | None,
    template: str | None = None, probing: bool = True, force: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Read, say what is there, try the model on some rows, write both files, and check that the config can be run and
    can promote.

    A file with bad lines is refused with all of them named and nothing written: a run would refuse it too. A verifier
    that is there is kept, whatever ``force`` says: it may be the user's work. If it refuses right answers of this file
    it is of another one, and one of this file's own is written beside it.
    """
    if recipe not in recipes():
        raise unknown("recipe", recipe, recipes())
    settings = recipes()[recipe].config.model_fields
    if not {"solve", "judge"} <= settings.keys() or "write" in settings:
        raise ConfigError(
            f"{recipe} has no solve and judge of its own for rows of questions and answers: instar init writes no "
            "config for it.",
            f"Begin with `instar run {recipe} --dry-run`, or give another --recipe.",
        )
    if template is not None and template not in KINDS:
        raise unknown("template", template, KINDS)
    reading = read_tasks(data, question=question, answer=answer, kind=cast(Kind | None, template))
    _refuse_bad(reading)
    config = folder / f"{data.stem}.toml"
    if config.exists() and not force:
        folder.mkdir(parents=True, exist_ok=True)
        raise ConfigError(f"{config} is there already.", "Give another --folder, or --force to replace it.")
    folder.mkdir(parents=True, exist_ok=True)
    say = _silent if as_json or quiet else aloud
    say(f"{data}: {reading.rows} rows, {reading.tasks} distinct tasks, {reading.duplicates} duplicates")
    say(f"  format: {told_format(reading)}")
    most = sorted(reading.abilities.items(), key=lambda kv: -kv[1])
    say("  abilities: " + ", ".join(f"{plain(a)} {n}" for a, n in most[:8]) + (" ..." if len(most) > 8 else ""))
    say(f"  taken as: {told_kind(reading)}")
    begun = prepare(
        reading, folder, config, recipe=recipe, model=model, probing=probing, say=say,
        seen=str(data) if data.is_absolute() else os.path.relpath(data, folder),
    )  # fmt: skip
    made, sizes = plan(read(str(config))), begun.sizes
    warnings = [*contradicted(made), *foreseen(made, draw(made)), *begun.warnings]
    command = f"instar run {shlex.quote(str(config))}"
    if as_json:
        hidden = ("path", "sample", "worked", "form", "found", "constant", "plain", "unit", "several", "own_system")
        told: dict[str, Any] = {k: v for k, v in asdict(reading).items() if k not in hidden}
        told |= {"format": reading.form.layout, "kind": reading.found.kind, "labels": list(reading.found.labels)}
        told |= {"sizes": asdict(sizes), "config": str(config), "checks": str(begun.checks), "checks_kept": begun.kept}
        told |= {"probe": begun.as_data(), "expected": list(begun.expected)}
        print(json.dumps(told | {"warnings": warnings, "next": command}, indent=1, ensure_ascii=False))
        return
    if quiet:
        return
    say(
        f"  suggested verifier: {reading.checker} ({reading.why_checker}); "
        + (
            f"{begun.checks} is there already: kept"
            if begun.kept
            else f"written out in {begun.checks}, change it there"
        )
    )
    say(
        f"  sizes: {sizes.rounds} round{'s' * (sizes.rounds > 1)} of {sizes.train} to learn from and {sizes.gate} at "
        f"the gate, which show a gain of about {sizes.gate_detects:.0f} points or more; {sizes.sealed} sealed, which "
        f"show {sizes.detects:.0f}"
    )
    for sentence in begun.expected:
        say(f"  expected: {sentence}")
    for sentence in warnings:
        say(f"  warning: {sentence}")
    say(f"written: {config}" + ("" if begun.kept else f" and {begun.checks}"))
    say(f"next:    {command} --dry-run{os.linesep}then:    {command}")


def _silent(_: str) -> None:
    """Say nothing."""


def _refuse_bad(reading: Reading) -> None:
    """Name the lines that cannot be used on standard error. Raises DataError if there are any."""
    if not reading.bad:
        return
    for line in reading.bad[:SHOWN]:
        print(plain(line), file=sys.stderr)
    if len(reading.bad) > SHOWN:
        print(f"... and {len(reading.bad) - SHOWN} more", file=sys.stderr)
    raise DataError(
        f"{len(reading.bad)} of the {reading.rows} {reading.unit}s of {reading.path} cannot be used; "
        "nothing was written.",
        "Mend or remove the lines named above: a run refuses a file that has one.",
    )
