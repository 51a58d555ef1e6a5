"""The report holds what the ledger says, is one file that fetches nothing, and lets no text become code."""

from __future__ import annotations

import html
import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from instar.errors import ConfigError, StoreError
from instar.report.answers import answers
from instar.report.facts import facts, revision
from instar.report.page import asset, environment, not_installed, report, script_json, write_report
from instar.report.summary import summary
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.recipes.scripted import instar
from tests.report.poisoned import ABILITY, PAYLOADS, poison


class Seen(HTMLParser):
    """What a browser would make of a page: its tags, its visible text, what it would run or fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def text(small: Path) -> str:
    return report(facts(small))


def test_the_marks_of_a_round_are_those_of_its_answers_and_not_of_the_audits_plants(small: Path) -> None:
    rounds = facts(small)["rounds"]
    assert all(r["assessments"] for r in facts(small)["audit"])  # answers were planted, and marked too
    assert [sum(r["marks"].values()) for r in rounds] == [r["solutions"] for r in rounds]


def test_the_report_says_the_verdict_the_gates_the_filters_and_the_cost_that_the_ledger_holds(
    small: Path, text: str
) -> None:
    s, words = summary(small), Seen(text).words
    x = s["sealed"]
    for share in (x["base"], x["final"], x["best_constant"], *(a["final"] for a in x["abilities"].values())):
        assert f"{100 * share:.1f}%" in words
    assert f"{100 * x['gain']:+.1f}" in words
    for r in s["rounds"]:
        assert r["gate"]["reason"] in words
        for name, f in r["filters"].items():
            assert f"{name} {f['kept']:,} kept {f['dropped']:,} dropped" in words
        assert sum(r["gate"]["promoted"] for r in s["rounds"]) < len(s["rounds"])  # both kinds of decision are shown
    assert f"{s['asked']['calls']:,} model calls" in words
    assert '"recipe": "rest_em"' in html.unescape(text)
    assert '"pydantic": "' in html.unescape(text)  # versions
    assert "score 0 is below 1" in words


def test_the_report_is_one_file_that_fetches_nothing(text: str) -> None:
    seen = Seen(text)
    for tag, attributes in seen.tags:
        assert "src" not in attributes, tag
        assert tag not in ("link", "iframe", "base", "object")
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
        assert not [a for a in attributes if a.startswith("on")]
    policy = next(a["content"] for t, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    assert "script-src 'sha256-" in policy


def test_no_text_of_a_model_a_document_or_a_checker_becomes_code(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "poisoned"
    shutil.copytree(small, copy)
    clean = Seen(report(facts(small)))
    poison(copy / "ledger.db")
    made = report(facts(copy))
    seen = Seen(made)
    assert sorted(t for t, _ in seen.tags).count("script") == sorted(t for t, _ in clean.tags).count("script") == 4
    assert not {"img", "b onmouseover"} & {t for t, _ in seen.tags}
    assert not [a for _, attributes in seen.tags for a in attributes if a.startswith("on")]
    assert ABILITY in seen.words  # it is there, as text
    rows = data_of(made)["answers"]["rows"]
    assert any(PAYLOADS[0] in r["text"] for r in rows)


@pytest.mark.parametrize("value", ["</script>", "<!--", "\u2028", "&lt;", "a\ud800b", {"<k>": ["</SCRIPT >"]}])
def test_data_in_a_script_element_ends_only_where_it_should(value: Any) -> None:
    made = script_json(value)
    assert not set("<>&\u2028") & set(made)
    made.encode("utf-8")
    if value != "a\ud800b":
        assert json.loads(made) == value


def test_every_answer_is_counted_and_what_is_left_out_is_said(small: Path) -> None:
    s = summary(small)
    ledger = Ledger.read(small / "ledger.db")
    try:
        roles = roles_of(ledger)
        few, all_ = answers(ledger, roles, limit=30), answers(ledger, roles, limit=10**6)
    finally:
        ledger.close()
    total = sum(r["solutions"] for r in s["rounds"])
    assert few["total"] == all_["total"] == total == sum(g["n"] for g in few["groups"])
    assert len(few["rows"]) == 30
    assert few["left_out"] == total - 30
    assert all_["left_out"] == 0
    # every kind of fate in every round has a row, the rare ones too
    assert {(r["round"], r["fate"]) for r in few["rows"]} == {(g["round"], g["fate"]) for g in few["groups"]}


def test_what_trained_the_model_is_told_from_what_only_trained_a_control(small: Path) -> None:
    found = facts(small)
    trained = {r["id"] for r in found["answers"]["rows"] if r["fate"] == "trained on"}
    controls = set(found["controls"].values())
    assert trained
    for r in found["answers"]["rows"]:
        into = set(r["policies"])
        assert (r["id"] in trained) == (found["final"] in into)
    some = next(r for r in found["answers"]["rows"] if set(r["policies"]) <= controls and r["policies"])
    assert some["fate"] != "trained on"


def test_an_example_of_each_reason_is_on_the_page(small: Path) -> None:
    found = facts(small)
    shown = {r["id"] for r in found["answers"]["rows"]}
    examples = [x["example"] for r in found["rounds"] for f in r["filters"] for x in f["reasons"]]
    assert examples
    assert set(examples) <= shown


def test_before_and_after_are_the_answers_of_those_two_policies_to_the_same_task(small: Path) -> None:
    found = facts(small)
    exam = found["exam"]
    assert exam["policies"] == [found["base"], found["final"]]
    assert len(exam["rows"]) == found["sealed"]["n"]
    changes = [r["change"] for r in exam["rows"]]
    assert changes.count("newly right") == found["sealed"]["newly_right"]
    assert changes.count("newly wrong") == found["sealed"]["newly_wrong"]
    ledger = Ledger.read(small / "ledger.db")
    try:
        for r in exam["rows"][:20]:
            for side, policy in (("before", found["base"]), ("after", found["final"])):
                (s,) = ledger.records(ids=[r[side]["solution"]])
                assert (s.task, s.policy, s.text) == (r["task"], policy, r[side]["text"])  # type: ignore[attr-defined]
    finally:
        ledger.close()


def test_no_sealed_or_gate_task_is_an_ancestor_and_the_page_would_say_if_one_were(small: Path, tmp_path: Path) -> None:
    import sqlite3

    assert "No gate or sealed task is among its ancestors." in Seen(report(facts(small))).words
    copy = tmp_path / "leaky"
    shutil.copytree(small, copy)
    db = sqlite3.connect(copy / "ledger.db")
    final = json.loads(db.execute("select value from about where key = 'result'").fetchone()[0])["final"]
    sealed = db.execute("select task from sets where name = 'sealed'").fetchone()[0]
    db.execute("insert into links select c.n, 1, p.n from records c, records p where c.id = ? and p.id = ?",
               (final, sealed))  # fmt: skip
    db.commit()
    db.close()
    assert "its scores there mean nothing" in Seen(report(facts(copy))).words


def test_a_run_without_a_verdict_is_reported_as_such(small: Path, tmp_path: Path) -> None:
    import sqlite3

    copy = tmp_path / "half"
    shutil.copytree(small, copy)
    db = sqlite3.connect(copy / "ledger.db")
    db.execute("delete from about where key = 'result'")
    db.execute("update sessions set status = 'running'")
    db.commit()
    db.close()
    found = facts(copy)
    assert found["status"] == "killed"
    words = Seen(report(found)).words
    assert "not over (killed)" in words
    assert "the newest gate" in words
    assert "instar resume half" in words


def test_the_revision_changes_with_the_ledger_and_not_without(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small, copy)
    first = revision(copy)
    assert revision(copy) == first
    ledger = Ledger(copy / "ledger.db")
    ledger.begin_session()
    ledger.close()
    assert revision(copy) != first


def test_the_command_writes_the_file_and_refuses_a_folder_that_is_not_there(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    done = instar("report", str(small), "-o", str(out), "--json", runs=small.parent)
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size
    assert out.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    refused = instar("report", str(small), "-o", str(tmp_path / "no" / "r.html"), runs=small.parent, check=False)
    assert refused.returncode == 2
    assert "there is no folder" in refused.stderr


def test_a_run_that_is_not_there_and_a_missing_library_are_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger"):
        write_report(tmp_path, tmp_path / "x.html")
    assert isinstance(not_installed("plotly"), ConfigError)
    assert "pip install 'instar[web]'" in str(not_installed("plotly"))


def test_every_template_escapes_and_every_asset_is_in_the_package() -> None:
    env = environment()
    assert env.autoescape is True
    assert "report.html.j2" in env.list_templates()
    assert all(asset(name) for name in ("page.css", "page.js", "theme.js", "plotly.min.js"))
    raw = [n for n in env.list_templates() if "| safe" in env.loader.get_source(env, n)[0]]  # type: ignore[union-attr]
    assert raw == ["report.html.j2"]  # style, scripts and data that script_json made: nothing else is taken as it is


def test_the_report_is_made_in_seconds(small: Path) -> None:
    began = time.monotonic()
    report(facts(small))
    assert time.monotonic() - began < 20
