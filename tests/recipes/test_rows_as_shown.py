"""What the recipes train on was sampled under the very messages that training puts before it, or is learned plainly.

Messages decide tokens: both are rendered by one template. So the rows of these recipes are what they were when training
made every prompt anew; only tools, which are described in the prompt, make another one (tests/update has both).
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from instar.app.review.rederive import verified
from instar.records import Learn, Policy, Solution, Task
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchanges
from instar.store.roles import roles_of
from tests.recipes.scripted import instar, run

SMALL = ("rounds=1", "sizes.train=12", "sizes.gate=8", "sizes.sealed=4", "audit_with=none")
EPOCHS = ("train.epochs=2",)
LEARN = ("learn=true",)
RECIPES: dict[str, tuple[str, ...]] = {
    "rest_em": (), "star": ("solve.samples=1",), "rft": (), "self_consistency": (), "full_loop": ("sizes.dev=9",),
    "self_refine": LEARN, "critic": LEARN, "constitutional": LEARN,
}  # fmt: skip
PLAINLY = {"star", "self_refine", "critic", "constitutional"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_trained_turn_knows_the_prompt_that_it_was_sampled_under(tmp_path: Path, recipe: str) -> None:
    runs = tmp_path / "runs"
    run(runs, "one", *SMALL, *EPOCHS, *RECIPES[recipe], recipe=recipe)
    with closing(Ledger.read(runs / "one" / "ledger.db")) as ledger:
        policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
        learned: list[Learn] = []
        for update in roles_of(ledger).updates.values():
            for s in cast(list[Solution], ledger.records(ids=update.solutions)):
                (turn,) = [t for t in s.turns if t.train]
                assert turn.said is not None
                learned.append(turn.said.learn)
                (task,) = ledger.records(ids=[s.task])
                asked = exchanges(ledger, [turn.said.exchange])[turn.said.exchange]
                assert asked.replies[turn.said.reply].text == turn.text
                plain = policies[str(update.parent)].prompt(cast(Task, task))
                assert turn.said.learn is Learn.plainly or asked.messages == plain
        assert learned
        assert (Learn.plainly in learned) == (recipe in PLAINLY)
    found = verified(runs / "one")
    assert found.wrong == []
    assert found.rows["text_only"] + found.rows["plainly"] == len(learned)
    assert found.rows["not_known"] == 0


def test_every_answer_of_a_rollout_says_where_it_was_said_and_under_what(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    sets = ("model=scripted", *SMALL, "train.prompts=6")
    instar("run", "grpo", "--name", "one", "--quiet", *(o for s in sets for o in ("--set", s)), runs=runs)
    with closing(Ledger.read(runs / "one" / "ledger.db")) as ledger:
        (base, *_) = [cast(Policy, p) for p in ledger.records("policy")]
        steps = {row["key"] for row in ledger.rows("steps") if row["verb"] == "rollout"}
        made = [json.loads(row["outputs"]) for row in ledger.rows("calls") if row["step"] in steps]
        answers = [s for s in ledger.records(ids=[id for ids in made for id in ids]) if isinstance(s, Solution)]
        assert (len(steps), len(answers)) == (2, 12 * 8)
        tasks = {t.id: cast(Task, t) for t in ledger.records("task")}
        for s in answers:
            (turn,) = s.turns
            assert turn.said is not None
            asked = exchanges(ledger, [turn.said.exchange])[turn.said.exchange]
            assert asked.messages == base.prompt(tasks[s.task])
            assert asked.replies[turn.said.reply].text == turn.text != ""
