"""``instar redact``: a text that had to go, and who learned from it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import typer

from instar.app.redacting import Planned, carried_out, planned
from instar.cli.learned_from import tell_policies
from instar.cli.plain import aloud
from instar.errors import ConfigError


def redact_in(
    folder: Path, ids: Sequence[str], *, text: str | None, reason: str, yes: bool, as_json: bool, quiet: bool
) -> None:
    """Say what would go and what learned from it; empty it only when told to."""
    ask = not yes and not as_json and sys.stdin.isatty()
    if (yes or ask) and not reason.strip():
        raise ConfigError("what is redacted is redacted for a reason, and none is given.", 'Add --reason "why".')
    plan = planned(folder, ids, text=text)
    if not (as_json or (quiet and yes)):
        _tell(folder, plan)
    if ask:
        yes = typer.confirm("Empty them? It cannot be taken back.")
    gone = carried_out(folder, plan, reason=reason) if yes else None
    copies = [str(path) for path in gone.copies] if gone else []
    if as_json:
        told = {
            "redacted": gone is not None,
            "what": plan.what,
            "retrain": plan.retrain,
            "beside": plan.beside,
            "shows": plan.shows,
            "quoted": plan.quoted,
            "copies": copies,
        }
        print(json.dumps({"run": folder.name, **told}, indent=1))
        return
    if gone is None:
        aloud("nothing was changed: the same with --yes redacts it")
        return
    aloud(f"redacted in {folder.name}: {_counted(plan)}")
    if n := len(plan.shows):
        those = "a policy, which holds" if n == 1 else f"{n} policies, which hold"
        aloud(f"it is not gone from {those} it on: {', '.join(plan.shows)}")
    for path in copies:
        aloud(f"{path} is a copy from before, and still holds it")


def _tell(folder: Path, plan: Planned) -> None:
    aloud(f"in {folder.name}: {_counted(plan)}")
    for id, what in plan.what.items():
        aloud(f"  {what:<10} {id}")
    if plan.beside:
        aloud(f"the same words stand in {plan.beside} other places of this run, and stay there: --text finds them")
    if plan.quoted:
        aloud(f"{plan.quoted} reasons (of failed calls, decisions, sessions) or settings still hold it, and stay")
    nobody = "no weights were trained on it" if plan.shows else "no policy learned from it"
    tell_policies(plan.retrain, plan.shows, nobody)


def _counted(plan: Planned) -> str:
    return ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for what, n in Counter(plan.what.values()).items())
