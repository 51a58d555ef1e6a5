"""All that a ledger holds of one person, or of a text: what they said, what was answered to it or with it, and the
model calls in which it was said. Found by what was made from what, and beyond that by the words."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from instar.store.ledger import Ledger
from instar.store.redact import INNER, KINDS, LIKE, forms_of, refuse_old, shown_with

_WHO = """
select id, json_extract(body, '$.who') as who from records
where kind = 'task' and json_extract(body, '$.who') is not null"""
_DOWN = """
with recursive down(n) as (
  select n from records where id in (select value from json_each(:ids))
    and kind in (select value from json_each(:kinds))
  union select n from records where kind = 'solution' and exists (
    select 1 from json_each(body, '$.memories') m where m.value in (select value from json_each(:notes)))
  union select l.child from down join links l on l.parent = down.n and l.type = 1
    join records c on c.n = l.child where c.kind in (select value from json_each(:kinds)))
select r.id from down join records r on r.n = down.n"""
_CALLS = """
select call as id from records where id in (select value from json_each(:ids)) and kind <> 'task' and call <> ''
union select key from calls where item in (select value from json_each(:ids))
union select call from borders where kind = 'recall' and exists (
  select 1 from json_each(case when json_valid(said) then said else '[]' end) s
  where json_extract(s.value, '$[0]') in (select value from json_each(:notes)))"""
_OTHERS = """
call in (select key from calls where item in (select id from records where kind in ('task', 'solution')))"""
"""A call that is about one task or answer: what it says is that one's, whoever used the same words."""
_IN_CALLS = f"""
select key as id from journal where call in (select value from json_each(:calls))
union all select key from borders where call in (select value from json_each(:calls))
union all select call || ' ' || key from inner_steps where {INNER} and call in (select value from json_each(:calls))"""
_SAYING = f"""
select key as id from journal where not {_OTHERS}
  and ({LIKE.format("replies")} or messages in (select value from json_each(:shown)))
union all select key from borders where not {_OTHERS}
  and ({LIKE.format("asked")} or {LIKE.format("coalesce(said, '')")})
union all select call || ' ' || key from inner_steps where {INNER} and {LIKE.format("inner_steps.value")}"""
_SHOWN_THERE = """
with recursive
  mine(digest) as (
    select messages from journal where messages is not null and key in (select value from json_each(:asks))
    union select m.before from mine join messages m on m.digest = mine.digest),
  theirs(digest) as (
    select messages from journal where messages is not null and key not in (select value from json_each(:asks))
    union select m.before from theirs join messages m on m.digest = theirs.digest)
select digest as id from mine where digest <> '' except select digest from theirs"""
_READ_THERE = """
select prompt as id from journal where prompt is not null and key in (select value from json_each(:asks))
except select prompt from journal where prompt is not null and key not in (select value from json_each(:asks))"""
_SAID_BY_OTHERS = """
select value as id from json_each(:texts) f where exists (
  select 1 from records where kind = 'task' and id not in (select value from json_each(:ids))
  and instr(body, f.value))"""


_GIVEN_WITH = """
select id from records where kind = 'solution' and id not in (select id from redacted) and exists (
  select 1 from json_each(body, '$.memories') m where m.value = :note) order by n"""


class _Whose(NamedTuple):
    id: str
    who: str


class _Id(NamedTuple):
    id: str


def people(ledger: Ledger) -> dict[str, str]:
    """The tasks that are somebody's, by id, with whose they are; a task whose words had to go is nobody's."""
    refuse_old(ledger)
    return {r.id: r.who for r in ledger._select(_Whose, _WHO)}


def redacted(ledger: Ledger) -> set[str]:
    """The ids of all that had to go already."""
    return {r.id for r in ledger._select(_Id, "select id from redacted")}


def given_with(ledger: Ledger, note: str) -> list[str]:
    """The answers that were given with a note in sight, in the order in which they came; not those that had to go."""
    return [r.id for r in ledger._select(_Id, _GIVEN_WITH, note=note)]


def made_of(ledger: Ledger, ids: Collection[str], notes: Collection[str]) -> set[str]:
    """Those of these records that can go, and what was made from them: answers, what was said of them, tasks that came
    of them. So, too, answers that were given with one of these notes in sight."""
    return {r.id for r in ledger._select(_Id, _DOWN, ids=list(ids), notes=list(notes), kinds=list(KINDS))}


def said_in_calls(
    ledger: Ledger, ids: Collection[str], notes: Collection[str], texts: Collection[str]
) -> dict[str, None]:
    """The model calls, crossings and inner steps about these records, or that were shown these notes, and beyond the
    calls that are about another's task or answer all that hold one of these texts; with them the messages and prompts
    that stand in no other call."""
    own = [r.id for r in ledger._select(_Id, _CALLS, ids=list(ids), notes=list(notes))]
    found = {r.id: None for r in ledger._select(_Id, _IN_CALLS, calls=own)}
    if forms := _only_theirs(ledger, ids, texts):
        shown = shown_with(ledger, forms)
        found |= {r.id: None for r in ledger._select(_Id, _SAYING, forms=forms, shown=shown)}
    asks = list(found)
    for sql in (_SHOWN_THERE, _READ_THERE):
        found |= {r.id: None for r in ledger._select(_Id, sql, asks=asks)}
    return found


def _only_theirs(ledger: Ledger, ids: Collection[str], texts: Collection[str]) -> list[str]:
    """These texts in all the forms in which they may lie in the file, without those that another's task holds too."""
    forms = {form: text for text in texts for form in forms_of(text)}
    also = {forms[r.id] for r in ledger._select(_Id, _SAID_BY_OTHERS, texts=list(forms), ids=list(ids))}
    return [form for form, text in forms.items() if text not in also]
