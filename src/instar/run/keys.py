"""Keys and seeds: the name of a call, the name of an ask, and the randomness that hangs on it.

The key of a call is (run seed, round, operator, policies at hand, item); an ask adds its turn. The policies are in it
because one operator solves one item for the incumbent and for the candidate in the same round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from instar.records import hash_of

EXAM_ROUND = 0
"""Exams have no round: a policy is examined once on the same items."""
SELF = "self"  # the role of the policy that evolves


def call_key(seed: int, round: int, op_id: str, policies: Iterable[str], item: str) -> str:
    """The key of one operator call."""
    return hash_of("call", seed, round, op_id, sorted(policies), item)


def step_key(seed: int, round: int, verb: str, op_id: str, policies: Iterable[str], items: Iterable[str]) -> str:
    """The key of one operator mapped over these items, in this order."""
    return hash_of("step", seed, round, verb, op_id, sorted(policies), list(items))


def ask_key(call: str, turn: int, role: str = SELF) -> str:
    """The key of one ask inside a call; turns count from 0 in the order asked, for each role on its own."""
    return hash_of("ask", call, turn) if role == SELF else hash_of("ask", call, turn, role)


def at_hand(policies: Mapping[str, str]) -> list[str]:
    """The policies of a call as its key has them: role to id. Who plays which role makes it another call."""
    return sorted(id if role == SELF else f"{role}={id}" for role, id in policies.items())


def seed_of(key: str) -> int:
    """A seed of 31 bits from a key: small enough for every engine."""
    return int(key.rsplit(":", 1)[1][:8], 16) & 0x7FFFFFFF


def set_seed(seed: int, name: str) -> int:
    """The seed that a set of tasks is drawn with: 32 bits, so that the sets of one run lie far apart."""
    return int(hash_of("set", seed, name)[3:11], 16)
