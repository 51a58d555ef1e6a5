"""Constitutional revision: a principle drawn for each round, critique before revision, only revisions learned."""

import asyncio

import pytest
from pydantic import ValidationError

from instar.refine.corrections.constitutional import HARMLESS, Constitutional, Principle
from tests.refine.talking import Scripted, draft, turns

KIND = Principle(critique="Critique your last answer: is it kind?", revision="Rewrite your answer to be kind.")


def test_critique_request_then_revision_request_for_each_drawn_principle():
    model = Scripted("It is curt.", "Dear friend, 7.", "It is long.", "Friend, 7.")
    (found,) = asyncio.run(Constitutional(principles=(KIND,), revisions=2)(draft(), {"self": model}))
    assert model.requests() == [KIND.critique, KIND.revision] * 2
    assert [m for m in model.shown[-1] if m[0] == "assistant"] == [
        ("assistant", "3 + 4 is 8. Answer: 8"), ("assistant", "It is curt."), ("assistant", "Dear friend, 7."),
        ("assistant", "It is long."),
    ]  # fmt: skip
    assert (found.text, found.flags) == ("Friend, 7.", ())
    assert [kind for kind, _, train in turns(found) if train] == ["assistant"]
    assert {s.temperature for s in model.sampled} == {1.0}


def test_all_revisions_can_be_kept_as_in_the_paper():
    model = Scripted("It is curt.", "Dear friend, 7.", "It is long.", "Friend, 7.")
    found = asyncio.run(Constitutional(principles=(KIND,), revisions=2, keep="all")(draft(), {"self": model}))
    assert [s.text for s in found] == ["Dear friend, 7.", "Friend, 7."]


def test_principles_are_drawn_by_item_and_seed_the_same_again_and_none_twice_before_all():
    op = Constitutional(revisions=len(HARMLESS) + 1)
    items = [draft(question=f"What is {i}?") for i in range(12)]
    drawn = [op.drawn(e) for e in items]
    assert drawn == [op.drawn(e) for e in items]
    assert all(set(d[: len(HARMLESS)]) == set(HARMLESS) for d in drawn)
    assert len({d[0].critique for d in drawn}) > 1
    assert [Constitutional(seed=1).drawn(e)[0] for e in items] != [d[0] for d in drawn]


def test_an_empty_revision_replaces_nothing_and_a_constitution_without_principles_is_refused():
    model = Scripted("Curt.", "")
    (found,) = asyncio.run(Constitutional(principles=(KIND,), revisions=1)(draft(), {"self": model}))
    assert (found.text, found.flags) == ("3 + 4 is 8. Answer: 8", ("unchanged",))
    with pytest.raises(ValidationError, match="principles"):
        Constitutional(principles=())
