"""The curves of a run's updates as pictures: one small line a figure, drawn as a path that needs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

WORDS = {
    "step": {
        "loss": "loss", "gradient_norm": "gradient norm", "kl": "KL to the reference, nats a token",
        "clipped": "tokens clipped, share", "learning_rate": "learning rate", "length": "tokens an answer",
        "tokens": "tokens a step",
    },
    "rollout": {
        "reward": "reward", "signal": "answers with signal, share", "length": "tokens an answer",
        "tokens": "tokens a rollout",
    },
}  # fmt: skip
"""What the figures of the library's updates are called, by unit; others go by their own names, after these."""
WIDTH, HEIGHT, MOST = 240, 64, 240
"""The size of a picture, and how many points it has at most: more are averaged in order."""


def pictures(series: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> list[dict[str, Any]]:
    """A picture for each figure: what is said of it and the path of its line. Rewards come first, then losses."""
    made = []
    for unit in sorted(series, key=lambda u: (u != "rollout", u)):
        words = WORDS.get(unit, {})
        names = [*(n for n in words if n in series[unit]), *(n for n in sorted(series[unit]) if n not in words)]
        made += [_picture(unit, words.get(name, name.replace("_", " ")), series[unit][name]) for name in names]
    return made


def _picture(unit: str, word: str, points: Sequence[Sequence[float]]) -> dict[str, Any]:
    values = [value for _, value in points]
    first, last, low, high = (f"{v:.4g}" for v in (values[0], values[-1], min(values), max(values)))
    said = f"{word} over {len(values)} {unit}s: from {first} to {last}, between {low} and {high}"
    return {
        "unit": unit, "word": word, "n": len(values), "first": first, "last": last, "low": low, "high": high,
        "said": said, "path": path(points), "width": WIDTH, "height": HEIGHT,
    }  # fmt: skip


def path(points: Sequence[Sequence[float]]) -> str:
    """The line through these points (number, value), from the lowest to the highest value over the whole height."""
    n = min(MOST, len(points))
    cut = [points[len(points) * i // n : len(points) * (i + 1) // n] for i in range(n)]
    means = [(fmean(x for x, _ in c), fmean(y for _, y in c)) for c in cut]
    left, right = means[0][0], means[-1][0]
    low, high = min(y for _, y in means), max(y for _, y in means)

    def at(x: float, y: float) -> str:
        across = (x - left) / (right - left) if right > left else 0.5
        up = (y - low) / (high - low) if high > low else 0.5
        return f"{2 + across * (WIDTH - 4):.1f} {HEIGHT - 3 - up * (HEIGHT - 6):.1f}"

    if n == 1:  # one point is a short line: a path of one point draws nothing
        return f"M{WIDTH / 2 - 4:.1f} {HEIGHT / 2:.1f}h8"
    return "M" + "L".join(at(x, y) for x, y in means)
