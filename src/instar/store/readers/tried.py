"""Which policy was right how often on which task of train and dev: what difficulties are estimated from.

Answers to tasks of gate, sealed and the suites are not read: what is chosen by them could be chosen by nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

from instar.store.ledger import Ledger

_TRIED = """
select policy, task, held, ability, question, canonical, sum(was_right) as "right", count(*) as tries from (
  select json_extract(s.body, '$.policy') as policy, t.id as task, x.name as held, t.rowid as place,
         json_extract(t.body, '$.ability') as ability, json_extract(t.body, '$.canonical') as canonical,
         json_extract(t.body, '$.messages[#-1].content') as question,
         max(json_extract(f.body, '$.mark') = 'right') as was_right
  from records f join records s on s.id = json_extract(f.body, '$.solution') and s.kind = 'solution'
  join records t on t.id = json_extract(s.body, '$.task') join sets x on x.task = t.id and x.name in ('train', 'dev')
  where f.kind = 'feedback' and json_extract(f.body, '$.mark') in ('right', 'wrong', 'invalid')
    and json_extract(f.body, '$.source') in ('verifier', 'execution', 'environment')
  group by s.id)
where policy is not null group by policy, task order by place, policy"""


class Marked(NamedTuple):
    """A policy's right answers to a task of the set ``held`` (train or dev), and how many it gave that were marked by
    something that knows."""

    policy: str
    task: str
    held: str
    ability: str
    question: str
    canonical: str
    right: int
    tries: int


def tried(ledger: Ledger) -> list[Marked]:
    """Every policy on every task that it tried, by task. Answers whose feedback was not a verdict are no tries."""
    return ledger._select(Marked, _TRIED)
