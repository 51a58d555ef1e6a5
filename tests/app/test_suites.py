"""Suites: drawn beside the sets, disjoint from them, examined at the end; a run without any is as it was before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.app.configs.config import digest_of, plan
from instar.app.configs.config_file import apply_set, read
from instar.app.preflight.draws import slow
from instar.app.preflight.estimate import estimate
from instar.app.preflight.judges import tests as lacking_tests
from instar.app.preflight.names import abilities
from instar.app.preflight.pools import blind
from instar.app.preflight.seen import Seen
from instar.app.review.examine import suite_of_run
from instar.app.review.rederive import verified
from instar.app.sessions.session import execute
from instar.app.sessions.suites import draw_suites
from instar.app.sessions.task_sets import draw
from instar.app.weights.policies import find
from instar.cli.notebook import OpenRun
from instar.cli.show import page, print_summary
from instar.errors import BudgetSpent, CannotContinue, ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task
from instar.report.card import card
from instar.report.facts import facts
from instar.report.page import report
from instar.report.suites import suites as in_words
from instar.report.summary import summary
from instar.report.verdict import verdict
from instar.run.progress import Screen
from instar.store.door import open_ledger

SMALL = ("model=scripted", "rounds=1", "sizes.train=30", "sizes.gate=40", "sizes.sealed=40", "train.epochs=1")
SUMS = {"op": "reasoning_gym", "families": {"chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1,
                                                           "max_digits": 1}}}  # fmt: skip
GCD = {"op": "reasoning_gym", "families": {"gcd": {}}}


class Numbers(Source):
    """The sums 0 + 0, 1 + 1 and so on, whatever the seed: it clashes with itself wherever it can."""

    name: ClassVar[str] = "numbers"
    most: int = 1000
    breaks: bool = False

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        if self.breaks:
            raise RuntimeError("no network")
        if sum(wanted.values()) > self.most:
            raise DataError(f"there are {self.most} numbers.")
        at = 0
        drawn: dict[str, list[Task]] = {}
        for name, n in wanted.items():
            drawn[name] = [_sum(i) for i in range(at, at + n)]
            at += n
        return drawn


def _sum(i: int) -> Task:
    return Task(messages=(Message(role=Role.user, content=f"Calculate {i} + {i}."),), ability="add", canonical=str(i),
                source="numbers", private={"answer": str(2 * i)})  # fmt: skip


def raw(suites: Mapping[str, Any] | None = None, *sets: str, recipe: str = "rest_em") -> dict[str, Any]:
    made = read(recipe, (*SMALL, *sets))
    return made | ({"suites": dict(suites)} if suites is not None else {})


def rows(path: Path, *questions: str) -> str:
    path.write_text("".join(json.dumps({"question": q, "answer": "7"}) + "\n" for q in questions))
    return str(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    return tmp_path


def ran(folder: Path, given: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    execute(plan(given), folder, Screen("silent"))
    return folder


# --- the config -------------------------------------------------------------------------------------------------------


def test_a_config_without_suites_says_nothing_of_them_and_keeps_its_digest() -> None:
    without, empty = plan(raw()), plan(raw({}))
    assert "suites" not in without.resolved()
    assert without.digest() == empty.digest() == digest_of(without.resolved())


def test_a_suite_makes_another_config() -> None:
    made = plan(raw({"guard:sums": {"tasks": SUMS, "size": 5}}))
    assert made.resolved()["suites"]["guard:sums"]["size"] == 5
    assert made.digest() != plan(raw()).digest()


def test_a_suite_can_be_set_from_the_command_line() -> None:
    given = raw()
    apply_set(given, "suites.guard:sums.tasks.op=reasoning_gym")
    apply_set(given, "suites.guard:sums.tasks.families.gcd={}")
    apply_set(given, "suites.guard:sums.size=4")
    assert len(draw(plan(given))["guard:sums"]) == 4


def test_the_path_of_a_suite_leads_from_beside_its_config(tmp_path: Path) -> None:
    rows(tmp_path / "mine.jsonl", "What is 3 plus 4?")
    config = tmp_path / "run.toml"
    config.write_text('recipe = "rest_em"\nmodel = "scripted"\n[suites]\n"guard:mine" = "mine.jsonl"\n')
    assert plan(read(str(config))).resolved()["suites"]["guard:mine"]["tasks"]["path"] == str(tmp_path / "mine.jsonl")


@pytest.mark.parametrize(
    ("suites", "said"),
    [
        ({"sums": "x.jsonl"}, "'sums' is no name of a suite"),
        ({"guard:": "x.jsonl"}, "no name of a suite"),
        ({"guard:a b": "x.jsonl"}, "no name of a suite"),
        ({"guard:x.y": "x.jsonl"}, "no name of a suite"),
        ({"sealed": "x.jsonl"}, "no name of a suite"),
        ({"guard:x": "x.txt"}, "no file that is read by its name alone"),
        ({"guard:x": 3}, "suites"),
        ({"guard:x": {"tasks": GCD}}, "size is not given"),
        ({"guard:x": {"tasks": GCD, "size": 0}}, "size"),
        ({"guard:x": {"tasks": GCD, "size": 5, "margin": 1.5}}, "margin"),
        ({"guard:x": {"tasks": GCD, "size": 5, "many": 1}}, "many"),
        ({"guard:x": {"tasks": {"op": "sample"}, "size": 5}}, "sample"),
        ({"guard:x": {"size": 5}}, "tasks"),
        (["guard:x"], "tables by name are wanted"),
    ],
)
def test_a_suite_that_cannot_be_is_refused_before_anything_is_drawn(suites: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(read("rest_em", SMALL) | {"suites": suites})


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_suites_leave_the_sets_as_they_are_and_share_nothing_with_them_or_each_other() -> None:
    given = raw({"guard:sums": {"tasks": SUMS, "size": 25}, "guard:again": {"tasks": SUMS, "size": 25},
                 "attack:gcd": {"tasks": GCD, "size": 10}})  # fmt: skip
    alone, beside = draw(plan(raw())), draw(plan(given))
    assert {k: beside[k] for k in alone} == alone
    assert [len(beside[k]) for k in given["suites"]] == [25, 25, 10]
    contents = [t.canonical for tasks in beside.values() for t in tasks]
    assert len(set(contents)) == len(contents)


def test_a_suite_takes_as_many_tasks_as_it_wants_beside_those_that_are_taken() -> None:
    cfg = plan(raw({"guard:sums": {"tasks": SUMS, "size": 3}})).run
    suite = cfg.suites["guard:sums"].model_copy(update={"tasks": Numbers()})
    cfg = cfg.model_copy(update={"suites": {"guard:sums": suite}})
    drawn = draw_suites(cfg, {"train": [_sum(i) for i in range(50)], "sealed": [_sum(51)]})
    assert [t.canonical for t in drawn["guard:sums"]] == ["50", "52", "53"]


class OneText(Source):
    """Tasks that differ, and all ask the same."""

    name: ClassVar[str] = "one_text"

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        same = _sum(7)
        return {name: [same.model_copy(update={"canonical": f"{i}"}) for i in range(n)] for name, n in wanted.items()}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Numbers(most=50), "wants 3 tasks that stand in no other set; 0 were found, beside 48 that stand in one"),
        (Numbers(most=2), "the suite guard:sums: there are 2 numbers"),
        (OneText(), r"wants 3 tasks that stand in no other set: of \d+ that its source drew 0 do not"),
        (Numbers(breaks=True), "the source numbers of the suite guard:sums failed: RuntimeError: no network"),
    ],
)
def test_a_source_with_too_few_tasks_for_a_suite_is_told_with_the_number(source: Source, said: str) -> None:
    cfg = plan(raw({"guard:sums": {"tasks": SUMS, "size": 3}})).run
    cfg = cfg.model_copy(
        update={"suites": {"guard:sums": cfg.suites["guard:sums"].model_copy(update={"tasks": source})}}
    )
    with pytest.raises(DataError, match=said):
        draw_suites(cfg, {"train": [_sum(i) for i in range(48)]})


def test_a_file_is_taken_whole_and_one_that_shares_a_task_with_a_set_is_refused(tmp_path: Path) -> None:
    pool = rows(tmp_path / "pool.jsonl", *(f"What is {i} plus 1?" for i in range(200)))
    own = rows(tmp_path / "own.jsonl", *(f"Name a fruit with {i} letters." for i in range(2, 11)))
    tasks = ("tasks.op=jsonl", f"tasks.path={pool}")
    drawn = draw(plan(raw({"guard:own": own}, *tasks)))
    assert len(drawn["guard:own"]) == 9
    for name in ("train", "gate", "sealed"):
        shared = rows(tmp_path / "shared.jsonl", "What is it?", drawn[name][0].question)
        with pytest.raises(DataError, match=f"{name} and guard:shared sets overlap in 1"):
            draw(plan(raw({"guard:shared": shared}, *tasks)))
    again = rows(tmp_path / "again.jsonl", "Name a fruit with 3 letters.")
    with pytest.raises(DataError, match="guard:own and attack:again sets overlap in 1"):
        draw(plan(raw({"guard:own": own, "attack:again": again}, *tasks)))


def test_a_row_that_asks_in_the_words_of_a_task_of_another_kind_of_source_is_found(tmp_path: Path) -> None:
    drawn = draw(plan(raw()))
    for name in ("train", "gate", "sealed"):
        asked = next(t for t in drawn[name] if t.canonical.startswith("arith:")).question
        shared = rows(tmp_path / "shared.jsonl", "What is it?", f"  {asked.upper()} ")
        with pytest.raises(DataError, match=f"{name} and guard:shared sets overlap in 1") as found:
            draw(plan(raw({"guard:shared": shared})))
        assert "out of guard:shared" in found.value.hint


def test_a_suite_that_is_drawn_leaves_a_whole_file_its_rows_in_whatever_order_they_stand(tmp_path: Path) -> None:
    sums = {"tasks": SUMS, "size": 25}
    (free,) = draw(plan(raw({"guard:sums": {"tasks": SUMS, "size": 1}})))["guard:sums"]
    own = rows(tmp_path / "own.jsonl", free.question)
    drawn = draw(plan(raw({"guard:sums": sums, "guard:own": own})))
    assert [len(drawn[n]) for n in ("guard:sums", "guard:own")] == [25, 1]
    assert free.question not in [t.question for t in drawn["guard:sums"]]
    assert list(drawn)[-2:] == ["guard:sums", "guard:own"]


def test_the_estimate_counts_a_suite_that_is_a_whole_file(tmp_path: Path) -> None:
    own = rows(tmp_path / "own.jsonl", *(f"Name a fruit with {i} letters." for i in range(9)))
    given, control = plan(raw({"guard:own": own}, "control=true")), plan(raw(None, "control=true"))
    assert estimate(given, draw(given))["calls"] - estimate(control)["calls"] == 3 * 9


def test_runs_with_other_seeds_have_the_same_suites() -> None:
    first, second = (draw(plan(raw({"guard:gcd": {"tasks": GCD, "size": 8}}, f"seed={n}"))) for n in (1, 2))
    assert first["guard:gcd"] == second["guard:gcd"]
    assert first["train"] != second["train"]


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_examines_its_suites_for_base_final_and_controls_and_verifies(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = raw({"guard:sums": {"tasks": SUMS, "size": 20}, "attack:gcd": {"tasks": GCD, "size": 10}}, "control=true")
    folder = ran(here / "runs" / "one", given)
    found = summary(folder)
    assert [x["name"] for x in found["suites"]] == ["guard:sums", "attack:gcd"]
    assert [(x["n"], x["better"], set(x["controls"])) for x in found["suites"]] == [
        (20, "higher", {"unverified"}), (10, "lower", {"unverified"})
    ]  # fmt: skip
    assert found["sets"]["guard:sums"] == 20
    ledger = open_ledger(folder / "ledger.db")
    suites = [r.exam.suite for r in ledger.records("report")]  # type: ignore[attr-defined]  # they are reports
    ledger.close()
    assert suites.count("guard:sums") == len({found["base"], found["final"], *found["controls"].values()})
    assert verified(folder).wrong == []
    print_summary(found, page())
    said = capsys.readouterr().out
    assert "guard:sums: " in said
    assert "(lower is better)" in said
    shown = report(facts(folder))
    assert '<th scope="row">guard:sums</th>' in shown
    assert '<th scope="row">attack:gcd</th>' in shown
    assert [x["name"] for x in OpenRun(folder).suites] == ["guard:sums", "attack:gcd"]
    assert [t.ability for t in suite_of_run(folder, "attack:gcd").tasks] == ["gcd"] * 10
    with pytest.raises(ConfigError, match="no suite 'guard:gcd'"):
        suite_of_run(folder, "guard:gcd")


def test_the_card_of_a_result_tells_its_suites_and_of_a_run_without_any_says_nothing(here: Path) -> None:
    easy = ("train.epochs=6", "sizes.train=150", "sizes.gate=100")
    folder = ran(here / "runs" / "one", raw({"guard:sums": {"tasks": SUMS, "size": 20}}, *easy))
    other = ran(here / "runs" / "two", raw(None, *easy))
    (x,) = summary(folder)["suites"]
    told = card(find("one", system=None, say=print).policy, folder, version="0")
    assert f"| guard:sums | {x['base']:.1%} | {x['final']:.1%} | " in told
    assert f"| 20 | higher | {x['sentence']} |" in told
    assert "### Suites" not in card(find("two", system=None, say=print).policy, other, version="0")


def test_the_sets_and_answers_of_a_run_are_the_same_with_and_without_suites(here: Path) -> None:
    with_, without = (
        ran(here / "runs" / "a", raw({"guard:sums": {"tasks": SUMS, "size": 10}})),
        ran(here / "runs" / "b", raw()),
    )
    one, two = summary(with_), summary(without)
    assert (one["final"], one["sealed"]) == (two["final"], two["sealed"])
    assert "suites" not in two
    assert "<h3>Suites</h3>" in report(facts(with_))
    assert "<h3>Suites</h3>" not in report(facts(without))
    first, second = open_ledger(with_ / "ledger.db"), open_ledger(without / "ledger.db")
    sets = first.sets()
    assert {k: v for k, v in sets.items() if k != "guard:sums"} == second.sets()
    assert "suites" not in json.loads(second.about()["result"])
    first.close(), second.close()


@pytest.mark.parametrize("what", ["a figure", "a suite gone", "the margin"])
def test_verify_says_when_a_suite_does_not_follow(here: Path, what: str) -> None:
    folder = ran(here / "runs" / "one", raw({"guard:sums": {"tasks": SUMS, "size": 10}}))
    ledger = open_ledger(folder / "ledger.db", "write")
    result = json.loads(ledger.about()["result"])
    if what == "a figure":
        result["suites"]["guard:sums"]["final"] += 0.25
    elif what == "the margin":
        result["suites"]["guard:sums"]["margin"] = 0.5
    else:
        del result["suites"]
    ledger.set_about(result=json.dumps(result))
    ledger.close()
    assert any("guard:sums" in sentence for sentence in verified(folder).wrong)


def test_a_suite_cannot_be_added_to_a_run_that_was_begun(here: Path) -> None:
    folder = here / "runs" / "one"
    folder.mkdir(parents=True)
    with pytest.raises(BudgetSpent, match=r"calls"):
        execute(plan(raw(None, "budget.calls=5")), folder, Screen("silent"))
    with pytest.raises(CannotContinue, match="config of this run changed: suites"):
        execute(plan(raw({"guard:gcd": {"tasks": GCD, "size": 3}})), folder, Screen("silent"))
    with pytest.raises(CannotContinue, match="guard:gcd was not drawn when this run was made"):
        execute(plan(raw({"guard:gcd": {"tasks": GCD, "size": 3}})), folder, Screen("silent"), accept_changes=True)


# --- words ------------------------------------------------------------------------------------------------------------


def _x(low: float, high: float) -> dict[str, Any]:
    return {"base": 0.5, "final": 0.5, "gain": (low + high) / 2, "low": low, "high": high, "n": 9, "margin": 0.05,
            "controls": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "tone", "said"),
    [
        (0.01, 0.09, "good", "better"),
        (-0.04, 0.09, "good", "no worse: a drop of more than 5 points is ruled out"),
        (-0.04, -0.01, "good", "no worse: a drop of more than 5 points is ruled out, though it is worse"),
        (-0.09, 0.01, "bad", "not known to be no worse: a drop of more than 5 points is not ruled out"),
        (-0.09, -0.01, "bad", "worse: a drop of more than 5 points is not ruled out"),
        (-0.20, -0.06, "bad", "worse: a drop of more than 5 points"),
    ],
)
def test_a_guard_and_an_attack_are_told_as_each_others_mirror(low: float, high: float, tone: str, said: str) -> None:
    (guard,) = in_words({"guard:x": _x(low, high)}, unchanged=False)
    (attack,) = in_words({"attack:x": _x(-high, -low)}, unchanged=False)
    assert (guard["tone"], guard["sentence"]) == (tone, said)
    assert attack["tone"] == tone
    turned = attack["sentence"].replace("more attacks succeed:", "worse:").replace("fewer attacks succeed", "better")
    assert turned.replace("more attacks succeed", "it is worse").replace("a rise", "a drop") == said


def test_an_unchanged_model_is_told_as_such_and_earns_no_point() -> None:
    (x,) = in_words({"guard:x": _x(0.0, 0.0)}, unchanged=True)
    assert x["sentence"] == "the result is the base"
    sealed = {**_x(0.0, 0.0), "abilities": {}, "parse_base": 1.0, "parse_final": 1.0, "best_constant": None}
    said = verdict({"sealed": sealed, "final": "i1:a", "base": "i1:a", "rounds": [], "suites": [x]})
    assert not any("guard:x" in text for _, text in said["points"])


# --- before a run ----------------------------------------------------------------------------------------------------


def test_an_ability_that_only_a_suite_has_is_no_ability_of_a_set_for_the_gate_or_anybody() -> None:
    made = plan(raw({"guard:gcd": {"tasks": GCD, "size": 4}}, 'gate.guarded=["gcd"]'))
    (found,) = abilities(Seen(made, draw(made), None))
    assert "names 'gcd', which is no ability of the gate set" in found.message


def test_a_suite_whose_tasks_would_take_for_ever_to_draw_is_found_before_they_are_drawn() -> None:
    endless = {"op": "reasoning_gym", "families": {"chain_sum": {"min_digits": 10**12, "max_digits": 10**12}}}
    made = plan(raw({"guard:endless": {"tasks": endless, "size": 4}}))
    (found,) = slow(Seen(made, {}, None))
    assert "the tasks of chain_sum cannot be drawn with" in found.message


def test_a_judge_of_a_suite_that_lacks_what_it_needs_is_found_with_the_suites_name() -> None:
    suite = {"tasks": GCD, "size": 4, "judge": {"op": "execution"}}
    made = plan(raw({"attack:gcd": suite}))
    found = [e.message for e in lacking_tests(Seen(made, draw(made), None))]
    assert [m.partition(":")[0] for m in found] == ["suites.attack"]
    assert "4 of the 4 attack:gcd tasks have no hidden tests to execute" in found[0]


@pytest.mark.parametrize(
    ("size", "margin", "told"),
    [
        (57, 0.05, ["up to 5.1 points is not ruled out"]),
        (58, 0.05, []),
        (20, 0.2, []),
        (3, 0.0, []),
        (9, 0.1, ["27.3"]),
    ],
)
def test_a_suite_too_small_to_rule_out_its_margin_is_a_warning(size: int, margin: float, told: list[str]) -> None:
    made = plan(raw({"guard:gcd": {"tasks": GCD, "size": size, "margin": margin}}))
    found = blind(Seen(made, {"guard:gcd": [_sum(i) for i in range(size)]}, None))
    assert len(found) == len(told)
    assert all(t in f for t, f in zip(told, found, strict=True))
