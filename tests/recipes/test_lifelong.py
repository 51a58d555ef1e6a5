"""Lifelong learning on the scripted model: one ability after the other, with replay and merges; a kill changes
nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.evaluate.transfer import in_words, transferred
from instar.recipes.lifelong import Lifelong, merged
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from instar.update.weights.merge import Merge
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import instar, run
from tests.recipes.test_full_loop import CFG, new_run

SETS = (
    "sizes.dev=9", "rounds=2", "sizes.train=30", "sizes.gate=60", "sizes.sealed=30",
    'order=["basic_arithmetic", "products"]', "audit_with=none",
    'merge={op="merge", method="wise_ft"}', "steps=[0.5]",
    'train={op="regularised_sft", kl=0.2, reference="base", epochs=8}',
    'replay={op="replay", ratio=0.3}', "suites.guard:sums.size=60", "suites.guard:sums.tasks.op=reasoning_gym",
    "suites.guard:sums.tasks.families.chain_sum={min_terms=3,max_terms=3,min_digits=1,max_digits=2}",
    "suites.guard:sums.budget={op=\"forgetting_budget\", margin=0.6, above_constant=0.0}", 'gate.guarded=[]',
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", *SETS, recipe="lifelong")


def test_each_round_has_an_ability_of_its_own_and_goes_on_from_the_last_policy(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    with closing(Ledger.read(runs / "undisturbed" / "ledger.db")) as ledger:
        ops = {i: o["name"] for i, o in ledger.ops().items()}
        roles = roles_of(ledger)
        tasks = {t.id: t.ability for t in ledger.records("task")}  # type: ignore[attr-defined]
        solutions = {s.id: s.task for s in ledger.records("solution")}  # type: ignore[attr-defined]
        replayed = [r for r in ledger.rows("records") if r["kind"] == "decision" and ops.get(r["op"]) == "replay"]
        assert {u.op for u in roles.updates.values()} == {"regularised_sft", "merge"}
        trained = [u for u in roles.updates.values() if u.op == "regularised_sft"]
        by_round = {u.round: {tasks[solutions[s]] for s in u.solutions} for u in trained}
    assert len(by_round[1]) == 1
    assert by_round[1] != by_round[2] - by_round[1] != set()
    later = {json.loads(r["body"])["item"] for r in replayed}
    assert later <= set(solutions)
    assert later
    kept = [u.parent for u in sorted(trained, key=lambda u: u.round)]
    assert len(set(kept)) > 1


def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    sets = ("model=scripted", *SETS)
    ends_the_same_when_killed(runs, "lifelong", sets, undisturbed, at=(120,), latency="engine_options.latency=0.005")


def test_without_a_dev_set_it_says_so_before_it_asks(runs: Path) -> None:
    failed = run(runs, "blind", *SETS, "sizes.dev=0", recipe="lifelong", check=False)
    assert "lifelong has no dev set" in failed["error"]
    with closing(Ledger.read(runs / "blind" / "ledger.db")) as ledger:
        assert ledger.asked()["calls"] == 0


def test_a_replay_file_with_a_sealed_task_is_refused_before_a_token_is_spent(runs: Path, undisturbed: Any) -> None:
    with closing(Ledger.read(runs / "undisturbed" / "ledger.db")) as ledger:
        (task,) = ledger.records(ids=ledger.sets()["sealed"][:1])
    question = task.question  # type: ignore[attr-defined]
    path = runs.parent / "general.jsonl"
    path.write_text("".join(json.dumps({"question": q, "answer": "yes"}) + "\n" for q in ("Is it?", question)))
    sets = (*SETS, f'replay={{op="replay", rows={{op="jsonl", path="{path}"}}}}')
    failed = run(runs, "leaky", *sets, recipe="lifelong", check=False)
    assert "brings 1 of its 2 rows from the sealed set, which is held out" in failed["error"]
    assert not any(word in failed["error"] for word in question.split() if word[0].isdigit())


def test_what_became_of_abilities_is_counted_as_the_papers_do() -> None:
    scores = {"a": (0.2, 0.6, 0.5, 0.3), "b": (0.1, 0.2, 0.7, 0.6), "c": (0.3, 0.3, 0.4, 0.8)}
    found = transferred(scores, ["a", "b", "c"])
    assert found.forgetting == pytest.approx((0.3 + 0.1) / 2)
    assert found.backward == pytest.approx((-0.3 - 0.1) / 2)
    assert found.forward == pytest.approx((0.1 + 0.1) / 2)
    assert found.plasticity == pytest.approx((0.4 + 0.6 + 0.5) / 3)
    assert found.forgotten == pytest.approx({"a": 0.3, "b": 0.1, "c": 0.0})
    assert in_words(found).endswith("(now below its best: a 30.0 points, b 10.0 points)")
    twice = transferred({"a": (0.2, 0.6, 0.5, 0.7), "b": (0.1, 0.2, 0.7, 0.6)}, ["a", "b", "a"])
    assert twice.forward == pytest.approx(0.1)  # of b alone: a was first taught in the first round
    assert twice.plasticity == pytest.approx((0.4 + 0.6) / 2)
    start = transferred({"a": (0.2,)}, [])
    assert (start.forgetting, start.backward, start.forward, start.plasticity) == (None, None, None, None)


def test_what_it_kept_stands_in_json_in_words_and_in_the_report(
    runs: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    found = undisturbed["capabilities"]
    assert {r["name"] for r in found["rows"]} == {"basic_arithmetic", "chain_sum", "products", "guard:sums"}
    assert found["policies"][0]["roles"] == ["base"]
    assert "final" in [role for p in found["policies"] for role in p["roles"]]
    for row in found["rows"]:
        (first, *_), cells = row["cells"], [c for c in row["cells"] if c is not None]
        assert all(c["low"] <= c["value"] <= c["high"] for c in cells)
        if row["guard"]:  # by policy another part: held against the base on that one
            assert {c["n"] for c in cells} == {20}
            continue
        assert all(c["from_base"] == pytest.approx(c["value"] - first["value"]) for c in cells)
        assert row["below_best"] == pytest.approx(max(c["value"] for c in cells) - cells[-1]["value"])
    told = instar("show", "undisturbed", "--full", runs=runs).stdout
    assert told.count("ability, policy after policy") == 4
    (suite,) = undisturbed["suites"]
    assert (suite["name"], suite["n"]) == ("guard:sums", 20)  # the untouched third
    instar("report", "undisturbed", "--out", str(tmp_path / "page.html"), runs=runs)
    page = (tmp_path / "page.html").read_text()
    assert "What it kept" in page
    assert page.count('<th scope="row">products</th>') >= 1


def test_a_merge_has_the_data_and_the_weights_that_it_needs_from_the_first_round_on(tmp_path: Path) -> None:
    loop = new_run(tmp_path, train=4, dev=2)
    loop.round = loop.last_round = 1

    async def work(cfg: Lifelong) -> None:
        new = await loop.solve(CFG.solve, loop.tasks.train, loop.models(loop.base))
        trained = await loop.update(CFG.train, loop.base, new)
        await merged(loop, cfg, loop.base, trained, [], new)

    merges = [Merge(method="lm_cocktail"), Merge(method="linear", weights={"round_1": 2.0})]
    for merge in merges:
        asyncio.run(work(Lifelong(merge=merge, exam=CFG.exam)))
    assert [p.made_by for p in loop.ledger.records("policy")].count("merge") == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("merge", "says"),
    [
        (
            Merge(method="ties", weights={"round_3": 2.0}),
            "for 'round_3', and there will be self, base, round_1",
        ),
        (Merge(weights={"round_1": 2.0}), "a weight for 'round_1', and there will be self, base"),
        (Merge(method="linear", weights={"self": 0, "base": 0, "round_1": 1}), "weigh one of them"),
    ],
)
def test_a_merge_that_weighs_what_never_comes_is_refused_at_once(merge: Merge, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Lifelong(merge=merge, rounds=3)
