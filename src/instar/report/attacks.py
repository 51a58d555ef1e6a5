"""How far a run's memory can be poisoned, in words: for each attack, what was planted and what each protection held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instar.report.policies import short


def in_words(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Of each attack a line of what it was, then one for each protection, from none to the strongest."""
    return [[headline(x), *(_row(r) for r in x["rows"])] for x in found]


def headline(x: Mapping[str, Any]) -> str:
    """What was planted beside what, and in how long an exam it was to be seen."""
    return (
        f"{x['suite']}, policy {short(x['policy'])}: {x['planted']} {x['how']} planted beside {x['notes']} notes, "
        f"{x['tasks']} tasks"
    )


def _row(r: Mapping[str, Any]) -> str:
    return (
        f"{r['protection']:<28} {r['right']:.1%} right, {r['under_attack']:.1%} under attack: {r['flipped']:.1%} "
        f"flipped ({r['low']:.1%} to {r['high']:.1%}, n = {r['n']})"
    )
