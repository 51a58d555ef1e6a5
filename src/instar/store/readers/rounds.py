"""What each round of a run came to: answers, decisions with their reasons, marks, tokens, and what was said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from instar.store.ledger import Ledger
from instar.store.readers.rollouts import MADE, SAMPLED
from instar.store.schema import LASTING

_SOLUTIONS = f"select round, count(*) as n from ({SAMPLED}) group by round"
_RATIONALISED = f"""
select round, count(*) as n,
       sum(exists (select 1 from json_each(body, '$.flags') where value = 'rationalised')) as rationalised
from ({SAMPLED}) group by round"""
_ROLLED = "select distinct round from steps where verb = 'rollout'"
_DECIDED = """
select round, op, json_extract(body, '$.kept') as kept, count(*) as n, min(rowid) as first
from records where kind = 'decision' and round > 0 group by round, op, kept order by first"""
_REASONS = """
select round, op, json_extract(body, '$.kept') as kept, json_extract(body, '$.reason') as reason, count(*) as n,
       min(json_extract(body, '$.item')) as item, min(rowid) as first
from records where kind = 'decision' and round > 0 and op not in (select value from json_each(:steering))
group by round, op, kept, reason order by first"""
_KEPT = """
select round, sum(kept) as kept from (
  select s.round as round, min(json_extract(d.body, '$.kept')) as kept
  from records d join records s on s.id = json_extract(d.body, '$.item') and s.kind = 'solution'
  where d.kind = 'decision' and s.round > 0 group by s.id) group by round"""
# the join leaves out an audit's plants
_MARKS = f"""
select round, mark, count(*) as n from (
  select s.round as round, json_extract(f.body, '$.mark') as mark
  from records f join records s on s.id = json_extract(f.body, '$.solution') and s.kind = 'solution'
  where f.kind = 'feedback' and f.round > 0
  union all select s.round, json_extract(r.body, '$.mark') {MADE} where s.verb = 'rollout' and r.kind = 'feedback')
group by round, mark"""
_SELECTED = """
select d.round as round, json_extract(t.body, '$.ability') as ability, count(*) as n
from records d join records t on t.id = json_extract(d.body, '$.item') and t.kind = 'task'
where d.kind = 'decision' and d.round > 0 and d.op in (select value from json_each(:propose))
group by d.round, ability order by ability"""
_SAID = """
select kind, round, idx, body from records
where round > 0 and (kind in ('objective', 'health', 'verdict')
                     or kind = 'decision' and op in (select value from json_each(:predict)))
order by round, idx, rowid"""
_FIGURES = f"""
select r.kind, r.round, r.body, r.op, r.id, coalesce(c.ended, 0) as at
from records r left join calls c on c.key = r.call
where r.kind in ('report', 'verdict', 'health', 'policy', 'objective', 'assessment')
  and (r.kind <> 'policy' or {LASTING}) order by r.rowid"""
_ASKED = """
select s.round, sum(j.tokens) as tokens, sum(j.prompt_tokens) as prompt_tokens, count(*) as calls, max(j.at) as at
from journal j join steps s on s.key = j.step group by s.round"""


class Made(NamedTuple):
    """How many answers a round sampled, and how many of them with the right answer in sight."""

    round: int
    n: int
    rationalised: int


class Decided(NamedTuple):
    """How often an operator kept (1) or dropped (0) something in a round."""

    round: int
    op: str
    kept: int
    n: int
    first: int


class Selected(NamedTuple):
    """How many tasks of an ability were selected in a round."""

    round: int
    ability: str
    n: int


class Reason(NamedTuple):
    """How often an operator gave one reason in a round, with one of the items it gave it for."""

    round: int
    op: str
    kept: int
    reason: str
    n: int
    item: str
    first: int


class Marked(NamedTuple):
    """How many answers of a round were marked so."""

    round: int
    mark: str
    n: int


class Said(NamedTuple):
    """What was said of a round: an objective, a prediction, its health or a verdict, as JSON."""

    kind: str
    round: int
    idx: int
    body: str


class Figure(NamedTuple):
    """A record that holds figures, as JSON, and when its call ended (0: not known)."""

    kind: str
    round: int
    body: str
    op: str
    id: str
    at: float


class Spent(NamedTuple):
    """What a round asked of models, and when last."""

    round: int
    tokens: int
    prompt_tokens: int
    calls: int
    at: float | None


class _Round(NamedTuple):
    round: int


class _Count(NamedTuple):
    round: int
    n: int


class _Kept(NamedTuple):
    round: int
    kept: int


def solutions(ledger: Ledger) -> dict[int, int]:
    """Round to how many answers it sampled."""
    return {r.round: r.n for r in ledger._select(_Count, _SOLUTIONS)}


def rationalised(ledger: Ledger) -> list[Made]:
    """As ``solutions``, with how many of them saw the right answer. It reads every answer's flags."""
    return ledger._select(Made, _RATIONALISED)


def rolled(ledger: Ledger) -> frozenset[int]:
    """The rounds in which updates rolled out."""
    return frozenset(r.round for r in ledger._select(_Round, _ROLLED))


def decided(ledger: Ledger) -> list[Decided]:
    """Decisions counted by round, operator and outcome, in the order of the first of each."""
    return ledger._select(Decided, _DECIDED)


def selected(ledger: Ledger, propose: Sequence[str]) -> list[Selected]:
    """The tasks that these operators selected, counted by round and ability."""
    return ledger._select(Selected, _SELECTED, propose=propose)


def reasons(ledger: Ledger, steering: Sequence[str]) -> list[Reason]:
    """Decisions counted by round, operator, outcome and reason, in the order of the first of each. ``steering``: the
    operators that decide on other things than answers, which are left out."""
    return ledger._select(Reason, _REASONS, steering=steering)


def kept(ledger: Ledger) -> dict[int, int]:
    """Round to how many of its answers every filter kept."""
    return {r.round: r.kept for r in ledger._select(_Kept, _KEPT)}


def marks(ledger: Ledger) -> list[Marked]:
    """The answers of each round counted by what they were marked."""
    return ledger._select(Marked, _MARKS)


def said(ledger: Ledger, predict: Sequence[str]) -> list[Said]:
    """Objectives, health, verdicts, and the decisions of these operators, by round."""
    return ledger._select(Said, _SAID, predict=predict)


def figures(ledger: Ledger) -> list[Figure]:
    """Reports, verdicts, health, policies, objectives and assessments, in the order they were stored."""
    return ledger._select(Figure, _FIGURES)


def asked(ledger: Ledger) -> dict[int, Spent]:
    """Round to what it asked of models."""
    return {r.round: r for r in ledger._select(Spent, _ASKED)}
