"""``instar why`` without an id, and every view that names a policy, tell the result from controls and candidates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instar.app.weights.policies import find
from instar.cli.notebook import OpenRun
from instar.cli.show import page, print_summary, show_why
from instar.records import Policy, Solution
from instar.report.card import card
from instar.report.facts import facts
from instar.report.learned import learned
from instar.report.page import report
from instar.report.summary import outcomes, summary
from instar.report.why import why
from instar.scripted_world import base_policy
from instar.store.ledger import Ledger
from instar.store.roles import Roles, roles_of
from tests.fixtures.ledgers.old import FINISHED, LEDGERS, unpack
from tests.store.test_roles import not_over, written

Unpack = Callable[[str], Path]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    return lambda name: unpack(name, tmp_path / "runs")


def roles(folder: Path) -> Roles:
    ledger = Ledger.read(folder / "ledger.db")
    try:
        return roles_of(ledger)
    finally:
        ledger.close()


def short(id: str) -> str:
    return id.split(":")[1][:8]


# --- why without an id ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEDGERS)
def test_why_without_an_id_explains_what_trained_the_result_or_says_that_nothing_did(old: Unpack, name: str) -> None:
    folder = old(name)
    r, said = roles(folder), learned(folder)
    trained = {s for u in r.line() for s in u.solutions}
    if trained:
        assert said["id"] in trained
        assert said["sentences"][0].startswith("One of ")
        assert r.result
        assert short(r.result) in said["sentences"][0]
    elif r.line():
        assert (said["kind"], LEDGERS[name]["recipe"]) == ("task", "grpo")
    else:
        assert (said["id"], said["kind"], said["record"]) == (None, None, None)
        assert r.result == r.base
    if r.over and not trained:
        assert "answer" in said["sentences"][0]
    assert not any("control" in s for s in said["sentences"][:1])


@pytest.mark.parametrize("name", ["rest_em-finished", "star-finished"])
def test_an_answer_that_trained_the_control_alone_is_never_the_example(old: Unpack, tmp_path: Path, name: str) -> None:
    for folder in (old(name), not_over(unpack(name, tmp_path / "again"))):
        r = roles(folder)
        (control,) = r.controls
        only = set(r.updates[control].solutions) - {s for u in r.line() for s in u.solutions}
        assert only
        assert learned(folder)["id"] not in only
        said = why(folder, min(only))["sentences"]
        assert any("(the control 'unverified')" in s or "(a control)" in s for s in said)
        if r.over:
            assert "What the run ended with was not trained on it." in said


def test_a_run_whose_candidates_were_refused_says_so_and_offers_what_they_were_trained_on(
    old: Unpack, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = old("refused-finished")
    r = roles(folder)
    (candidate,) = r.candidates
    (control,) = r.controls
    show_why(folder, None, as_json=False)
    first, refused, other = capsys.readouterr().out.splitlines()[1:]
    assert first == (
        f"  No answer was trained on into the result, policy {short(r.base or '')}, which is the base as it came: "
        "its one candidate was not promoted."
    )
    assert f"The refused candidate {short(candidate.policy)} of round 1 was trained on 12 answers" in refused
    assert f"The control 'unverified' ({short(control)}, made to compare with, never promoted)" in other
    for line, update in ((refused, candidate), (other, r.updates[control])):
        offered = line.partition("instar why ")[2].split()
        assert offered[1:] == ["--run", "refused-finished"]
        assert why(folder, offered[0])["id"] in update.solutions
    show_why(folder, None, as_json=True)
    assert json.loads(capsys.readouterr().out)["id"] is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("self_refine-killed", "self_refine-killed is not over (killed), and no answer was trained on into a result "
         "yet: no candidate has come to a gate."),
        ("full_loop-killed", "the one candidate so far was refused at the gate."),
        ("few_shots-killed", "The candidate 7cbdeed1 of round 1 was trained on 4 answers; one of them: instar why "),
        ("rest_em-killed", "One of 6 answers that policy d2b99663 was trained on, which a gate let pass last (the run "
         "is not over)."),
        ("grpo-finished", "It was trained on its own answers to 12 tasks, of which this is one"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_run_that_is_not_over_or_rolls_out_by_itself(old: Unpack, name: str, says: str) -> None:
    assert says in " ".join(learned(old(name))["sentences"])


def test_a_run_that_was_to_train_nothing_says_that_it_trained_no_candidate(tmp_path: Path) -> None:
    base = base_policy()
    written(tmp_path, [], result={"base": base.id, "final": base.id})
    assert learned(tmp_path)["sentences"] == [
        f"No answer was trained on into the result, policy {short(base.id)}, which is the base as it came: "
        "the run trained no candidate."
    ]


def test_a_run_that_was_stopped_before_it_began_says_that(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    assert "was stopped before it began" in learned(tmp_path)["sentences"][0]


def test_a_rationalised_answer_says_so_and_the_draft_it_replaced_is_not_taken_for_trained_on(old: Unpack) -> None:
    folder = old("star-finished")
    r = roles(folder)
    ledger = Ledger.read(folder / "ledger.db")
    hinted = [s for s in ledger.records("solution") if isinstance(s, Solution) and "rationalised" in s.flags]
    used = [s for s in hinted if any(s.id in u.solutions for u in r.updates.values())]
    (draft,) = [d.id for d in ledger.records(ids=ledger.parents([used[0].id])[used[0].id]) if d.kind == "solution"]
    ledger.close()
    said = why(folder, used[0].id)["sentences"]
    assert f"It was written in the place of answer {draft}, which was marked wrong." in said
    assert "The right answer was in sight as a hint when it was written (rationalised)." in said
    only_control = {s for c in r.controls for s in r.updates[c].solutions}
    not_in_it = (
        "What the run ended with was not trained on it." if draft in only_control else "No policy was trained on it."
    )
    assert not_in_it in why(folder, draft)["sentences"]


def test_a_notebook_is_told_the_same(old: Unpack) -> None:
    for name in ("rest_em-finished", "refused-finished"):
        folder = old(name)
        assert OpenRun(folder).why() == learned(folder)["sentences"]


def test_the_filters_that_chose_for_the_control_are_told_from_those_that_chose_for_the_model(old: Unpack) -> None:
    said = learned(old("rest_em-finished"))["sentences"]
    late = [s for s in said if s.startswith("The filter random_sample")]
    assert late
    assert all("kept it, for the control: " in s for s in late)
    assert any(s.startswith("The filter per_task_cap kept it: ") for s in said)


# --- every view that names a policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("over", [True, False])
def test_the_policies_table_the_outcomes_and_a_policys_title_name_a_control_as_one(old: Unpack, over: bool) -> None:
    folder = old("rest_em-finished")
    if not over:
        not_over(folder)
    (control,) = roles(folder).controls
    (row,) = [p for p in facts(folder)["policies"] if p["id"] == control]
    assert row["roles"] == (["control: unverified"] if over else ["control"])
    told = {o["role"] for o in outcomes(folder) if o["policy"] == control}
    assert told == ({"control:unverified"} if over else {"control"})
    found = find(f"rest_em-finished:{short(control)}", system=None, say=lambda _: None)
    assert found.role == ("control:unverified" if over else "control")
    assert f"<td>{row['roles'][0]}</td>" in report(facts(folder))


def test_the_base_of_a_run_that_is_not_over_is_the_base_in_its_outcomes(old: Unpack) -> None:
    folder = old("grpo-killed")
    base, rows = roles(folder).base, outcomes(folder)
    assert {o["role"] for o in rows if o["policy"] == base} == {"base"}
    assert {o["role"] for o in rows if o["policy"] != base} == {"candidate"}


@pytest.mark.parametrize("name", ["judged-finished", "judged-killed"])
def test_the_judge_is_a_judge_everywhere_and_never_the_base(old: Unpack, name: str) -> None:
    folder = old(name)
    r = roles(folder)
    (judge,) = r.judges
    table = {p["id"]: p["roles"] for p in facts(folder)["policies"]}
    assert table[judge] == ["judge"]
    assert [id for id, said in table.items() if "base" in said] == [r.base]
    assert find(f"{name}:base", system=None, say=lambda _: None).policy.id == r.base
    assert find(f"{name}:{short(judge)}", system=None, say=lambda _: None).role == "judge"
    assert why(folder, judge)["sentences"][0] == "This policy judges in the run: scripted:judge=1.0."
    assert "These are the weights of `scripted:judge=1.0`, unchanged." in told(folder, judge)
    assert why(folder, r.base or "")["sentences"][0].startswith("This policy is where the run began")


def told(folder: Path, policy: str) -> str:
    ledger = Ledger.read(folder / "ledger.db")
    (record,) = [p for p in ledger.records("policy") if isinstance(p, Policy) and p.id == policy]
    ledger.close()
    return card(record, folder, version="0")


@pytest.mark.parametrize("name", FINISHED)
def test_the_card_of_what_a_run_did_not_end_with_says_so_and_the_results_does_not(old: Unpack, name: str) -> None:
    folder = old(name)
    r = roles(folder)
    for id in r.updates:
        assert ("This is not the model that the run ended with" in told(folder, id)) == (id != r.result)
        assert ("after round" in told(folder, id)) == (id not in r.controls)
    for control in r.controls:
        text = told(folder, control)
        assert "trained as a control, to compare with what came of self-evolution" in text
        assert "it is the control 'unverified'" in text
        assert "kept by the run's filters" not in text
        assert f"{len(r.updates[control].solutions)} of its own answers" in text


def test_the_card_of_a_model_that_rolled_out_by_itself_does_not_say_that_it_learned_from_nothing(old: Unpack) -> None:
    folder = old("grpo-finished")
    text = told(folder, roles(folder).result or "")
    assert "- Trained on its own rollouts on 12 tasks." in text
    assert "0 of its own answers" not in text
    assert ", its own rollouts on 12 tasks." in why(folder, roles(folder).result or "")["sentences"][0]


def test_the_card_of_a_run_that_is_not_over_does_not_say_that_it_ended(old: Unpack) -> None:
    folder = not_over(old("rest_em-finished"))
    r = roles(folder)
    text = told(folder, r.result or "")
    assert "**The run is not over**: this is what a gate let pass last." in text
    assert "No paired sealed exam: the run is not over, and has it at its end." in text
    (control,) = r.controls
    assert "This is not the model that the run would end with now**: it is a control." in told(folder, control)


@pytest.mark.parametrize("name", FINISHED)
def test_trained_on_means_trained_on_into_the_result_on_every_page(old: Unpack, name: str) -> None:
    folder = old(name)
    r, found = roles(folder), facts(folder)
    rows: list[dict[str, Any]] = found["answers"]["rows"]
    line = {s for u in r.line() for s in u.solutions}
    assert {a["id"] for a in rows if a["fate"] == "trained on"} == line
    beside = {s for u in r.candidates for s in u.solutions} - line
    assert {a["id"] for a in rows if a["fate"] == "only trained a policy that was not kept"} == beside
    if name == "refused-finished":
        assert beside
        assert "<dt>Trained on</dt><dd>0</dd>" in report(found)


def test_show_counts_the_refused_candidates_and_does_not_speak_of_none_of_none(
    old: Unpack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = summary(old("refused-finished"))
    print_summary(found, page())
    assert "unchanged: none of 1 candidates was promoted, so the result is the base" in capsys.readouterr().out
    print_summary({**found, "rounds": [{**r, "gate": None} for r in found["rounds"]]}, page())
    assert "unchanged: no candidate came to a gate, so the result is the base" in capsys.readouterr().out
