"""Simulated diaries: what is asked was told, by that person, and holds; what is held out is in one set."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from instar.acquire.feedback.checkers import exact
from instar.acquire.tasks.diaries import Diaries
from instar.acquire.tasks.diary_world import ENGLISH, World
from instar.acquire.tasks.diary_world_zh import CHINESE
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import DataError
from instar.extract import extract

WANTED = {"train": 1005, "dev": 40, "gate": 100, "sealed": 194}


@pytest.mark.parametrize(("language", "world"), [("en", ENGLISH), ("zh", CHINESE)])
def test_every_probe_was_told_by_its_person_and_is_not_contradicted_later(
    language: Literal["en", "zh"], world: World
) -> None:
    sets = Diaries(language=language)(WANTED, {"sealed": 5})
    told = {(t.who, t.question): t.when for t in sets["train"]}
    assert prove_disjoint(sets) == WANTED
    for probe in (*sets["dev"], *sets["gate"], *sets["sealed"]):
        day = told[probe.who, probe.private["told"]]
        fact = next(f for f in world.facts if f.asked == probe.question)
        forms = {fact.told.format(v)[:-1] for v in fact.values}
        after = {q[:-1].removesuffix(world.now[2:]) for (who, q), d in told.items() if who == probe.who and d > day}
        assert not forms & after
        assert probe.private["answer"] in probe.private["told"]
        assert probe.when == 10


def test_the_days_are_in_order_all_are_asked_about_and_names_are_shared() -> None:
    sets = Diaries()(WANTED, {"sealed": 5})
    days = [t.when or 0.0 for t in sets["train"]]
    assert days == sorted(days)
    assert set(days) == set(range(10))
    assert {t.private["day"] for t in sets["sealed"]} == set(range(10))
    names = Counter((t.who or "").split()[0] for t in {t.who: t for t in sets["train"]}.values())
    assert names["Anna"] == 2


def test_the_same_world_is_the_same_and_another_seed_asks_other_facts() -> None:
    one, same, other = (Diaries()(WANTED, {"sealed": s}) for s in (5, 5, 6))
    assert one == same
    assert one["train"] == other["train"]
    assert one["sealed"] != other["sealed"]


@pytest.mark.parametrize("reply", ["My cat is called Miso.", "Answer: My cat is called Miso.", "Miso", "Answer: Rex"])
def test_who_repeats_the_note_or_names_no_value_is_not_right(reply: str) -> None:
    def right(text: str) -> bool:
        answer = extract(text, "answer_line", "Miso")
        return answer is not None and exact(answer, {"answer": "Miso"})

    assert right("Answer: Miso.")
    assert not right(reply)


def test_more_than_there_is_is_refused_with_the_number() -> None:
    with pytest.raises(DataError, match="1,005 entries and 390 facts"):
        Diaries()({"train": 1005, "gate": 200, "sealed": 194}, {})
    with pytest.raises(DataError, match="2,000"):
        Diaries()({"train": 2_000, "gate": 2, "sealed": 1}, {})
