"""A figure that was edited is noticed, with its digest made right too: it does not follow from what lies under it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.app.review.rederive import Verified, _result, difference, verified
from instar.app.sessions.ending import named
from instar.app.sessions.headline import result_digest
from instar.app.weights.policies import reading
from instar.records import KINDS, Record, Report, Result
from instar.report.why import why
from tests.recipes.scripted import run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a control and a dev set."""
    runs = tmp_path_factory.mktemp("rederive") / "runs"
    run(runs, "one", "rounds=1", "sizes.train=20", "sizes.gate=40", "sizes.sealed=40", "sizes.dev=8", "control=true")
    return runs / "one"


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose headline has a procedure in it."""
    runs = tmp_path_factory.mktemp("rederive") / "runs"
    run(runs, "two", "rounds=1", "sizes.train=12", "sizes.gate=20", "sizes.sealed=20", recipe="self_refine")
    return runs / "two"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def change(folder: Path, edit: Callable[[sqlite3.Connection], None]) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.db")) as db, db:
        edit(db)
    return verified(folder).wrong


def change_result(folder: Path, at: str, value: Any, *, cover: bool) -> list[str]:
    """Change one figure of the result; what the derivation of the result alone says, for it is quick."""
    with closing(sqlite3.connect(folder / "ledger.db")) as db, db:
        edit_result(at, value, cover=cover)(db)
    with reading(folder) as ledger:
        return list(_result(ledger, Verified([])))


def edit_result(at: str, value: Any, *, cover: bool) -> Callable[[sqlite3.Connection], None]:
    """Set one figure of the result, given as a path of keys; ``cover``: and make the digest over it right."""

    def edit(db: sqlite3.Connection) -> None:
        result = json.loads(db.execute("select value from about where key = 'result'").fetchone()[0])
        *parents, last = at.split("/")
        inside = result
        for p in parents:
            inside = inside[p]
        assert last in inside
        inside[last] = value(inside[last]) if callable(value) else value
        db.execute("update about set value = ? where key = 'result'", (json.dumps(result),))
        if cover:
            about = dict(db.execute("select key, value from about"))
            db.execute("update about set value = ? where key = 'result_digest'", (result_digest(about),))

    return edit


def test_a_finished_run_is_derived_again_whole(finished: Path, corrected: Path) -> None:
    found = verified(finished)
    assert found.wrong == []
    assert (found.counts["results"], found.digest) == (1, "derived and digest")
    assert found.counts["reports"] >= 5  # gate twice, dev, base, final or control
    assert found.counts["verdicts"] == 1
    assert verified(corrected).wrong == []


FIGURES = [
    "sealed/gain", "sealed/low", "sealed/high", "sealed/base", "sealed/final", "sealed/n", "sealed/p",
    "sealed/best_constant", "sealed/parse_final", "sealed/newly_right", "sealed/abilities/products/gain",
    "sealed/abilities/chain_sum/low", "sealed/controls/unverified/score", "sealed/controls/unverified/high",
    "evolution_seconds",
]  # fmt: skip


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_of_the_headline_is_covered(copied: Path, figure: str, cover: bool) -> None:
    wrong = change_result(copied, figure, lambda was: was + 0.1, cover=cover)
    assert any("result" in w for w in wrong)


@pytest.mark.parametrize("digit", range(12))
def test_any_last_digit_of_the_gain_is_noticed(copied: Path, digit: int) -> None:
    def one_more(was: float) -> float:
        text = repr(was)
        at = len(text) - 1 - digit % max(1, len(text.partition(".")[2]) - 1)
        return float(f"{text[:at]}{(int(text[at]) + 5) % 10}{text[at + 1 :]}")

    assert change_result(copied, "sealed/gain", one_more, cover=False) != []


@pytest.mark.parametrize("figure", ["procedure/score", "gain/value", "k", "best_of_k/high", "plain/tokens"])
def test_the_figures_of_a_procedure_are_derived_again(corrected: Path, tmp_path: Path, figure: str) -> None:
    folder = Path(shutil.copytree(corrected, tmp_path / "copy"))
    wrong = change_result(folder, f"sealed/procedures/self_refine/{figure}", lambda was: was + 1, cover=True)
    assert len(wrong) == 1
    assert f"procedures.self_refine.{figure.replace('/', '.')}" in wrong[0]


def test_a_run_older_than_the_digest_is_derived_and_says_so(copied: Path) -> None:
    assert change(copied, lambda db: _run(db, "delete from about where key = 'result_digest'")) == []
    assert verified(copied).digest == "derived"
    assert change(copied, edit_result("sealed/low", 0.5, cover=False)) != []


@pytest.mark.parametrize("role", ["base", "final"])
def test_the_result_cannot_name_another_policy(copied: Path, role: str) -> None:
    def edit(db: sqlite3.Connection) -> None:
        result = json.loads(db.execute("select value from about where key = 'result'").fetchone()[0])
        edit_result(role, result["controls"]["unverified"], cover=True)(db)

    assert any("result says" in w for w in change(copied, edit))


def _results(folder: Path) -> list[Result]:
    with reading(folder) as ledger:
        return [r for r in ledger.records("result") if isinstance(r, Result)]


def test_a_finished_run_ends_with_one_result_that_names_its_last_reports(finished: Path, corrected: Path) -> None:
    (result,), (other,) = _results(finished), _results(corrected)
    assert set(result.policies) == {"base", "final", "control: unverified"}
    assert [set(result.base), set(result.final), set(result.controls["unverified"])] == [{"sealed"}] * 3
    assert set(other.procedures["self_refine"]) == {"sealed, self_refine", "sealed, as many tokens as self_refine"}
    with reading(finished) as ledger:
        (report,) = ledger.records(ids=[result.final["sealed"]])
        assert isinstance(report, Report)
        assert (report.policy, report.exam.suite) == (result.policies["final"], "sealed")
        assert result.tokens == ledger.asked()["tokens"] > 0
        assert result.seconds == json.loads(ledger.about()["result"])["evolution_seconds"]
        assert set(ledger.parents([result.id])[result.id]) == set(named(result))
    assert f"ended with: policy {result.policies['final']}" in why(finished, result.id)["sentences"][0]


def _other_policy(said: dict[str, Any]) -> None:
    said["policies"]["final"] = said["policies"]["control: unverified"]


def _other_report(said: dict[str, Any]) -> None:
    said["controls"]["unverified"]["sealed"] = said["base"]["sealed"]


def _tokens(said: dict[str, Any]) -> None:
    said["tokens"] += 1


def _seconds(said: dict[str, Any]) -> None:
    said["seconds"] += 1


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_other_policy, "policies.final is"), (_other_report, "names no report on sealed of"), (_tokens, "tokens is"),
        (_seconds, "seconds is"),
    ],
)  # fmt: skip
def test_a_result_whose_digest_was_made_right_must_follow_too(
    copied: Path, edit: Callable[[dict[str, Any]], None], says: str
) -> None:
    wrong = change(copied, edit_record("result", edit))
    assert any(w.startswith("the result ") and says in w for w in wrong), wrong


def test_a_result_that_is_gone_or_that_nothing_names_is_found(copied: Path, tmp_path: Path) -> None:
    def gone(db: sqlite3.Connection) -> None:
        db.execute("delete from links where child in (select n from records where kind = 'result')")
        db.execute("delete from records where kind = 'result'")

    def unnamed(db: sqlite3.Connection) -> None:
        db.execute("delete from about where key = 'result_record'")
        about = dict(db.execute("select key, value from about"))
        db.execute("update about set value = ? where key = 'result_digest'", (result_digest(about),))

    other = Path(shutil.copytree(copied, tmp_path / "other"))
    assert any("which is not there" in w for w in change(copied, gone))
    assert any("is not what the run ended with" in w for w in change(other, unnamed))


def edit_record(kind: str, change: Callable[[dict[str, Any]], None]) -> Callable[[sqlite3.Connection], None]:
    """Change the first record of a kind and make its digest right, as one would who knows how."""

    def edit(db: sqlite3.Connection) -> None:
        id, body = db.execute("select id, body from records where kind = ? order by rowid desc", (kind,)).fetchone()
        said = json.loads(body)
        change(said)
        record: Record = KINDS[kind].model_validate(said)
        db.execute(
            "update records set body = ?, digest = ? where id = ?", (record.model_dump_json(), record.digest, id)
        )

    return edit


def _metric(said: dict[str, Any]) -> None:
    said["metrics"]["mean@1"]["value"] = 0.99


def _mark(said: dict[str, Any]) -> None:
    said["outcomes"][0]["marks"] = ["wrong" if said["outcomes"][0]["marks"][0] == "right" else "right"]


def _feedback(said: dict[str, Any]) -> None:
    said["mark"] = "wrong" if said["mark"] == "right" else "right"


def _promoted(said: dict[str, Any]) -> None:
    said["promoted"] = not said["promoted"]


def _bound(said: dict[str, Any]) -> None:
    said["checks"][1]["numbers"]["low"] = 0.77


@pytest.mark.parametrize(
    ("kind", "edit", "says"),
    [
        ("report", _metric, "does not follow from its feedback: metrics.mean@1.value"),
        ("report", _mark, "does not follow from its feedback: outcomes.0.marks.0"),
        ("feedback", _feedback, "does not follow from its feedback"),
        ("verdict", _promoted, "does not follow from its reports: promoted"),
        ("verdict", _bound, "does not follow from its reports: checks.1.numbers.low"),
    ],
)
def test_a_record_whose_digest_was_made_right_must_follow_too(
    copied: Path, kind: str, edit: Callable[[dict[str, Any]], None], says: str
) -> None:
    assert any(says in w for w in change(copied, edit_record(kind, edit)))


def _run(db: sqlite3.Connection, sql: str) -> None:
    db.execute(sql)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("update about set value = replace(value, '\"rounds\": 1', '\"rounds\": 7') where key = 'resolved'", "config"),
        ("update about set value = '99' where key = 'seed'", "seed"),
        ("update about set value = 'star' where key = 'recipe'", "recipe"),
        ("update ops set fields = replace(fields, '0.95', '0.55') where name = 'paired_gate'", "paired_gate"),
        ("update calls set item = 'i1:0' where rowid = 3", "another key by its item"),
        ("update steps set round = 9 where verb = 'solve'", "another step"),
        ("update steps set verb = 'judge' where verb = 'solve'", "another key"),
        ("delete from steps where verb = 'judge'", "is not there"),
        ("update calls set outputs = '[]' where rowid = 5", "does not say it made them"),
        ("update calls set status = 'perhaps' where rowid = 5", "no state of a call"),
        ("update journal set tokens = tokens + 1 where rowid = 2", "tokens of the ask"),
        ("update journal set replies = replace(replies, 'Answer', 'answer') where rowid = 2", "its digest"),
        ("update journal set engine = 'other' where rowid = 2", "its digest"),
        ("update sets set task = (select task from sets where name = 'gate') where name = 'sealed' and position = 0",
         "two sets"),
        ("update sets set name = 'dev', position = 99 where name = 'gate' and position = 0", "the sets are not those"),
        ("update about set value = '{' where key = 'stress'", "'stress' cannot be read"),
        ("update sessions set ended = 'later'", "what its columns do not take"),
        ("update spans set seconds = 9e999", "what its columns do not take"),
        ("update records set round = 'two' where rowid = 9", "what its columns do not take"),
        ("drop table links", "the table links is not there"),
        ("drop view edges", "the view edges is not there"),
        ("insert into links values (9999999, 1, 1)", "an edge ends at 9999999"),
        ("update links set type = 7 where type = 2", "unknown type 7"),
        ("alter table journal rename column tokens to words", "lacks the columns tokens"),
    ],
)  # fmt: skip
def test_what_was_changed_behind_its_back_is_named(copied: Path, sql: str, says: str) -> None:
    wrong = change(copied, lambda db: _run(db, sql))
    assert any(says in w for w in wrong), wrong


def test_a_hole_in_the_lineage_law_is_found_in_one_walk(copied: Path) -> None:
    def edit(db: sqlite3.Connection) -> None:
        (task,) = db.execute("select task from sets where name = 'sealed'").fetchone()
        (answer,) = db.execute("select e.parent from edges e join records p on p.id = e.child and p.kind = 'policy'"
                               " join records s on s.id = e.parent and s.kind = 'solution'").fetchone()  # fmt: skip
        db.execute("insert into links select c.n, 1, p.n from records c, records p where c.id = ? and p.id = ?",
                   (answer, task))  # fmt: skip

    assert any("descends from 1 held-out tasks" in w for w in change(copied, edit))


def test_differences_are_named_by_their_place_and_rounding_is_none() -> None:
    assert difference({"a": [1.0, {"b": 0.1 + 0.2}]}, {"a": [1, {"b": 0.3}]}) is None
    assert difference({"a": [1.0, {"b": 0.31}]}, {"a": [1, {"b": 0.3}]}) == "a.1.b is 0.31, and 0.3 is derived"
    assert difference({"a": None}, {"a": 0.0}) == "a is None, and 0.0 is derived"
    assert difference({"a": [1]}, {"a": [1, 2]}) == "a is [1], and [1, 2] is derived"
    assert difference({"a": 1, "b": 2}, {"a": 1}) == "b is not derived"
    assert difference(1.0, True) is not None
