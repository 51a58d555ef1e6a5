"""Which rows make up which step."""

from __future__ import annotations

import random

from instar.update.weights.layout.batches import plan, share
from instar.update.weights.layout.rows import Row

R = random.Random(0)
ROWS = [Row((i // 2, *[9] * R.randint(1, 40)), 1) for i in range(101)]


def test_every_row_comes_exactly_once_an_epoch_and_epochs_differ() -> None:
    steps = plan(ROWS, batch_size=8, epochs=2, seed=3)
    half = len(steps) // 2
    first, second = ([i for s in part for i in s] for part in (steps[:half], steps[half:]))
    assert sorted(first) == sorted(second) == list(range(101))
    assert first != second
    assert sorted(map(len, steps[:half])) == [5, *[8] * 12]


def test_the_plan_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert plan(ROWS, batch_size=8, epochs=2, seed=3) == plan(ROWS, batch_size=8, epochs=2, seed=3)
    assert plan(ROWS, batch_size=8, epochs=2, seed=3) != plan(ROWS, batch_size=8, epochs=2, seed=4)


def test_rows_of_like_length_meet_and_short_ones_do_not_all_come_first() -> None:
    steps = plan(ROWS, batch_size=8, epochs=1, seed=3)
    lengths = [[len(ROWS[i].ids) for i in s] for s in steps]
    padded = sum(len(s) * max(s) for s in lengths)
    unsorted = [[len(r.ids) for r in ROWS[i : i + 8]] for i in range(0, 101, 8)]
    assert padded < 0.85 * sum(len(s) * max(s) for s in unsorted)
    assert [max(s) for s in lengths] != sorted(max(s) for s in lengths)


def test_rows_of_one_prompt_meet_in_a_step() -> None:
    steps = plan(ROWS, batch_size=8, epochs=1, seed=3)
    where = {i: n for n, s in enumerate(steps) for i in s}
    together = sum(where[i] == where[i + 1] for i in range(0, 100, 2))
    assert together >= 50 - (len(steps) - 1)  # a cut between two steps parts one group at most


def test_the_turns_of_one_dialogue_meet_in_a_step_and_dialogues_stay_apart() -> None:
    def turns(n: int) -> list[Row]:
        said = [(7, n, 1, 2), (7, n, 1, 2, 3, 4), (7, n, 1, 2, 3, 4, 5, 6)]
        return [Row(ids, len(ids) - 1) for ids in said]

    apart = [row for turn in range(3) for n in range(20) for row in turns(n)[turn : turn + 1]]
    steps = plan(apart, batch_size=6, epochs=1, seed=1)
    assert sorted(i for s in steps for i in s) == list(range(60))
    assert all(len({apart[i].ids[1] for i in s}) == 2 for s in steps)


def test_a_prompt_that_goes_on_from_part_of_an_answer_alone_is_no_next_turn() -> None:
    pairs = [row for n in range(20) for row in (Row((n, 2, 3), 1), Row((n, 2, 3, 4), 2))]
    steps = plan(pairs, batch_size=2, epochs=1, seed=1)
    assert any(len({pairs[i].ids[0] for i in s}) == 2 for s in steps)


def test_a_micro_batch_holds_no_more_than_its_tokens_unless_one_item_alone_is_longer() -> None:
    parts = share([10, 10, 30, 5, 200, 5], 60)
    assert parts == [[0, 1], [2, 3], [4], [5]]
