"""How the updates of a run went: the figures of every optimiser step and every rollout, as they were told.

They lie among the inner steps of an update's call, each under a key of its own, so that a call that was killed and goes
on tells a step once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from instar.store.ledger import Ledger

_PREFIX = "curve "
_CURVES = "select call, key, value from inner_steps where key >= 'curve ' and key < 'curve!' order by call, key"
_OF = "select call, key, value from inner_steps where call = :call and key >= 'curve ' and key < 'curve!' order by key"
_OVER = """
select c.key, c.ended,
       (select r.id from json_each(c.outputs) o join records r on r.id = o.value where r.kind = 'policy') as policy
from json_each(:calls) i join calls c on c.key = i.value where c.status = 'finished'"""
_IDLE = """
select d.round, coalesce(o.name, d.op) as op, json_extract(d.body, '$.reason') as reason
from steps s cross join calls c on c.step = s.key -- cross: in this order; there are few updates and many decisions
cross join json_each(c.outputs) i on i.key = 0 -- after a policy: of single items
cross join records d on d.id = i.value and d.kind = 'decision' left join ops o on o.id = d.op
where s.verb = 'update' and c.status = 'finished' order by d.rowid"""
_COUNT = "select count(*) as n from inner_steps where key >= 'curve ' and key < 'curve!'"


class _Row(NamedTuple):
    call: str
    key: str
    value: str


class _Over(NamedTuple):
    key: str
    ended: float | None
    policy: str | None


class Idle(NamedTuple):
    """An update that made no candidate, and why."""

    round: int
    op: str
    reason: str


class _Count(NamedTuple):
    n: int


Series = dict[str, dict[str, list[tuple[int, float]]]]
"""Unit to figure to its points: their number, from 1, and value."""


@dataclass(frozen=True)
class Curves:
    """What one update told of its optimiser steps ("step") and its rollouts ("rollout")."""

    call: str
    op: str
    round: int
    policy: str | None
    """The policy that it made; None while it is not over, and where it made none."""
    ended: float | None
    series: Series


def curve_key(unit: str, number: int) -> str:
    """Under which key the figures of a step stand: keys in order are steps in order."""
    return f"{_PREFIX}{unit} {number:08d}"


def curves(ledger: Ledger) -> list[Curves]:
    """The curves of every update that told any, in the order in which they ended; one that is at work comes last."""
    found: dict[str, Series] = {}
    about: dict[str, tuple[str, int, str]] = {}
    for row in ledger._select(_Row, _CURVES):
        told = json.loads(row.value)
        about[row.call] = (told["op"], told["round"], told["of"])
        _add(found.setdefault(row.call, {}), row.key, told["figures"])
    over = {o.key: o for o in ledger._select(_Over, _OVER, calls=[of for _, _, of in about.values()])}
    made = []
    for call, series in found.items():
        op, round, of = about[call]
        done = over.get(of)
        made.append(Curves(call, op, round, done.policy if done else None, done.ended if done else None, series))
    return sorted(made, key=lambda c: math.inf if c.ended is None else c.ended)


def series_of(ledger: Ledger, call: str) -> Series:
    """What the update with this call told, so far."""
    series: Series = {}
    for row in ledger._select(_Row, _OF, call=call):
        _add(series, row.key, json.loads(row.value)["figures"])
    return series


def _add(series: Series, key: str, figures: Mapping[str, float]) -> None:
    unit, _, number = key.removeprefix(_PREFIX).rpartition(" ")
    for name, value in figures.items():
        series.setdefault(unit, {}).setdefault(name, []).append((int(number), float(value)))


def idle(ledger: Ledger) -> list[Idle]:
    """The updates that learned nothing, in order."""
    return ledger._select(Idle, _IDLE)


def told(ledger: Ledger) -> int:
    """How many figures were told so far; cheap enough to ask every few seconds."""
    return ledger._select(_Count, _COUNT)[0].n
