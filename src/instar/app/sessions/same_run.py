"""Whether a run that goes on is the run that was begun: its config, its operators and its recipe."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator
from typing import Any

from instar.app.configs.config import MAY_CHANGE, Plan
from instar.app.sessions.renamed import RENAMED
from instar.errors import CannotContinue
from instar.protocols import identity
from instar.records import hash_of
from instar.store.ledger import Ledger
from instar.store.schema import BEFORE


def same_run(ledger: Ledger, plan: Plan, accept: bool) -> frozenset[str]:
    """Note the config and the operators of a new run; refuse to go on with an old one when they changed. Returns the
    operators whose source did."""
    known = ledger.about()
    digest = plan.digest()
    now = {o.op_id: (o.op_id, o.name, identity(o), o.source_digest()) for o in plan.ops()}
    recipe = plan.recipe
    source = hashlib.sha256(inspect.getsource(recipe.function).encode()).hexdigest()[:32]
    recipe_id = hash_of("recipe", recipe.name)
    now[recipe_id] = (recipe_id, recipe.name, {"recipe": recipe.name}, source)
    old = {id: was for id, was in ledger.ops().items() if id in now and not was["source"].startswith(BEFORE)}
    moved = {id: was["name"] for id, was in old.items() if was["source"] not in {now[id][3], *RENAMED}}
    if "config_digest" in known and not accept:
        if known["config_digest"] != digest:
            changed = sorted(_differences(json.loads(known["resolved"]), plan.resolved()))
            raise CannotContinue(
                f"the config of this run changed: {', '.join(changed) or 'its form'}.",
                "Start a new run with it, or continue this one anyway with --accept-changes.",
            )
        for name in moved.values():
            raise CannotContinue(
                f"the source of {name!r} changed since this run was made, but its version did not.",
                "Start a new run, or continue with --accept-changes: finished calls are kept as they are, and checks "
                "that gave no score are made again.",
            )
    ledger.add_ops(now.values())
    ledger.set_about(
        config_digest=digest, resolved=json.dumps(plan.resolved()), recipe=recipe.name, seed=str(plan.run.seed),
        config=json.dumps(plan.raw),
    )  # fmt: skip
    return frozenset(moved)


def _differences(a: Any, b: Any, path: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for k in {*a, *b}:
            if path or k not in MAY_CHANGE:
                yield from _differences(a.get(k), b.get(k), f"{path}.{k}" if path else k)
    elif json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
        yield f"{path} was {a!r:.60}, is {b!r:.60}"
