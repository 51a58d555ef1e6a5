"""Who may have been at hand in a step: the policies that the keys of its calls are hashes of, as far as is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from instar.recipes.amie import ROLES
from instar.records import Report
from instar.records.exchange import SELF
from instar.run.keys import at_hand
from instar.store.ledger import Ledger
from instar.store.readers import exams, policies, progress
from instar.store.roles import roles_of

MOST_CASTS = 64
"""Combinations of who plays the other roles that are tried; of more, those alone that the ledger names as they are."""
PARTS = {"amie": ROLES}
"""By recipe, the roles that its policy plays beside "self", whether it is asked in them or not."""


@dataclass(frozen=True)
class Acting:
    """The policies of a run, who plays which other role, and who was asked as what in each step."""

    made: Sequence[str]
    casts: Sequence[Mapping[str, str]]
    asked: Mapping[str, Mapping[str, str]]
    """By step: role to policy. A step has one policy in each role."""
    parts: Sequence[str] = ()
    """Roles that one policy may have been at hand for, besides "self", in steps that never asked it in them."""

    def in_step(self, step: str) -> Iterator[list[str]]:
        """What the keys of this step's calls may have been made from, the likelier first. As many as there are policies
        times as many as there are casts, at most."""
        asked = self.asked.get(step, {})
        others = {role: id for role, id in asked.items() if role != SELF}
        # who was asked was at hand; who else was there has asked nothing in this step
        casts = [c for c in self.casts if others.items() <= c.items()] or [others]
        alone = [asked[SELF]] if SELF in asked else self.made
        for cast in casts:
            for policy in alone:
                yield at_hand({SELF: policy, **cast})
        for policy in dict.fromkeys(others.values()):  # one that played several parts was at hand as "self" alone
            yield at_hand({SELF: policy, **{role: id for role, id in others.items() if id != policy}})
        for policy in alone if self.parts else ():
            yield at_hand(dict.fromkeys((SELF, *self.parts), policy))
        if not asked:
            yield []


def acting(ledger: Ledger) -> Acting:
    """Read who acts in a run from what it noted, from its exams and from its journal."""
    made = [p.id for p in policies.origins(ledger)]
    asked: dict[str, dict[str, str]] = {}
    players: dict[str, dict[str, None]] = {}
    named: list[dict[str, str]] = [{}]  # as they stand together somewhere
    for step, role, policy in progress.players(ledger):
        asked.setdefault(step, {})[role] = policy
    named += [{r: p for r, p in of.items() if r != SELF} for of in asked.values()]
    named += [dict(Report.model_validate_json(body).exam.roles) for _, body, _ in exams.reports(ledger)]
    named.append(json.loads(ledger.about().get("cast", "{}")))
    roles = roles_of(ledger)
    # without a judge model the base judges in exams; an older journal does not say who was asked
    named += [{"judge": id} for id in (*sorted(roles.judges), roles.base) if id is not None]
    for cast in named:
        for role, policy in cast.items():
            players.setdefault(role, {})[policy] = None
    if prod(1 + len(ids) for ids in players.values()) <= MOST_CASTS:
        each = [[None, *ids] for ids in players.values()]
        named += [{role: id for role, id in zip(players, ids, strict=True) if id is not None} for ids in product(*each)]
    parts = PARTS.get(ledger.about().get("recipe", ""), ())
    return Acting(made, list({json.dumps(c, sort_keys=True): c for c in named}.values()), asked, parts)
