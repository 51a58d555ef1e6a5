"""Near-copies are found, look-alikes of one template are not, and the size of a real pool is no trouble."""

import random
import resource
import time

import numpy as np
import pytest

from instar.errors import ConfigError
from instar.similarity import meanings, near_duplicates, same_meaning, shared_words

LONG = "A farmer has twelve sheep and buys seven more at the market on Monday; how many sheep does the farmer have now?"


def pool(n: int, seed: int = 0) -> list[str]:
    """Random questions of 12 to 25 words, of which every twentieth is a copy with one word changed."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 9))) for _ in range(3000)]
    texts = [" ".join(draw.choices(words, k=draw.randint(12, 25))) for _ in range(n - n // 20)]
    for _ in range(n // 20):
        parts = draw.choice(texts).split()
        parts[draw.randrange(len(parts))] = "changed"
        texts.append(" ".join(parts))
    return texts


def test_a_copy_with_a_word_changed_is_found_and_names_the_first() -> None:
    other = "Which of the planets is the largest one, and who discovered its four great moons?"
    changed = LONG.replace("Monday", "Friday")
    assert near_duplicates([LONG, other, changed, LONG.upper()]) == [None, None, ("texts", 0), ("texts", 0)]


def test_what_repeats_an_exam_is_told_from_what_repeats_its_like() -> None:
    assert near_duplicates([LONG + " Say it.", "Name a colour."], against=[LONG]) == [("against", 0), None]


def test_texts_of_one_template_are_not_copies_of_each_other() -> None:
    draw = random.Random(1)
    sums = dict.fromkeys(f"{draw.randrange(10000)} + {draw.randrange(10000)}" for _ in range(400))
    texts = [f"Solve the following arithmetic problem and give only the final number: {s} =" for s in sums]
    assert near_duplicates(texts, 0.7) == [None] * len(texts)
    assert near_duplicates([*texts, texts[7]], 0.7)[-1] == ("texts", 7)


def test_every_pair_above_the_threshold_is_found_and_none_below_it() -> None:
    texts = pool(400)
    found = near_duplicates(texts, 0.7, common=1.0)
    shingled = [{t[i : i + 5] for i in range(len(t) - 4)} for t in texts]
    kept: list[int] = []
    for place, (own, near) in enumerate(zip(shingled, found, strict=True)):
        like = [i for i in kept if len(own & shingled[i]) / len(own | shingled[i]) >= 0.7]
        assert bool(like) == (near is not None), texts[place]
        if near is None:
            kept.append(place)
    assert len(kept) < len(texts)


def test_a_run_of_words_is_found_and_a_template_s_is_not() -> None:
    assert shared_words([f"Before. {LONG} After."], ["x", LONG], 13)[0] is not None
    assert shared_words(["Nothing of it is shared with any of the others here at all, truly not."], [LONG], 13) == [
        None
    ]
    frame = "You are given a sum of two numbers and you must say what it comes to: {} plus {}"
    exam = [frame.format(i, i + 1) for i in range(200)]
    for held in (exam, exam[:20]):
        assert shared_words([frame.format(999, 998)], held, 13) == [None]
        assert shared_words([frame.format(7, 8)], held, 13) != [None]


def test_a_run_is_found_where_no_blanks_part_the_words() -> None:
    exam = "在河上的七座古桥之中，哪一座是在大火之前由城里的石匠建成的？"
    assert shared_words([f"请看：{exam}谢谢。", "河上的七座古桥都很有名，人人都知道。"], [exam], 13) == [
        " ".join("在河上的七座古桥之中哪一座是在大火之前由"), None,
    ]  # fmt: skip
    assert shared_words(["..."], ["?!"]) == [None]


def test_meaning_is_compared_where_words_differ() -> None:
    texts = ["The cat sat down on the mat.", "On the mat, the cat sat down.", "Interest rates rose sharply in March."]
    assert same_meaning(texts, 0.8) == [None, 0, None]
    rows = np.asarray(meanings(texts))
    assert rows.shape == (3, 384)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 1.1, -1.0])
def test_a_threshold_that_is_no_similarity_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        near_duplicates(["a"], threshold)


@pytest.mark.parametrize(
    "n", [pytest.param(20_000, marks=pytest.mark.slow), pytest.param(100_000, marks=pytest.mark.nightly)]
)
def test_100_000_tasks_are_compared_in_a_minute_and_two_gigabytes(n: int) -> None:
    texts, exams = pool(n), pool(1_000, seed=9)[:900]
    exams += [t + " ok" for t in texts[:100]]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()  # of one thread: the machine may be busy with other things
    near = near_duplicates(texts, 0.7, against=exams)
    runs = shared_words(texts, exams)
    seconds, gigabytes = (
        time.process_time() - began,
        (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20,
    )
    found = [n[0] for n in near if n]
    print(
        f"{len(found)} near-copies, {found.count('against')} of an exam, in {seconds:.1f} CPU s and {gigabytes:.2f} GiB"
    )
    assert found.count("against") >= 100
    assert sum(r is not None for r in runs) >= 90
    assert len(found) >= 0.049 * n
    assert seconds < 60 * n / 100_000
    assert gigabytes < 2 * n / 100_000
