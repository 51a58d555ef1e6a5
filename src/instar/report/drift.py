"""How far each candidate went from the base: KL(base || policy) on the run's own prompts, update after update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.divergence import divergence, why_not_comparable
from instar.records import Policy
from instar.report.curves import HEIGHT, WIDTH, path
from instar.report.policies import short
from instar.store.ledger import Ledger
from instar.store.readers.likelihoods import likelihoods
from instar.store.roles import Roles

NO_ENGINE = "this engine gives no log-probabilities"
NOT_IN_THIS = "this run was made by an instar that did not"


def drift(ledger: Ledger, roles: Roles) -> dict[str, Any]:
    """What was ``measured``, in the order of the updates: nats a token with the 95 % interval; and ``why_not``, where
    updates were made and nothing could be measured (None: it could, or there was nothing to)."""
    found = [x for x in likelihoods(ledger) if x.suite == "train"]
    base = next((x for x in found if x.policy == roles.base), None)
    measured = []
    for x in found:
        made = roles.updates.get(x.policy)
        if base is None or made is None or why_not_comparable(base, x):
            continue
        said = divergence(base, x)
        measured.append({
            "policy": x.policy, "short": short(x.policy), "roles": roles.of(x.policy), "round": made.round,
            **said.model_dump(), "tokens": sum(t.tokens for t in base.texts),
        })  # fmt: skip
    why_not = None
    if not measured and any(u.solutions or u.away for u in roles.updates.values()):
        why_not = ledger.about().get("divergence") or (NOT_IN_THIS if _artefact(ledger, roles.base) else NO_ENGINE)
    return {"measured": measured, "why_not": why_not}


def _artefact(ledger: Ledger, policy: str | None) -> bool:
    """Whether a policy's weights are files here, which an engine can score with."""
    return any(isinstance(p, Policy) and p.weights.place == "artefact" for p in ledger.records(ids=[policy or ""]))


def in_words(found: Mapping[str, Any]) -> list[str]:
    """A line for each update that was measured, or the one that says why none was."""
    if found["why_not"]:
        return [f"KL(base || policy): not measured: {found['why_not']}"]
    return [
        f"KL(base || policy), round {x['round']}, {x['short']}: {x['value']:.4f} nats a token "
        f"({x['low']:.4f} to {x['high']:.4f}; {x['n']} answers of the base, {x['tokens']:,} tokens)"
        for x in found["measured"]
    ]


def curve(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """A picture of what was measured, update after update from 0 at the base on; None where nothing was."""
    points = [(0, 0.0), *((i, x["value"]) for i, x in enumerate(found["measured"], 1))]
    if len(points) == 1:
        return None
    said = f"KL(base || policy) after {len(points) - 1} updates: from 0 at the base to {points[-1][1]:.4g} nats a token"
    return {"path": path(points), "width": WIDTH, "height": HEIGHT, "said": said}
