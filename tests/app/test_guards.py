"""Guards with a budget: bundled items, counted from the base, refused with the reason, an untouched part at the end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.acquire.feedback.checkers import Unchecked, guard_item
from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.guard_items import GuardItems, items
from instar.app.configs.config import plan
from instar.app.review.rederive import _roles
from instar.app.sessions.suites import budgets
from instar.app.sessions.task_sets import draw
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, DataError
from instar.evaluate.budget import ForgettingBudget
from instar.evaluate.eval import Eval
from instar.protocols import Gate
from instar.records import Decision, Policy, Report, Sampling, Verdict
from instar.run.run import Run
from instar.run.sets import Sets
from instar.scripted_world import START, weights_of
from instar.store.ledger import Ledger, Made
from instar.store.roles import roles_of
from instar.store.verify import verify
from tests.evaluate.build import report_of
from tests.run.test_run import run_in, stored, task

EXAM = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=16)), judge=Verify())
KINDS = {"facts": 150, "instructions": 200, "simple": 220, "arithmetic": 300}


# --- the items --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_bundled_item_is_told_right_by_its_answer_and_wrong_by_another(kind: Any) -> None:
    found = items(kind)
    assert len(found) >= KINDS[kind]
    assert len({t.canonical for t in found}) == len({t.question for t in found}) == len(found)
    for t in found:
        told = {"mentions": f"I think it is {t.private['answer']}.", "verbatim": f"Answer: {t.private['answer']}"}
        assert guard_item(told.get(t.private["told_by"], f"It is {t.private['answer']}"), t.private), t.question
        assert not guard_item("I do not know 1000001", t.private)
    golds = Counter(t.private["answer"] for t in found)
    assert golds.most_common(1)[0][1] < 0.1 * len(found)


def test_whoever_recites_all_candidates_or_another_form_is_not_right() -> None:
    animal = next(t for t in items("simple") if "others" in t.private)
    assert not guard_item(" ".join([animal.private["answer"], *animal.private["others"]]), animal.private)
    assert not guard_item("Parisian", {"answer": "Paris", "told_by": "mentions"})
    assert not guard_item("apple", {"answer": "APPLE", "told_by": "verbatim"})
    with pytest.raises(Unchecked):
        guard_item("x", {"answer": "x"})


def test_sets_of_items_are_apart_and_more_than_there_are_is_refused() -> None:
    source = GuardItems(of="facts")
    drawn = source({"sealed": 60, "dev": 40}, {"sealed": 1, "dev": 2})
    assert len({t.canonical for tasks in drawn.values() for t in tasks}) == 100
    assert drawn == source({"sealed": 60, "dev": 40}, {"sealed": 1, "dev": 2})
    with pytest.raises(DataError, match="has 170 items of facts, and 171 are wanted"):
        source({"sealed": 171}, {})


# --- the config -------------------------------------------------------------------------------------------------------


def test_a_bundled_guard_is_one_word_in_a_config_and_a_suite_without_a_budget_is_what_it_was() -> None:
    made = plan({"recipe": "rest_em", "model": "scripted", "suites": {"guard:facts": "bundled"}})
    suite = made.run.suites["guard:facts"]
    assert isinstance(suite.budget, ForgettingBudget)
    assert suite.budget in made.ops()
    assert len(draw(made)["guard:facts"]) == 170
    assert list(budgets(EXAM, made.run.suites)) == ["guard:facts"]
    with pytest.raises(ConfigError, match="guard:facts, guard:instructions"):
        plan({"recipe": "rest_em", "suites": {"guard:nothing": "bundled"}})
    plain = {"guard:x": {"tasks": {"op": "guard_items", "of": "facts"}, "size": 9}}
    assert "budget" not in plan({"recipe": "rest_em", "suites": plain}).resolved()["suites"]["guard:x"]


# --- the test ---------------------------------------------------------------------------------------------------------


def of(right: int, n: int = 200, policy: str = "p") -> Report:
    made = report_of(policy, {"add": "1" * right + "0" * (n - right)})
    return made.model_copy(update={"exam": made.exam.model_copy(update={"suite": "guard:x"})})


@pytest.mark.parametrize(
    ("before", "after", "n", "passes"), [(150, 150, 200, True), (150, 135, 200, False), (150, 148, 200, True)]
)
def test_it_passes_only_if_more_than_the_margin_is_ruled_out(before: int, after: int, n: int, passes: bool) -> None:
    verdict = ForgettingBudget()(of(before, n), of(after, n, policy="q"))
    assert verdict.promoted is passes
    assert "guard:x: 75.0 % by the base" in verdict.reason
    assert verdict.checks[0].numbers["n"] == n


def test_what_the_base_cannot_do_does_not_count_and_what_cannot_be_compared_refuses() -> None:
    weak = ForgettingBudget()(of(20), of(0, policy="q"))
    assert weak.promoted
    assert "does not count" in weak.reason
    other = ForgettingBudget()(of(150), of(150, 190, policy="q"))
    assert not other.promoted


# --- in a run ---------------------------------------------------------------------------------------------------------


class Always(Gate):
    """Lets every candidate pass."""

    name: ClassVar[str] = "test_always"

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        return Verdict(
            incumbent=incumbent.policy, candidate=candidate.policy, incumbent_report=incumbent.id,
            candidate_report=candidate.id, promoted=True, checks=(), reason="always",
        )  # fmt: skip


def _with(run: Run, skill: float) -> Policy:
    made = Policy(weights=weights_of({**START, "add": skill}), parent=run.base.id).identified()
    run.ledger.add_records([Made(made, "i1:made", run.round, 0, (run.base.id,))])
    return made


def test_a_guard_that_fails_refuses_what_the_gate_let_pass_round_after_round_from_the_base(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    run.base = Policy(weights=weights_of({**START, "add": 0.9})).identified()
    guard, gate = [task(i) for i in range(180)], [task(i) for i in range(180, 189)]
    stored(run, [*guard, *gate])
    run.tasks = Sets((), (), tuple(gate), (), suites={"guard:sums": tuple(guard)})
    run.budgets = {"guard:sums": (ForgettingBudget(margin=0.15), EXAM)}

    async def work() -> list[Policy]:
        policy, out = run.base, []
        for run.round, skill in ((1, 0.88), (2, 0.6), (3, 0.3)):
            policy = await run.promote(Always(), EXAM, policy, _with(run, skill), run.tasks.gate)
            out.append(policy)
        return out

    first, second, third = asyncio.run(work())
    assert first.id != run.base.id
    assert second.id == third.id == first.id
    assert verify(run.ledger) == []
    roles = roles_of(run.ledger)
    assert list(roles.promoted.values()) == [True, False, False]
    said = [r for r in run.ledger.records("verdict") if isinstance(r, Verdict) and not r.promoted]
    assert {v.incumbent for v in said} == {run.base.id}  # from the base, whoever the incumbent is
    assert all("a loss of more than 15 points since the base is not ruled out" in v.reason for v in said)
    passed = [r for r in run.ledger.records("decision") if isinstance(r, Decision)]
    assert [d.item for d in passed] == [first.id]
    parts = [{t.id for t in run.tasks.guard_part("guard:sums", n)} for n in (1, 2, 3)]
    assert parts[0] == parts[2] != parts[1]
    assert not {t.id for t in run.tasks.untouched("guard:sums")} & (parts[0] | parts[1])
    about = {"recipe": "rest_em", "resolved": json.dumps({})}
    assert list(_roles(run.ledger, {"base": run.base.id, "final": first.id}, about)) == []
    run.ledger.close()
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        assert len({r.exam.items for r in ledger.records("report") if isinstance(r, Report)}) == 3
