"""Episodes in another world than the one whose tasks they are: before a token is spent."""

from __future__ import annotations

import sys

import pytest

from tests.app.preflight.flying import Flight

GUESS = '{op="guess_number"}'


def sets(
    tasks: str, solve: str = GUESS, judge: str = GUESS, exam_solve: str = GUESS, exam_judge: str = GUESS
) -> list[str]:
    """The settings of a run in these worlds."""
    play = 'op="play", samples=1, turns=3, environment='
    return [
        f"tasks={tasks}", f"solve={{{play}{solve}}}", f'judge={{op="outcome", environment={judge}}}',
        f'exam={{solve={{{play}{exam_solve}}}, judge={{op="outcome", environment={exam_judge}}}}}',
        "control=false", "verifier_stress=off", "audit_with=none",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["solve", "judge", "exam_solve", "exam_judge"])
def test_who_plays_or_judges_in_another_world_is_named_with_both_worlds(fly: Flight, where: str) -> None:
    said = fly.refused("rest_em", *sets(GUESS, **{where: '{op="multi_hop"}'}), code=2)
    place = where.replace("_", ".")
    assert f"{place} is in multi_hop, and the " in said
    assert "tasks are of guess_number" in said
    assert f"Set {place}.environment to" in said


def test_two_games_of_one_library_are_two_worlds(fly: Flight) -> None:
    lake, taxi = (
        f'{{op="gymnasium", id="{id}", asks="Act.", python="{sys.executable}"}}' for id in ("FrozenLake-v1", "Taxi-v3")
    )
    said = fly.refused("rest_em", *sets(lake, lake, lake, taxi, lake), code=2)
    assert "exam.solve is in gymnasium (Taxi-v3), and the gate tasks are of gymnasium (FrozenLake-v1)." in said


def test_one_world_is_played_at_any_difficulty_and_in_other_words(fly: Flight) -> None:
    asked = '{op="prompted", inner={op="guess_number"}, template="Play. {question}"}'
    assert fly("rest_em", *sets(asked), more=["--dry-run"]).code == 0
    assert fly("rest_em", *sets('{op="guess_number", most=9}'), more=["--dry-run"]).code == 0
