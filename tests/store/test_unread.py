"""A record that is not read yet is the record, whatever is asked of it, and most are never read."""

from __future__ import annotations

import copy
import operator
import pickle
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from instar.errors import StoreError
from instar.records import Experience, Feedback, Finish, Mark, Record, Sampling, Solution, Task, Turn
from instar.store.unread import TOGETHER, unread

ANSWER = Solution(
    id="a", task="t", turns=(Turn(text="Answer: 5"),), policy="p", engine="e", precision="f32", sampling=Sampling(),
    finish=Finish.stop,
)  # fmt: skip
TASK = Task(id="t", messages=(), ability="sums", canonical="", source="")


class Shelf:
    """Records by id, and how often they were fetched."""

    def __init__(self, *records: Record) -> None:
        self.records, self.fetched = {r.id: r for r in records}, 0

    def __call__(self, ids: Sequence[str]) -> dict[str, Record]:
        self.fetched += 1
        return {i: self.records[i].model_copy() for i in ids}


def fresh() -> Any:
    (record,) = unread("solution", ["a"], Shelf(ANSWER))
    return record


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s == ANSWER,
        lambda s: operator.eq(ANSWER, s),
        lambda s: s == fresh(),
        lambda s: s.text == ANSWER.text,
        lambda s: s.digest == ANSWER.digest,
        lambda s: s.content() == ANSWER.content(),
        lambda s: s.model_dump() == ANSWER.model_dump(),
        lambda s: s.model_dump_json() == ANSWER.model_dump_json(),
        lambda s: s.model_copy(update={"id": "b"}) == ANSWER.model_copy(update={"id": "b"}),
        lambda s: repr(s) == repr(ANSWER) and str(s) == str(ANSWER),
        lambda s: dict(s) == dict(ANSWER.model_copy()),
        lambda s: pickle.loads(pickle.dumps(s)) == ANSWER,
        lambda s: copy.copy(s) == ANSWER and copy.deepcopy(fresh()) == ANSWER,
        lambda s: isinstance(s, Solution) and s.kind == "solution" and s.id == "a",
        lambda s: Experience(task=TASK, solution=s) == Experience(task=TASK, solution=ANSWER),
        lambda s: Experience(task=TASK, solution=s).model_dump() == Experience(task=TASK, solution=ANSWER).model_dump(),
        lambda s: Experience(task=TASK, solution=s).model_dump_json()
        == Experience(task=TASK, solution=ANSWER).model_dump_json(),
        lambda s: Experience(task=TASK, solution=s).model_copy(update={"feedback": None}).solution == ANSWER,
    ],
)  # fmt: skip
def test_an_unread_record_answers_as_the_record(ask: Callable[[Any], bool]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydantic warns where it writes what is not what it takes it for
        assert ask(fresh())


def test_after_the_first_look_it_is_a_plain_record() -> None:
    s = fresh()
    assert type(s) is not Solution
    assert s.task == "t"
    assert type(s) is Solution
    with pytest.raises(AttributeError):
        _ = s.nothing
    with pytest.raises(ValueError, match="frozen"):
        s.task = "other"


def test_ids_alone_fetch_nothing_and_neighbours_are_fetched_together() -> None:
    said = [Feedback(id=f"f{i}", solution=f"s{i}", score=1.0, mark=Mark.right, source="verifier") for i in range(450)]
    shelf = Shelf(*said)
    found = unread("feedback", [f.id for f in said], shelf)
    assert [f.id for f in found] == [f.id for f in said]
    assert [Experience(task=TASK, solution=ANSWER, feedback=f).id for f in found] == ["a"] * 450
    assert shelf.fetched == 0
    assert found[:TOGETHER] == said[:TOGETHER]
    assert shelf.fetched == 1
    assert found == said
    assert shelf.fetched == 3


def test_a_record_that_is_gone_is_an_error_at_every_look() -> None:
    def gone(ids: Sequence[str]) -> dict[str, Record]:
        raise StoreError("the ledger holds no record a.")

    (s,) = unread("solution", ["a"], gone)
    for _ in range(2):
        with pytest.raises(StoreError, match="no record a"):
            _ = s.text  # type: ignore[attr-defined]
