"""Replay gives what was trained on, and nothing that this was made from in its turn."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from instar.records import Mark, Policy, Solution
from instar.run.updating import replayed
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.fixtures.ledgers.old import unpack


@pytest.mark.parametrize("name", ["star-finished", "rest_em-finished", "self_refine-finished"])
def test_replay_gives_the_answers_that_were_trained_on_and_none_of_their_wrong_drafts(
    tmp_path: Path, name: str
) -> None:
    with closing(Ledger.read(unpack(name, tmp_path) / "ledger.db")) as ledger:
        roles, drafts = roles_of(ledger), set()
        for policy in [p for p in ledger.records("policy") if isinstance(p, Policy)]:
            found = replayed(ledger, policy)
            line = roles.line(policy.id)
            assert [e.solution.id for e in found] == list(
                dict.fromkeys(id for u in reversed(line) for id in u.solutions)
            )
            marks = {e.feedback and e.feedback.mark for e in found}
            if policy.id not in roles.controls:  # a control learned from answers drawn by lot, right or wrong
                assert marks <= {None if name == "self_refine-finished" else Mark.right}  # that one asks no judge
            assert all(e.task.id == e.solution.task for e in found)
            past = ledger.records(ids=sorted(ledger.ancestors(policy.id)))
            drafts |= {s.id for s in past if isinstance(s, Solution)} - {e.solution.id for e in found}
        assert bool(drafts) == (name != "rest_em-finished")  # there was something to leave out


def test_a_base_and_a_policy_that_rolled_out_by_itself_replay_nothing(tmp_path: Path) -> None:
    with closing(Ledger.read(unpack("grpo-finished", tmp_path) / "ledger.db")) as ledger:
        assert [replayed(ledger, p) for p in ledger.records("policy") if isinstance(p, Policy)] == [[], [], []]
