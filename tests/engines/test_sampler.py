from __future__ import annotations

from collections import Counter

import pytest
import torch

from instar.engines.scheduler.sampler import BROKEN, Draws, pick
from instar.records import Sampling

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -30.0])


def many(sampling: Sampling, n: int = 4000) -> Counter[int]:
    return Counter(pick(LOGITS.repeat(n, 1), [sampling] * n, [Draws(1, i) for i in range(n)]))


def test_words_are_drawn_as_often_as_their_chances_say() -> None:
    for temperature in (0.5, 1.0, 2.0):
        drawn, chances = many(Sampling(temperature=temperature)), (LOGITS / temperature).softmax(-1)
        for word in range(5):
            # four standard deviations of a share of 4,000 draws
            assert drawn[word] / 4000 == pytest.approx(float(chances[word]), abs=4 * (0.25 / 4000) ** 0.5)


def test_top_k_and_top_p_leave_only_the_likeliest_words() -> None:
    assert set(many(Sampling(top_k=2))) == {0, 1}
    assert set(many(Sampling(top_p=0.6))) == {0}  # the first word alone has 0.64
    assert set(many(Sampling(top_p=0.7))) == {0, 1}
    assert set(many(Sampling(top_k=2, top_p=0.7))) == {0}  # 0.73 of what top-k left
    assert set(many(Sampling(top_k=50))) >= {0, 1, 2, 3}


def test_a_word_without_any_chance_is_never_drawn_even_by_the_largest_number() -> None:
    class Largest(Draws):
        def next(self) -> float:
            return 1 - 2**-53

    logits = torch.tensor([[0.0, 1.0, float("-inf"), float("-inf")]])
    assert pick(logits, [Sampling()], [Largest(1, 0)]) == [1]
    assert pick(LOGITS[None], [Sampling(top_p=0.7)], [Largest(1, 0)]) == [1]
    assert pick(LOGITS[None], [Sampling(temperature=1e-9)], [Largest(1, 0)]) == [0]


def test_rows_of_different_sampling_in_one_batch_get_what_they_would_get_alone() -> None:
    samplings = [Sampling(temperature=t, top_k=k) for t in (0.0, 0.7, 1.0) for k in (None, 2)] * 5
    logits = torch.randn(len(samplings), 50, generator=torch.Generator().manual_seed(0))
    together = pick(logits, samplings, [Draws(7, i) for i in range(len(samplings))])
    alone = [pick(logits[i : i + 1], [s], [Draws(7, i)])[0] for i, s in enumerate(samplings)]
    assert together == alone
    assert together[0] == int(logits[0].argmax())


def test_draws_depend_on_seed_and_place_alone() -> None:
    def numbers(seed: int, index: int) -> list[float]:
        draws = Draws(seed, index)
        return [draws.next() for _ in range(100)]

    assert numbers(1, 0) == numbers(1, 0)
    assert len({tuple(numbers(s, i)) for s in range(5) for i in range(5)}) == 25
    assert all(0 <= x < 1 for x in numbers(2**70, 3))


def test_logits_that_are_not_numbers_are_named_and_leave_the_other_rows_alone() -> None:
    logits = torch.stack([LOGITS, torch.full((5,), float("nan")), torch.tensor([0, 0, float("inf"), 0, 0])])
    for sampling in (Sampling(temperature=0.0), Sampling(temperature=1.0, top_k=1)):
        assert pick(logits, [sampling] * 3, [Draws(1, i) for i in range(3)]) == [0, BROKEN, BROKEN]
