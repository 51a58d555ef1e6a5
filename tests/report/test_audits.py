"""How judges and filters did on planted answers is on the report and the live page, in figures and plain words."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from instar.report.facts import facts
from instar.report.page import report
from instar.report.summary import summary
from instar.web.pages import create_app
from tests.recipes.scripted import run
from tests.report.poisoned import PAYLOADS
from tests.report.test_page import Seen
from tests.web.asking import ask

PAIRS = ('judge={op="pairwise"}', "judge_model=scripted:judge=1.0", "rounds=1", "engine_options.parse_failures=0.0")
INVERTED = ('judge={op="rubric", samples=1}', "judge_model=scripted:judge=0.0", "rounds=1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("audits") / "runs"
    run(made, "pairs", *PAIRS)
    assert run(made, "inverted", *INVERTED, check=False)["code"] == 11
    return made


def assessed(folder: Path, round: int) -> list[dict[str, Any]]:
    (rows,) = [r["assessments"] for r in summary(folder)["audit"] if r["round"] == round]
    assert rows
    return list(rows)


def shown(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f}%"


def test_every_filter_of_every_round_has_its_precision_and_recall_in_the_report(small: Path) -> None:
    text = report(facts(small))
    words = Seen(text).words
    for r in (1, 2):
        assert f'id="audit-{r}"' in text
        for a in assessed(small, r):
            n = a["numbers"]
            row = [shown(n[k]) for k in ("precision", "recall", "wrong_reason_accepted")]
            assert f"{a['verb']} {a['name']} yes {' '.join(row)} {n['n']:.0f}" in words
    assert "5 measured, all trusted" in words


def test_a_judges_agreement_kappa_and_swap_consistency_are_in_the_report_and_on_the_live_page(runs: Path) -> None:
    words = Seen(report(facts(runs / "pairs"))).words
    (n,) = [a["numbers"] for a in assessed(runs / "pairs", 1) if a["name"] == "pairwise"]
    assert (n["kappa"], n["swap_consistency"]) == (1.0, 1.0)
    length = "not known" if n["length_correlation"] is None else f"{n['length_correlation']:+.2f}"
    low, high = shown(n["agreement_low"]), shown(n["agreement_high"])
    row = f"pairwise 100.0% {low} to {high} +1.00 100.0% {length} 0.0%"
    assert "Kappa (0: chance, 1: always)" in words
    assert row in words
    app = create_app(runs)
    assert row in Seen(ask(app, "/runs/pairs").text).words
    assert row in Seen(ask(app, "/runs/pairs/state?seen=old").json()["main"]).words


def test_a_refused_judge_is_open_to_see_with_its_reason(runs: Path) -> None:
    text = report(facts(runs / "inverted"))
    words = Seen(text).words
    (rubric,) = assessed(runs / "inverted", 1)
    assert not rubric["trusted"]
    assert "1 of 1 not trusted" in words
    assert f"refused judge rubric: {rubric['reason']}." in words
    (details,) = [a for t, a in Seen(text).tags if t == "details" and a.get("id") == "audit-1"]
    assert "open" in details
    assert "not compared in pairs" in words  # a rubric sees no order: not zero


def test_figures_that_an_older_ledger_lacks_are_not_known_and_its_reasons_cannot_become_code(
    runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "ledger.db").write_bytes((runs / "inverted" / "ledger.db").read_bytes())
    db = sqlite3.connect(folder / "ledger.db")
    ((rowid, body),) = db.execute("select rowid, body from records where kind = 'assessment'").fetchall()
    changed = {**json.loads(body), "reason": PAYLOADS[0], "name": PAYLOADS[1], "numbers": {"n": 24.0}}
    db.execute("update records set body = ? where rowid = ?", (json.dumps(changed), rowid))
    db.commit()
    db.close()
    seen = Seen(report(facts(folder)))
    assert "no not known not known not known 24" in seen.words
    assert PAYLOADS[0] in seen.words
    assert "img" not in {t for t, _ in seen.tags}


def test_a_filter_that_is_not_trusted_is_said_to_have_been_used_all_the_same(small: Path) -> None:
    found = facts(small)
    row = next(a for a in found["audit"][0]["assessments"] if a["verb"] == "filter")
    row |= {"trusted": False, "reason": "it is inverted"}
    words = Seen(report(found)).words
    assert f"doubtful filter {row['name']}: it is inverted. The run went on with it" in words
    assert "None of what it said was used" not in words


def test_a_run_without_an_audit_has_no_table_of_it(small: Path) -> None:
    found = facts(small)
    assert "audit-" not in report({**found, "audit": []})
