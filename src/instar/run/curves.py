"""The curves of an update in lines that a terminal can show: first and last value, and a picture of the way between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

WORDS = {
    "loss": "loss", "gradient_norm": "gradient norm", "kl": "KL", "reward": "reward", "length": "tokens an answer",
    "tokens": "tokens",
}  # fmt: skip
"""The figures that are worth a place in a line, in their order."""
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24


def in_words(series: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> list[str]:
    """A line for each unit (steps, rollouts) in which an update told figures. ``series``: unit to figure to points."""
    lines = []
    for unit, of in series.items():
        n = max((len(points) for points in of.values()), default=0)
        told = [_told(WORDS[name], [value for _, value in of[name]]) for name in WORDS if of.get(name)]
        if told:
            lines.append(f"{n} {unit}{'s' * (n != 1)}: {', '.join(told)}")
    return lines


def _told(word: str, values: Sequence[float]) -> str:
    first, last = f"{values[0]:.3g}", f"{values[-1]:.3g}"
    way = f"{first} -> {last}" if len(values) > 1 else first
    return f"{word} {way}{' ' + spark(values) if len(values) > 2 else ''}"


def spark(values: Sequence[float], width: int = _WIDTH) -> str:
    """Values as bars from the lowest to the highest; more than ``width`` are averaged in order."""
    n = min(width, len(values))
    means = [fmean(values[len(values) * i // n : len(values) * (i + 1) // n]) for i in range(n)]
    low, high = min(means), max(means)
    if math.isclose(low, high):
        return _BARS[3] * n
    return "".join(_BARS[round((m - low) / (high - low) * (len(_BARS) - 1))] for m in means)
