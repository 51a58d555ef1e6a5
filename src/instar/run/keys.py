"""Keys and seeds: the name of a call, the name of an ask, and the randomness that hangs on it.

The key of a call is (run seed, round, operator, policies at hand, item); an ask adds its turn. The policies are in it
because one operator solves one item for the incumbent and for the candidate in the same round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from instar.records import hash_of

# at home with the exchange, whose id and seed they are
from instar.records.exchange import SELF as SELF
from instar.records.exchange import ask_key as ask_key
from instar.records.exchange import seed_of as seed_of

EXAM_ROUND = 0
"""Exams have no round: a policy is examined once on the same items."""


def call_key(seed: int, round: int, op_id: str, policies: Iterable[str], item: str) -> str:
    """The key of one operator call."""
    return hash_of("call", seed, round, op_id, sorted(policies), item)


def step_key(seed: int, round: int, verb: str, op_id: str, policies: Iterable[str], items: Iterable[str]) -> str:
    """The key of one operator mapped over these items, in this order."""
    return hash_of("step", seed, round, verb, op_id, sorted(policies), list(items))


def at_hand(policies: Mapping[str, str]) -> list[str]:
    """The policies of a call as its key has them: role to id. Who plays which role makes it another call."""
    return sorted(id if role == SELF else f"{role}={id}" for role, id in policies.items())


def set_seed(seed: int, name: str) -> int:
    """The seed that a set of tasks is drawn with: 32 bits, so that the sets of one run lie far apart."""
    return int(hash_of("set", seed, name)[3:11], 16)
