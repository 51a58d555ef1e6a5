"""The law of what may be chosen: estimates of difficulty and selections serve dev and curricula. A gate's items and the
sealed ones stay random and paired; read from the source, and from what a run does."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.acquire.tasks.by_difficulty import ByDifficulty
from instar.app.configs.build import build_op
from instar.errors import ConfigError
from instar.protocols import Gate, Source
from tests.laws.source import PACKAGE, files, module_name
from tests.laws.test_imports import imported, planted

CHOOSES = ("instar.difficulty", "instar.acquire.tasks.ranked", "instar.acquire.tasks.by_", "instar.store.readers.tried")
EXAMINES = ("instar.evaluate", "instar.run.evaluating", "instar.run.sets", "instar.acquire.tasks.sets",
            "instar.app.sessions", "instar.app.review.examine")  # fmt: skip
"""What draws, hands out and counts the items of exams."""


def choosing_exams(package: Path = PACKAGE) -> list[str]:
    """One sentence for every module of the exams' that imports what chooses."""
    return [
        f"{module} imports {target}: items of gate and sealed are drawn at random, never chosen by what was done"
        for path in files(package)
        if (module := module_name(path, package)).startswith(EXAMINES)
        for _, target in imported(path, package)
        if target.startswith(CHOOSES)
    ]


def test_no_exam_is_made_of_items_that_were_chosen_by_what_policies_did() -> None:
    found = choosing_exams()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("where", ["evaluate/gates.py", "run/sets.py", "app/sessions/session.py"])
def test_a_planted_one_is_caught(tmp_path: Path, where: str) -> None:
    package = planted(tmp_path, where, "def f():\n    from instar.difficulty import fit")
    (package / "difficulty.py").touch()
    assert len(choosing_exams(package)) == 1


@pytest.mark.parametrize("slot", [Gate, Source])
def test_a_selection_can_stand_in_no_slot_that_draws_or_decides(slot: type[Gate | Source]) -> None:
    with pytest.raises(ConfigError, match="propose operator"):
        build_op(slot, ByDifficulty.name, where="op")
