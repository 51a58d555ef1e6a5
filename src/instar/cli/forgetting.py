"""``instar memory forget``: a person, or a text, that a run and its memories must not hold any more."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence

import typer

from instar.app.forgetting import Forgetting, carried_out, place_of_memories, planned, planned_in_memory
from instar.app.memories import memories
from instar.app.storage.paths import run_folder
from instar.cli.learned_from import tell_policies
from instar.cli.plain import aloud
from instar.errors import ConfigError
from instar.store.sound import sound


def forget_in(
    said: str, *, about: str | None, text: str | None, reason: str, yes: bool, as_json: bool, quiet: bool
) -> None:
    """Say what would go and what learned from it; take it out only when told to."""
    if (about is None) == (text is None) or not (about or text):
        raise ConfigError("it is not said who or what is to be forgotten.", 'Give --about "Anna 1" or --text "...".')
    ask = not yes and not as_json and sys.stdin.isatty()
    if (yes or ask) and not reason.strip():
        raise ConfigError("what is forgotten is forgotten for a reason, and none is given.", 'Add --reason "why".')
    if said in memories():
        name, folder = said, place_of_memories()
        plan = planned_in_memory(said, about=about, text=text)
    else:
        folder = run_folder(said)
        name = folder.name
        with sound(folder):
            plan = planned(folder, about=about, text=text)
    if not (as_json or (quiet and yes)):
        _tell(name, plan)
    if ask and not plan.nothing:
        yes = typer.confirm("Take it out? It cannot be taken back.")
    left = carried_out(folder, plan, reason=reason) if yes else ()
    done = yes and not plan.nothing
    if as_json:
        told = {
            "forgotten": done, "ended": plan.ended, "what": plan.what, "notes": plan.n_notes,
            "segments": {d: list(ids) for d, ids in plan.notes.items()}, "remembered": plan.remembered,
            "retrain": plan.retrain, "shows": plan.shows, "others": plan.others, "quoted": plan.quoted,
            "said_too": plan.said_too, "still": [str(p) for p in left],
        }  # fmt: skip
        print(json.dumps({"run": name, **told}, indent=1))
        return
    if plan.nothing:
        aloud(f"{name} and its memories hold nothing of it (any more)")
    elif not done:
        aloud("nothing was changed: the same with --yes takes it out")
    else:
        aloud(f"forgotten in {name}: {_counted(plan)}")
    for path in left:
        aloud(f"{path} still holds it, and is not instar's to change")


def _tell(name: str, plan: Forgetting) -> None:
    if plan.ended:
        aloud(f"{name}: an earlier forgetting, which was killed, was brought to its end")
    if plan.nothing:
        return
    aloud(f"in {name}: {_counted(plan)}")
    for id, n in plan.remembered.items():
        aloud(f"  the memory of the policy {id} loses {n} note{'s' * (n != 1)}, in every copy of it")
    for run, how in plan.others.items():
        aloud(f"  the run {run} {how}: instar memory forget {run} --about ...")
    if plan.said_too:
        aloud(f"the same words stand in {plan.said_too} other places of this run, said by or of others, and stay there")
    if plan.quoted:
        aloud(f"{plan.quoted} reasons (of failed calls, decisions, sessions) or settings hold such words, and stay")
    tell_policies(plan.retrain, plan.shows, "no policy learned from it: no weights were trained on it")
    aloud("what instar report and memory export wrote, and the files that tasks came from, are yours to look through")


def _counted(plan: Forgetting) -> str:
    kinds: Sequence[tuple[str, int]] = Counter(plan.what.values()).most_common()
    said = [f"{n} note{'s' * (n != 1)} of memories"] if (n := plan.n_notes) else []
    words = {"feedback": "feedback", "outcomes": "reports' answers"}
    return ", ".join([*said, *(f"{n} {words.get(what, what + 's' * (n != 1))}" for what, n in kinds)])
