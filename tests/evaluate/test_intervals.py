from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instar.errors import DataError
from instar.evaluate import intervals

shares = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40)


def test_wilson_agrees_with_published_values():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20, method 3
    some, none = intervals.wilson(81, 263), intervals.wilson(0, 20)
    assert (round(some.low, 4), round(some.high, 4)) == (0.2553, 0.3662)
    assert (none.value, none.low, round(none.high, 4)) == (0.0, 0.0, 0.1611)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_point_inside_0_to_1(counts):
    got = intervals.wilson(*counts)
    assert 0 <= got.low <= got.value <= got.high <= 1
    assert got.low < got.high


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_a_proportion_that_is_none_is_refused(successes, n):
    with pytest.raises(DataError):
        intervals.wilson(successes, n)


@given(shares)
@settings(max_examples=30, deadline=None)
def test_an_interval_holds_its_point_and_is_the_same_again(values):
    got = intervals.interval_of(values)
    assert got.low <= got.value <= got.high
    assert got.value == pytest.approx(np.mean(values))
    assert got == intervals.interval_of(values)
    assert got.low < got.high  # few or equal items are no certainty


def test_shares_of_0_and_1_get_wilson_and_others_a_bootstrap():
    assert intervals.interval_of([1, 0, 1, 1]) == intervals.wilson(3, 4)
    mixed = [0.5, 0.0, 1.0, 0.25] * 10
    assert intervals.interval_of(mixed) == intervals.bootstrap_mean(mixed)


def test_lengths_are_bootstrapped_even_when_they_are_all_one():
    got = intervals.interval_of([1.0, 1.0], share=False)
    assert (got.low, got.high) == (1.0, 1.0)


@pytest.mark.parametrize("values", [[], [float("nan"), 1.0], [float("inf")], [[1.0]]])
def test_values_without_an_interval_are_refused(values):
    for make in (intervals.bootstrap_mean, intervals.interval_of, lambda v: intervals.paired_bootstrap(v, v)):
        with pytest.raises(DataError):
            make(values)


def test_a_bootstrap_in_blocks_covers_every_resample(monkeypatch):
    rng = np.random.default_rng(5)
    values = rng.random(200)
    whole = intervals.bootstrap_mean(values)
    monkeypatch.setattr(intervals, "_CELLS", 1_000)
    assert intervals.bootstrap_mean(values) == whole


def test_the_bootstrap_agrees_with_the_normal_interval_where_that_is_exact():
    values = np.random.default_rng(7).normal(3.0, 2.0, size=1_000)
    got = intervals.bootstrap_mean(values)
    half = 1.96 * values.std() / np.sqrt(1_000)
    assert got.low == pytest.approx(values.mean() - half, abs=0.01)
    assert got.high == pytest.approx(values.mean() + half, abs=0.01)


def test_pairing_is_what_makes_the_difference_narrow():
    before = np.tile([0.0, 1.0], 100)
    after = before.copy()
    after[[0, 2, 4]] = 1.0
    paired = intervals.paired_bootstrap(before, after)
    shuffled = intervals.paired_bootstrap(before, np.roll(after, 1))
    assert paired.value == pytest.approx(shuffled.value) == pytest.approx(0.015)
    assert paired.high - paired.low < (shuffled.high - shuffled.low) / 3


def test_three_items_that_all_rose_are_not_proof_and_three_that_stayed_no_safety():
    assert intervals.paired_bootstrap([0, 0, 0], [1, 1, 1]).low < 0
    assert intervals.paired_bootstrap([0, 1, 0], [0, 1, 0]).low < -0.15


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.data())
@settings(max_examples=40, deadline=None)
def test_a_paired_interval_holds_its_point_and_rises_with_every_item(pairs, data):
    before = [float(a) for a, _ in pairs]
    after = [float(b) for _, b in pairs]
    better = list(after)
    better[data.draw(st.integers(0, len(after) - 1))] = 1.0
    one, two = intervals.paired_bootstrap(before, after), intervals.paired_bootstrap(before, better)
    assert one.low <= one.value <= one.high
    assert two.low >= one.low - 1e-12
    assert two.high >= one.high - 1e-12


@pytest.mark.parametrize(("rise", "fall", "n"), [(0.05, 0.02, 40), (0.25, 0.05, 64)])
def test_the_paired_interval_covers_the_truth_about_95_times_in_100(monkeypatch, rise, fall, n):
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(200):
        moved = rng.choice([1.0, -1.0, 0.0], p=[rise, fall, 1 - rise - fall], size=n)
        got = intervals.paired_bootstrap((moved < 0).astype(float), (moved > 0).astype(float))
        covered += got.low <= rise - fall <= got.high
    assert covered >= 182  # 91 %: three standard errors below 95 %


