import pytest

from instar.acquire.tasks.sets import check_wanted, prove_disjoint
from instar.errors import DataError
from instar.records import Message, Role, Task


def task(text: str) -> Task:
    return Task(messages=(Message(role=Role.user, content=text),), ability="a", canonical=text.casefold(), source="t")


def test_disjoint_sets_are_proven_with_their_sizes():
    assert prove_disjoint({"train": [task("a"), task("b")], "sealed": [task("c")]}) == {"train": 2, "sealed": 1}


def test_overlapping_sets_are_refused_with_both_names_the_count_and_an_example():
    with pytest.raises(DataError, match="train and gate sets overlap in 2 of 3 and 2 tasks, for example 'B'"):
        prove_disjoint({"train": [task("a"), task("B"), task("C")], "gate": [task("c"), task("b")]})


def test_an_empty_set_is_refused():
    with pytest.raises(DataError, match="dev set is empty"):
        prove_disjoint({"train": [task("a")], "dev": []})


def test_a_task_twice_in_one_set_is_refused():
    with pytest.raises(DataError, match=r"train set holds 1 task\(s\) more than once, for example 'A'"):
        prove_disjoint({"train": [task("a"), task("A")]})


def test_an_unknown_set_and_a_negative_size_are_refused():
    with pytest.raises(DataError, match="no set named 'test'"):
        check_wanted({"test": 3})
    with pytest.raises(DataError, match="-1"):
        check_wanted({"dev": -1})
