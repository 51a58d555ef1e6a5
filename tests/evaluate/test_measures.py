from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instar.errors import DataError
from instar.evaluate import measures
from tests.evaluate.build import outcome

samples = st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=7)


def of(pairs):
    # an answer is right or wrong as a whole, as with a real checker; no answer is wrong
    right = {a for ok, a in pairs if ok and a is not None}
    return outcome("".join("1" if a in right else "0" for _, a in pairs), [a for _, a in pairs])


def test_the_first_sample_alone_decides_mean_at_1_and_all_of_them_mean_at_k():
    items = [outcome("1000"), outcome("0111")]
    assert measures.mean_at_1(items).tolist() == [1.0, 0.0]
    assert measures.mean_at_k(items).tolist() == [0.25, 0.75]


@given(samples, st.integers(1, 7))
def test_pass_at_k_is_the_share_of_all_subsets_with_a_right_sample(pairs, k):
    item = of(pairs)
    if k > len(pairs):
        with pytest.raises(DataError, match="fewer than k"):
            measures.pass_at_k([item], k)
        return
    right = [m.value == "right" for m in item.marks]
    brute = np.mean([any(s) for s in combinations(right, k)])
    assert measures.pass_at_k([item], k)[0] == pytest.approx(brute)


def test_pass_at_k_is_not_the_biased_estimate():
    assert measures.pass_at_k([outcome("1000")], 2)[0] == pytest.approx(0.5)  # 1 - (1 - 1/4)^2 would be 0.4375


@given(samples, st.integers(1, 7))
def test_maj_at_k_is_the_mean_credit_of_all_subsets_with_ties_split(pairs, k):
    item, k = of(pairs), min(k, len(pairs))
    credit = []
    for subset in combinations(zip(item.answers, item.marks, strict=True), k):
        voters = [s for s in subset if s[0] is not None]
        counts = {a: sum(v[0] == a for v in voters) for a, _ in voters}
        winners = [a for a in counts if counts[a] == max(counts.values())]
        right = {a for a, m in voters if m.value == "right"}
        credit.append(sum(w in right for w in winners) / len(winners) if winners else 0.0)
    assert len(credit) == comb(len(pairs), k)
    assert measures.maj_at_k([item], k)[0] == pytest.approx(np.mean(credit))


def test_samples_without_an_answer_never_win_the_vote():
    assert measures.maj_at_k([outcome("00001", [None, None, None, " ", "7"])], 5)[0] == 1.0
    assert measures.maj_at_k([outcome("000", [None, None, None])], 3)[0] == 0.0


def test_answers_that_mean_the_same_number_vote_together():
    assert measures.maj_at_k([outcome("11100", ["7", "7.0", " +07 ", "9", "9"])], 5)[0] == 1.0


def test_too_many_subsets_are_drawn_with_a_fixed_seed_and_come_close():
    item = outcome("1" * 8 + "0" * 12, ["7"] * 8 + ["a", "b", "c"] * 4)
    drawn = measures.maj_at_k([item], 10)
    assert comb(20, 10) > measures.EXACT_SUBSETS
    assert drawn[0] == measures.maj_at_k([item], 10)[0]
    # 8 right against 4 each of three wrong: by hypergeometric enumeration
    exact = _exact_majority([8, 4, 4, 4], 10)
    assert drawn[0] == pytest.approx(exact, abs=0.03)


def _exact_majority(sizes, k):
    total = 0.0
    for a in range(sizes[0] + 1):
        for b in range(sizes[1] + 1):
            for c in range(sizes[2] + 1):
                d = k - a - b - c
                if 0 <= d <= sizes[3] and a == max(a, b, c, d):
                    ways = comb(sizes[0], a) * comb(sizes[1], b) * comb(sizes[2], c) * comb(sizes[3], d)
                    total += ways / [a, b, c, d].count(a)
    return total / comb(sum(sizes), k)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, None),
        ("  ", None),
        ("+03", "3"),
        ("3.0", "3"),
        ("3.", "3"),
        ("-0.0", "0"),
        ("-1.50", "-1.5"),
        ("1/2", "1/2"),
        ("  The  CAT ", "the cat"),
        ("٣", "٣"),
        ("1,200", "1,200"),
    ],
)
def test_normalising_keeps_the_meaning(said, meant):
    assert measures.normalise(said) == meant


def test_a_number_of_a_million_digits_is_normalised_like_any_other():
    assert measures.normalise("0" + "9" * 1_000_000) == "9" * 1_000_000


@given(st.text())
@settings(max_examples=200)
def test_normalising_twice_changes_nothing(text):
    once = measures.normalise(text)
    assert measures.normalise(once) == once


def test_parse_rate_counts_samples_in_which_the_checker_found_an_answer():
    assert measures.parse_rate([outcome("1000", ["7", "8", None, ""])]).tolist() == [0.5]


def test_a_right_sample_was_understood_even_if_its_checker_names_no_answer():
    item = outcome("10", [None, None])
    assert measures.parse_rate([item]).tolist() == [0.5]
    assert not measures.votes_are_known([item])


def test_tokens_are_counted_per_sample():
    assert measures.mean_tokens([outcome("10", tokens=(4, 8))]).tolist() == [6.0]


def test_the_best_constant_is_the_most_common_gold_answer_per_ability_too():
    items = [
        outcome("0", task=f"t{i}", ability=a, gold=g)
        for i, (a, g) in enumerate([("gcd", "1"), ("gcd", "1.0"), ("gcd", "2"), ("sum", "9"), ("sum", None)])
    ]
    assert measures.best_constant(items) == ("1", 0.5)
    assert measures.best_constants(items) == {"gcd": ("1", pytest.approx(2 / 3)), "sum": ("9", 1.0)}
    assert measures.constant_hits(items).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_without_gold_answers_the_best_constant_is_not_known():
    assert measures.best_constant([outcome("1", gold=None)]) is None


@pytest.mark.parametrize("marks", ["1x", "?", ""])
def test_a_sample_that_was_never_scored_is_refused_and_not_counted_as_wrong(marks):
    with pytest.raises(DataError, match="right or wrong"):
        measures.mean_at_k([outcome(marks)])


def test_k_below_one_is_refused():
    with pytest.raises(DataError, match="at least 1"):
        measures.maj_at_k([outcome("1")], 0)