def _gates(monkeypatch, n, k, gain, exams=300):
    """Share of exams whose lower bound is above 0: as it is, and with whole imaginary items."""
    monkeypatch.setattr(intervals, "RESAMPLES", 1000)
    rng = np.random.default_rng(3)
    found = {"scaled": 0, "whole": 0}
    for _ in range(exams):
        p = rng.beta(0.6, 1.4, n)
        before, after = rng.binomial(k, p) / k, rng.binomial(k, np.clip(p + gain, 0, 1)) / k
        found["scaled"] += intervals.paired_bootstrap(before, after).low > 0
        with intervals.whole_imaginary_items():
            found["whole"] += intervals.paired_bootstrap(before, after).low > 0
    return {kind: passes / exams for kind, passes in found.items()}


def test_many_samples_of_few_items_show_a_gain_that_whole_imaginary_items_hid(monkeypatch):
    passes = _gates(monkeypatch, n=40, k=8, gain=0.05)
    assert passes["scaled"] > 0.23
    assert passes["whole"] < 0.12


@pytest.mark.parametrize("k", [2, 8, 32])
def test_a_policy_that_is_no_better_passes_at_most_one_time_in_forty(monkeypatch, k):
    # 300 exams: 2.5 % and three standard errors
    assert _gates(monkeypatch, n=40, k=k, gain=0.0)["scaled"] <= 0.052


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=20, deadline=None)
def test_with_one_sample_an_item_the_interval_is_what_it_always_was(pairs):
    before, after = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    now = intervals.paired_bootstrap(before, after)
    with intervals.whole_imaginary_items():
        assert intervals.paired_bootstrap(before, after) == now


def test_samples_that_are_all_alike_in_an_item_count_as_one_and_no_change_is_no_safety():
    alike = np.array([0.0, 1.0, 0.0, -1.0])
    assert intervals.imaginary_size(alike) == 1.0
    assert intervals.imaginary_size(np.zeros(9)) == 1.0
    assert intervals.imaginary_size(np.full(40, 0.125)) < 0.35
    assert intervals.paired_bootstrap([0.5] * 3, [0.5] * 3).low < -0.15


def test_more_confidence_is_a_wider_interval():
    before, after = [0.0] * 30, [1.0] * 8 + [0.0] * 22
    loose, tight = (intervals.paired_bootstrap(before, after, c) for c in (0.9, 0.99))
    assert tight.low < loose.low
    assert tight.high > loose.high
    with pytest.raises(DataError, match="confidence"):
        intervals.paired_bootstrap(before, after, 95)


def test_unequal_lengths_and_scores_outside_0_to_1_cannot_be_paired():
    with pytest.raises(DataError, match="cannot be paired"):
        intervals.paired_bootstrap([0, 1], [1])
    with pytest.raises(DataError, match="between 0 and 1"):
        intervals.paired_bootstrap([0, 1], [1, 2])


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_two_sided_binomial_test(rose, fell):
    n, k = rose + fell, min(rose, fell)
    brute = min(1.0, 2 * sum(comb(n, i) * 0.5**n for i in range(k + 1)))
    assert intervals.mcnemar_p(rose, fell) == pytest.approx(brute)
    assert intervals.mcnemar_p(rose, fell) == intervals.mcnemar_p(fell, rose)


def test_mcnemar_at_known_values_and_at_thousands_of_items():
    assert intervals.mcnemar_p(3, 0) == 0.25
    assert intervals.mcnemar_p(0, 0) == 1.0
    assert 0 < intervals.mcnemar_p(2_100, 1_900) < 0.01
    with pytest.raises(DataError):
        intervals.mcnemar_p(-1, 2)


def test_the_smallest_detectable_change_is_the_one_in_methods_5_2():
    assert intervals.smallest_detectable(1_960, 0.10) == pytest.approx(0.02, abs=1e-4)
    assert intervals.smallest_detectable(200, 0.10) == pytest.approx(0.0626, abs=1e-4)


def test_items_that_did_not_change_do_not_make_every_change_visible():
    assert intervals.smallest_detectable(64, 0.0) == pytest.approx(7.85 / 64, abs=1e-3)
    assert intervals.smallest_detectable(3, 0.0) == 1.0
    with pytest.raises(DataError):
        intervals.smallest_detectable(0, 0.1)
