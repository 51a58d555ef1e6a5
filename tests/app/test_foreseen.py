"""What can be foreseen of a run before a token is spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.evaluate.gates import PairedGate
from tests.recipes.scripted import instar

SCRIPTED = ("--set", "model=scripted", "--set", "sizes.sealed=30", "--set", "sizes.train=20")


def test_a_guard_is_blind_with_fewer_items_than_show_its_margin() -> None:
    gate = PairedGate()
    assert gate.blind_to({"sums": 50, "words": 5, "none": 0}) == {"words": 5, "none": 0}
    assert PairedGate(guard_margin=0.9).blind_to({"words": 5}) == {}
    assert PairedGate(guarded=()).blind_to({"words": 5}) == {}
    assert PairedGate(guarded=("sums",)).blind_to({"sums": 50, "words": 5}) == {}
    assert gate.blind_to({"sums": 17, "words": 18}) == {"sums": 17}
    twenty = {f"ability {i}": 18 for i in range(20)}
    assert gate.blind_to(twenty) == {}
    assert PairedGate(correction="bonferroni").blind_to(twenty) == twenty


@pytest.mark.parametrize(("gate", "warned"), [(8, True), (90, False)])
def test_a_run_that_cannot_promote_anything_is_told_so_before_it_starts(
    tmp_path: Path, gate: int, warned: bool
) -> None:
    done = instar("run", "rest_em", *SCRIPTED, "--set", f"sizes.gate={gate}", "--dry-run", runs=tmp_path / "runs")
    assert ("# warning: nothing can be promoted: 3 of 3 guarded abilities" in done.stdout) is warned
    assert ("gate.guarded=[]" in done.stdout) is warned


@pytest.mark.parametrize(("items", "says"), [(60, "# warning: the fixed test (paired_gate) decides"), (150, None)])
def test_a_sequential_gate_says_beforehand_what_it_fixes_or_that_its_items_are_too_few(
    tmp_path: Path, items: int, says: str | None
) -> None:
    sets = ("--set", "gate=sequential_gate", "--set", f"sizes.gate={items}")
    done = instar("run", "rest_em", *SCRIPTED, *sets, "--dry-run", runs=tmp_path / "runs")
    assert (f"at most {items} items a round in batches of 25" in done.stdout) is (says is None)
    if says:
        assert says in done.stdout
        assert "60 items a round show a gain of 20 points in " in done.stdout
        assert "set sizes.gate to 1" in done.stdout
