"""Filters that keep a training set clean: near-copies, same meanings, other languages."""

import pytest

from instar.errors import ConfigError
from instar.refine.filters.language import Language
from instar.refine.filters.near_duplicates import NearDuplicates, SemanticDuplicates
from tests.refine.test_filters import item, kept

STEPS = "First we add twelve and seven, which makes nineteen. Then we take five away, which leaves fourteen. Answer: 14"


def test_an_answer_that_nearly_repeats_another_to_the_same_task_is_dropped():
    items = [item("a", STEPS), item("b", STEPS.replace("Then", "Now")), item("c", "Fourteen, by counting on fingers.")]
    assert kept(NearDuplicates(), items) == ["a", "c"]


def test_answers_to_other_tasks_are_compared_only_when_asked():
    items = [item("a", STEPS, task="one"), item("b", STEPS, task="two")]
    assert kept(NearDuplicates(), items) == ["a", "b"]
    assert kept(NearDuplicates(within="all"), items) == ["a"]


def test_the_same_meaning_in_other_words_is_dropped_and_another_is_not():
    items = [
        item("a", "The cat sat down on the mat."),
        item("b", "On the mat, the cat sat down."),
        item("c", "Interest rates rose sharply in March."),
    ]
    assert kept(SemanticDuplicates(threshold=0.8), items) == ["a", "c"]


def test_another_language_is_dropped_and_what_is_too_short_to_tell_is_kept():
    items = [
        item("a", "The answer follows when we add the first number to the second number."),
        item("b", "Die Antwort ergibt sich, wenn wir die erste Zahl zur zweiten Zahl addieren."),
        item("c", "12"),
    ]
    assert kept(Language(), items) == ["a", "c"]
    assert kept(Language(allowed=("en", "de")), items) == ["a", "b", "c"]


def test_what_is_no_language_code_is_refused():
    with pytest.raises(ConfigError, match="ISO 639-1"):
        Language(allowed=("English",))
