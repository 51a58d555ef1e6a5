"""``instar compare`` and ``instar evaluate``: what is paired, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from instar.app.review.comparing import by_content
from instar.store.ledger import Ledger
from tests.engines.tiny import make_model
from tests.recipes.scripted import instar, run


def ask(runs: Path, *args: str) -> Any:
    return json.loads(instar(*args, "--json", "--quiet", runs=runs).stdout)


def test_a_run_alone_is_compared_with_its_base_and_says_what_the_run_says(made: Path) -> None:
    said = ask(made, "compare", "one")
    sealed = ask(made, "show", "one")["sealed"]
    assert (said["before"], said["after"], said["gain"]) == (sealed["base"], sealed["final"], sealed["gain"])
    assert (said["low"], said["high"], said["n"]) == (sealed["low"], sealed["high"], sealed["n"])
    assert said["a"].endswith("(base)")
    assert said["newly_right"] - said["newly_wrong"] == round(said["gain"] * said["n"])


def test_two_runs_of_other_lengths_are_paired_by_what_their_sealed_tasks_are(made: Path) -> None:
    ledgers = [Ledger.read(made / name / "ledger.db") for name in ("one", "two")]
    ids = [set(ledger.sets()["sealed"]) for ledger in ledgers]
    assert ids[0] != ids[1]  # the ids differ, or this test would show nothing
    said = ask(made, "compare", "one", "two")
    assert said["n"] == 60
    scores = [ask(made, "show", name)["sealed"]["final"] for name in ("one", "two")]
    assert [said["before"], said["after"]] == scores


def test_two_policies_of_one_run_are_compared_by_role_and_by_id(made: Path) -> None:
    control = ask(made, "show", "one")["controls"]["unverified"]
    by_role = ask(made, "compare", "one:unverified", "one")
    by_id = ask(made, "compare", f"one:{control.split(':')[1][:8]}", "one:final")
    assert by_role == by_id
    gap = ask(made, "show", "one")["sealed"]["controls"]["unverified"]["evolved_minus_control"]
    assert by_role["gain"] == pytest.approx(gap)


def test_different_sealed_tasks_are_refused_with_what_differs(made: Path, tmp_path: Path) -> None:
    run(made, "other-seed", "rounds=1", "sealed_seed=7")
    done = instar("compare", "one", "other-seed", runs=made, check=False)
    assert done.returncode == 7
    assert "different exams: items" in done.stderr
    assert done.stdout == ""


def test_an_exam_with_one_task_changed_has_other_items(made: Path) -> None:
    from instar.records import Report, Task

    ledger = Ledger.read(made / "one" / "ledger.db")
    report = next(r for r in ledger.records("report") if isinstance(r, Report) and r.exam.suite == "sealed")
    tasks = [t for t in ledger.records(ids=ledger.sets()["sealed"]) if isinstance(t, Task)]
    changed = [tasks[0].model_copy(update={"private": {"answer": "another"}}), *tasks[1:]]
    assert by_content(report, tasks).exam.items != by_content(report, changed).exam.items


def test_evaluate_gives_the_very_report_the_run_stored(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "items.csv"
    said = ask(made, "evaluate", "one:base", "one", "--outcomes", str(out))
    sealed = ask(made, "show", "one")["sealed"]
    assert [p["metrics"]["mean@1"]["value"] for p in said["policies"]] == [sealed["base"], sealed["final"]]
    assert said["comparison"]["gain"] == pytest.approx(sealed["gain"])
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 120
    final = said["policies"][1]["policy"]
    right = [float(r["score"]) for r in rows if r["policy"] == final]
    assert sum(right) / len(right) == pytest.approx(sealed["final"])


def test_any_model_can_be_examined_on_a_jsonl_with_a_users_own_verifier(made: Path, tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} + {i + 1}?", "answer": str(2 * i + 1), "ability": "odd"} for i in range(12)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*rows, rows[0]]))
    (tmp_path / "never.py").write_text("def no(reply, private):\n    return False\n")
    runs = ("evaluate", "scripted", "--on", "own.jsonl", "--json", "--quiet")
    told = json.loads(instar(*runs, runs=made, cwd=tmp_path).stdout)["policies"][0]
    assert told["metrics"]["mean@1"]["n"] == 12  # the repeated row counts once
    assert told["metrics"]["mean@1"]["value"] > 0
    assert set(told["abilities"]) == {"odd"}
    never = json.loads(instar(*runs, "--judge", "never.py:no", runs=made, cwd=tmp_path).stdout)["policies"][0]
    assert never["metrics"]["mean@1"]["value"] == 0
    few = json.loads(instar(*runs, "--limit", "5", "--samples", "2", runs=made, cwd=tmp_path).stdout)["policies"][0]
    assert few["exam"]["n"] == 2
    assert few["metrics"]["mean@1"]["n"] == 5


def test_the_dev_set_of_a_run_is_an_exam_and_its_gate_is_not(made: Path) -> None:
    assert ask(made, "evaluate", "one", "--on", "one:dev")["policies"][0]["metrics"]["mean@1"]["n"] == 12
    done = instar("evaluate", "one", "--on", "one:gate", runs=made, check=False)
    assert (done.returncode, "one:gate is no exam" in done.stderr) == (2, True)


def test_a_model_of_no_run_is_asked_as_the_base_of_the_exams_config_is(made: Path, tmp_path: Path) -> None:
    shown = "[{question='Calculate 900 + 1.', answer='Answer: 901'}]"
    run(made, "shown", "rounds=1", f"shots={shown}", "system='Say it.'", "sizes.gate=8", "sizes.sealed=10")
    base = ask(made, "show", "shown")["base"]
    (tmp_path / "it.toml").write_text(
        f"recipe='rest_em'\nmodel='scripted'\nrounds=1\nsystem='Say it.'\nshots={shown}\nsizes={{sealed=10}}\n"
    )
    for exam in ("shown", str(tmp_path / "it.toml")):
        found = ask(made, "evaluate", "scripted", "--on", exam)["policies"][0]
        assert found["policy"] == base
    said = instar("evaluate", "scripted", "--on", "shown", runs=made)
    assert "scripted is of no run: it is shown the example of the exam's config before each question" in said.stderr
    other = ask(made, "evaluate", "scripted", "--on", "one")["policies"][0]["policy"]
    assert other != base


def test_rows_that_do_not_fit_the_context_are_named_before_an_answer_is_asked(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")
    long = "What is 3 + 4? " + "word " * 900
    rows = [{"question": f"What is {i} + 4?", "answer": str(i + 4)} for i in range(9)] + [
        {"question": long, "answer": "7"}
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    asked = ("evaluate", str(folder), "--on", "own.jsonl", "--engine", "transformers")
    done = instar(*asked, runs=tmp_path / "runs", cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "1 of the 10 questions does not fit the context of tiny, " in done.stderr
    assert "'What is 3 + 4? word word" in done.stderr
    assert "--without" not in done.stderr
