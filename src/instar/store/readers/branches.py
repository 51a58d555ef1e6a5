"""Whether a call that goes several ways was begun by an instar that let it go them one after the other."""

from __future__ import annotations

from instar.store.ledger import Ledger

_IN_TURN = """
select (select count(*) from borders where call = :call and branch is null),
  exists (select 1 from borders where call = :call and branch is not null)
  or exists (select 1 from journal where call = :call and branch is not null)"""


def begun_in_turn(ledger: Ledger, call: str, crossed: int, asked: bool) -> bool:
    """Whether a call went on in no branch where it would now go on in several, and in none of these: an instar of
    before schema 4 began it. ``crossed``: how many crossings it has behind it; ``asked``: whether its next ask in no
    branch is journalled."""
    ((crossings, branched),) = ledger._stream(_IN_TURN, call=call)
    return (crossings > crossed or asked) and not branched
