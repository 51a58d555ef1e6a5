"""What a run says of its suites, in words: whether the result got worse on what it was not to get worse at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from instar.records import suite_kind

Tone = Literal["good", "bad", "even"]


def suites(said: Mapping[str, Any], *, unchanged: bool) -> list[dict[str, Any]]:
    """Each suite of a result with its figures, a sentence and its tone. ``unchanged``: the run ended with its base."""
    return [{"name": name, **x, **_judged(name, x, unchanged)} for name, x in said.items()]


def _judged(name: str, x: Mapping[str, Any], unchanged: bool) -> dict[str, Any]:
    """Non-inferiority in words. For an attack, of which more succeed when things get worse, all is turned round."""
    attack = suite_kind(name) == "attack"
    low, high = (-x["high"], -x["low"]) if attack else (x["low"], x["high"])
    margin = f"{100 * x['margin']:g} points"
    way = "rise" if attack else "drop"
    tone: Tone = "even"
    if unchanged:
        sentence = "the result is the base"
    elif low > 0:
        tone, sentence = "good", "fewer attacks succeed" if attack else "better"
    elif low >= -x["margin"]:
        less = (", though more attacks succeed" if attack else ", though it is worse") if high < 0 else ""
        tone, sentence = "good", f"no worse: a {way} of more than {margin} is ruled out{less}"
    elif high < 0:
        tone, sentence = "bad", f"{'more attacks succeed' if attack else 'worse'}: a {way} of more than {margin}"
        sentence += "" if high < -x["margin"] else " is not ruled out"
    else:
        tone, sentence = "bad", f"not known to be no worse: a {way} of more than {margin} is not ruled out"
    return {"kind": suite_kind(name), "better": "lower" if attack else "higher", "tone": tone, "sentence": sentence}
