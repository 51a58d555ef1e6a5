"""The scripted model reads what it is shown, and cites, now and then the wrong text."""

from __future__ import annotations

from instar.acquire.documents.showing import numbered, one
from instar.engines.scripted_reading import CITES, from_passage

MILLS = ("The mill at Sane was built in 1640.", "The mill at Orlo was built in 1702.")


def test_it_fills_a_gap_from_the_passage_and_says_the_last_sentence_else() -> None:
    asked = one(f"{MILLS[0]} {MILLS[1]}", "Fill the gap (from: Mills): The mill at Sane was built in ____.")
    assert from_passage(asked, 0.0) == "Answer: 1640"
    assert from_passage(one(f"{MILLS[0]} {MILLS[1]}", "Who was it?"), 0.0) == MILLS[1]


def test_it_cites_the_text_that_it_read_or_another_and_none_where_there_is_no_number() -> None:
    asked = numbered(MILLS, "Fill the gap: The mill at Orlo was built in ____.")
    assert from_passage(asked, CITES - 0.1) == "Answer: 1702 [2]"
    assert from_passage(asked, CITES + 0.1) == "Answer: 1702 [1]"


def test_without_a_passage_it_reads_nothing() -> None:
    assert from_passage("What is 2 + 2?", 0.0) is None
    assert from_passage("<<<passage ab>>>\nunclosed", 0.0) is None
