"""An episode as a transcript: turns by role, what was seen, what was taken back; in the report's facts and its page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from instar.acquire.feedback.pool import shared
from instar.acquire.solutions.group import Group
from instar.report.answers import answers
from instar.report.page import asset
from instar.report.transcript import transcripts
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.acquire.test_group import VILLAGE, Falls, drawn
from tests.run.test_run import SAMPLE, run_in, solve, stored, task


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    shared().close()


def test_turns_are_told_by_role_and_one_reply_has_no_transcript(tmp_path: Path) -> None:
    op = Group(environment=VILLAGE, samples=4, reopen=1)
    run = stored(run_in(tmp_path, Falls()), [*drawn(3), task(1)])
    run.round = run.last_round = 1
    made = solve(run, op, drawn(3))
    other = run_in(tmp_path, Falls())
    other.round = other.last_round = 1
    plain = solve(other, SAMPLE, [task(1)])
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        found = transcripts(ledger, [s.id for s in [*made, *plain]])
        rows = {r["id"]: r["turns"] for r in answers(ledger, roles_of(ledger))["rows"]}
    assert set(found) == {s.id for s in made}
    for s in made:
        assert [(t["text"], t["kind"], t["train"]) for t in found[s.id]] == [(t.text, t.kind, t.train) for t in s.turns]
        assert rows[s.id] == found[s.id]
    assert all(rows[s.id] is None for s in plain)
    who = {t["kind"]: t["who"] for turns in found.values() for t in turns}
    assert who == {
        "tool_call": "plan", "assistant": "tool", "critique": "reflect", "draft": "tool, taken back",
        "tool_result": "seen",
    }  # fmt: skip
    # the page's script puts every turn into a text node of its own
    assert "s.turns.map((t) => el(" in asset("page.js")
