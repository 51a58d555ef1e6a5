"""Anybody's words made fit to be kept and shown: clean ones stay the same object, all others are written out."""

from __future__ import annotations

import json
import math
import subprocess
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instar.legible import DEEPEST, fit, kept, normal, python_command, shown, storable, unheaped, unwritten, why_not
from instar.records import Feedback, Mark

ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@given(ANY_TEXT)
def test_any_text_can_be_stored_and_a_clean_one_is_the_same_object(text: str) -> None:
    made = storable(text)
    made.encode()
    assert storable(made) is made
    assert not any("\ud800" <= c <= "\udfff" for c in made)
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert made is text


def test_half_an_emoji_is_written_out_and_can_be_told_from_the_rest() -> None:
    assert storable("a\ud83db\U0001f600") == "a\\ud83db\U0001f600"
    assert unwritten("a\\ud83db \\u0041") == "a\ud83db \\u0041"


@given(st.text(st.characters(exclude_categories=[]), max_size=40), st.booleans())
def test_no_control_character_reaches_a_terminal(text: str, lines: bool) -> None:
    told = shown(text, lines=lines)
    allowed = "\n\t" if lines else ""
    assert not any(c not in allowed and (ord(c) < 32 or 127 <= ord(c) < 160) for c in told)
    assert not set(told) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u2028\u2029")
    told.encode()


def test_letters_of_every_script_wide_spaces_and_joined_emojis_are_shown_as_they_are() -> None:
    for text in (
        "plain",
        "\u95ee\u9898\u3000\u7b54\u6848",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "10\u00a0000",
    ):
        assert shown(text) == text
    assert shown("\x1b[2J\x9b31m\u202egnp") == "\\x1b[2J\\x9b31m\\u202egnp"


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_any_value_becomes_plain_data_that_json_gives_back() -> None:
    itself: list[Any] = []
    itself.append(itself)
    odd = {
        "half": "\ud83d", "\ud83d": 1, "not a number": math.nan, "endless": -math.inf, "digits": 10**6000,
        "bytes": b"\xff", "text": b"ok", "set": {1}, "object": object(), "deep": nested(5_000), "itself": itself,
        7: "key", "mark": Mark.right, "record": Feedback(solution="s", score=1, mark=Mark.right, source="judge"),
    }  # fmt: skip
    made = kept(odd)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["half"] == "\\ud83d"
    assert made["not a number"] == "nan"
    assert made["digits"] == f"a whole number of {(10**6000).bit_length():,} bits"
    assert made["text"] == "ok"
    assert made["bytes"]["bytes"] == 1
    assert made["7"] == "key"
    assert made["mark"] == "right"


def test_a_record_that_is_fit_is_the_same_object_and_its_digest_is_what_it_was() -> None:
    clean = Feedback(
        solution="s", score=0.5, mark=Mark.wrong, source="judge", comment="\U0001f600\0", evidence={"n": 10**30}
    )
    assert fit(clean) is clean
    odd = clean.model_copy(update={"evidence": {"n": (1, b"ok"), "x": math.nan}})
    made = fit(odd)
    assert made.evidence == {"n": [1, "ok"], "x": "nan"}
    assert Feedback.model_validate_json(made.model_dump_json()).digest == made.digest


def test_a_record_that_cannot_be_made_fit_says_which_field_and_why() -> None:
    odd = Feedback(solution="s", score=1, mark=Mark.right, source="judge").model_copy(update={"score": math.inf})
    with pytest.raises(ValueError, match=r"its score cannot be kept: .*finite.*inf"):
        fit(odd)


@pytest.mark.parametrize(("value", "why"), [
    ("a\ud83d", r"half a character, \ud83d (at character 2)"), ({"a\ud83d": 1}, "half a character"),
    (["a", {"b": ["\udc00"]}], "half a character"), ("a\0", "NUL (at character 2)"), (math.inf, "not a finite number"),
    (nested(DEEPEST + 1), "nested deeper"), (nested(900), "nested deeper"),
])  # fmt: skip
def test_what_no_task_can_hold_is_named(value: Any, why: str) -> None:
    assert why in str(why_not(value))


def test_ordinary_values_are_no_reason_to_refuse_a_task() -> None:
    assert why_not({"a": ["\U0001f600\x1b", 1.5, None, True, {"b": 10**30}], "deep": nested(50)}) is None


def test_a_command_to_paste_runs_where_no_python_is_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian has ``python3`` alone, and whoever calls .venv/bin/instar has activated nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    command = python_command("import instar; print(1)")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_heap_of_combining_marks_is_cut_and_no_writing_is_touched() -> None:
    began = time.process_time()
    heap = normal("NFKC", "e" + "\u0315\u0300\uff9e" * 100_000)
    assert time.process_time() - began < 2
    assert len(heap) <= 31
    for text in ("क्षि", "e\u0301\u0323", "שָׁלוֹם", "ཧཱུྃ", "👩‍🚀"):
        assert unheaped(text) == text
        assert normal("NFC", text) == unicodedata.normalize("NFC", text)
