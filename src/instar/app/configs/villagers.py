"""Examples of a group in the village, as ``autoact`` shows them: four episodes in a village that there is not."""

from __future__ import annotations

from typing import Any

from instar.acquire.environments.village import LIBRARY
from instar.acquire.solutions.group import CALL, CALL_IT, GO_ON, IS_IT_RIGHT

_PEOPLE = (
    (("doctor", "mother"), ("Yelin Borak", "Osnim Talur", "Wenik Dorsul")),
    (("cousin", "baker"), ("Lomir Vesik", "Darun Felok", "Tomil Reskan")),
    (("boss", "teacher"), ("Sorim Halvek", "Pelin Dratov", "Jorun Mestik")),
    (("landlord", "neighbour"), ("Ulmar Tessin", "Navik Orlum", "Fenro Balsik")),
)
"""The relations that each question goes along, and who is come by. None of them is held out of train."""


def villagers(signatures: bool) -> list[dict[str, Any]]:
    """The episodes, with the requests of a ``group`` that has these ``signatures``. The first takes an answer back.

    Numbered steps tell a small model how far it is: where each plan said "first" or "then" it did not end, and where it
    said "I need" it ended after one look. Six such episodes do worse than four (the log of 2026-11-29 has the counts).
    """
    return [_episode(path, names, signatures, doubted=not i) for i, (path, names) in enumerate(_PEOPLE)]


def _episode(path: tuple[str, str], names: tuple[str, str, str], signatures: bool, doubted: bool) -> dict[str, Any]:
    """An episode of two looks and an answer; ``doubted``: whoever was found first was named, and taken back."""
    (one, two), (a, b, c) = path, names
    look, end = (CALL.format(LIBRARY[t].partition(":")[0]) if signatures else CALL_IT for t in ("lookup", "finish"))
    early = [
        f"Step 2: end with {b}. Tool: finish",
        end,
        f"finish[{b}]",
        IS_IT_RIGHT,
        f"{b} is the {one}. It is wrong.",
        GO_ON,
    ]
    said = [
        f"Who is the {two} of the {one} of {a}?\n\nYou have 8 steps.",
        f"Step 1: the {one} of {a}. Tool: lookup", look, f"lookup[{a}, {one}]", f"The {one} of {a} is {b}.",
        *(early if doubted else []),
        f"Step 2: the {two} of {b}. Tool: lookup", look, f"lookup[{b}, {two}]", f"The {two} of {b} is {c}.",
        f"Step 3: end with {c}. Tool: finish", end, f"finish[{c}]",
        IS_IT_RIGHT, f"{c} is the {two} of the {one}. It is right.",
    ]  # fmt: skip
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]}
