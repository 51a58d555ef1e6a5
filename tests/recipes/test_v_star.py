"""V-STaR on the scripted model: generator and verifier learn, best-of-n is examined at its whole price, a kill changes
nothing; and best-of-n by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.solutions.best_of import BestOf
from instar.errors import ConfigError
from instar.records import Finish, Message, Policy, Reply, Sampling
from instar.scripted_world import base_policy
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run
from tests.update.tiny import experience

SETS = ("rounds=1", "sizes.train=30", "sizes.gate=40", "sizes.sealed=30", "best_of.samples=4", "verifier.epochs=4")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return run(runs, "undisturbed", *SETS, recipe="v_star")


def test_best_of_n_by_the_verifier_is_examined_beside_the_majority_at_its_whole_price(
    runs: Path, undisturbed: dict
) -> None:
    found = undisturbed["sealed"]["procedures"]["best_of"]
    assert found["procedure"]["score"] > found["plain"]["score"]
    written = 4 * found["sampling"]["tokens"]
    assert found["procedure"]["tokens"] > 3 * written  # what was read twice is counted too
    assert found["self_consistency"]["tokens"] == pytest.approx(found["procedure"]["tokens"], rel=0.1)
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    ops = {u.op: u for u in roles_of(ledger).updates.values()}
    assert set(ops) == {"sft", "dpo"}
    assert ops["dpo"].away
    assert not set(ops["sft"].solutions) & set(ops["dpo"].away)
    assert ops["dpo"].parent == undisturbed["base"]
    exams = {r.exam.suite: dict(r.exam.roles) for r in ledger.records("report")}  # type: ignore[attr-defined]
    assert exams["sealed, best_of"] == {"reference": undisturbed["base"], "verifier": ops["dpo"].policy}
    assert exams["sealed"] == exams["gate"] == exams["sealed, as many tokens as best_of"] == {}
    ledger.close()
    with closing(sqlite3.connect(runs / "undisturbed" / "ledger.db")) as db:
        assert db.execute("select count(*) from borders where kind = 'score'").fetchone() == (60,)


@pytest.mark.nightly  # tests/run/test_scoring.py kills between two scorings, tests/recipes/test_dpo.py a run with pairs
def test_a_killed_run_ends_as_if_nothing_was(runs: Path, undisturbed: dict) -> None:
    whole = 30 * 8 + 2 * 40 + 2 * 30
    ends_the_same_when_killed(runs, "v_star", SETS, undisturbed, at=(whole + 20,))  # while best-of-n is examined


class Judging:
    """A model that answers with these texts, and finds each as likely as it is told."""

    def __init__(self, likely: dict[str, float]) -> None:
        self.policy: Policy = base_policy()
        self.likely = likely

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        said: Any = {"finish": Finish.stop, "policy": self.policy.id, "engine": "e", "precision": "p"}
        return [Reply(text=t, tokens=2, prompt_tokens=5, **said) for t in list(self.likely)[:n]]

    async def score(self, messages: Sequence[Message], replies: Sequence[Reply]) -> list[float]:
        return [self.likely[r.text] for r in replies]


def test_by_ratio_what_the_verifier_learned_to_like_wins_and_by_likelihood_what_it_likes() -> None:
    task = experience("1+1", "2").task
    verifier = Judging({"short": -1.0, "right one": -4.0, "": 9.0})
    models = {"self": verifier, "verifier": verifier, "reference": Judging({"short": -1.0, "right one": -6.0, "": 0.0})}
    picked = {
        by: asyncio.run(BestOf(samples=3, by=by)(task, models))[0]
        for by in ("ratio", "likelihood")  # type: ignore[arg-type]
    }
    assert {by: s.text for by, s in picked.items()} == {"ratio": "right one", "likelihood": "short"}
    assert {by: s.tokens for by, s in picked.items()} == {"ratio": 6 + 2 * 11, "likelihood": 6 + 11}


def test_without_a_verifier_it_says_who_is_missing() -> None:
    with pytest.raises(ConfigError, match="nobody plays the role 'verifier'"):
        asyncio.run(BestOf(samples=1)(experience("1+1", "2").task, {"self": Judging({"a": 0.0})}))
