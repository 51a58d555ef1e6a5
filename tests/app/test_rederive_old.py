"""What was decided before the intervals of several samples an item changed still verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.app.configs.config import plan
from instar.app.review.rederive import verified
from instar.app.sessions import session
from instar.evaluate.intervals import whole_imaginary_items
from instar.run.progress import Screen

SAMPLED = {
    "recipe": "rest_em", "model": "scripted", "rounds": 1, "sizes": {"train": 12, "gate": 12, "sealed": 12},
    "exam": {"solve": {"op": "sample", "samples": 4, "sampling": {"temperature": 1.0}}, "samples": 4},
    "solve": {"samples": 4}, "gate": {"guarded": []}, "audit_with": "none",
}  # fmt: skip


@pytest.mark.parametrize("old", [True, False])
def test_a_run_whose_exams_took_several_samples_verifies_by_the_rule_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    folder = tmp_path / "runs" / "sampled"
    folder.mkdir(parents=True)
    if old:
        with whole_imaginary_items():
            session.execute(plan(SAMPLED), folder, Screen("silent"))
    else:
        session.execute(plan(SAMPLED), folder, Screen("silent"))
    found = verified(folder)
    assert found.wrong == []
    assert found.counts["verdicts"] == 1
    assert found.counts["results"] == 1
