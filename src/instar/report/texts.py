"""What a run says of its held-out texts: the perplexity policy after policy, and whether it rose too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instar.divergence import perplexity, rise, why_not_comparable
from instar.records import Likelihood


def told(x: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that a run ended with, and a sentence on them."""
    out = x["high"] <= x["margin"]
    sentence = (
        f"{x['name']}: perplexity {x['base']:.2f} -> {x['final']:.2f}, {100 * x['rise']:+.1f} % (95 % interval "
        f"{100 * x['low']:+.1f} to {100 * x['high']:+.1f}, n = {x['n']} texts): a rise of more than "
        f"{100 * x['margin']:g} % is {'' if out else 'not '}ruled out"
    )
    return {**x, "sentence": sentence, "tone": "good" if out else "bad"}


def row(found: Sequence[Likelihood], order: Sequence[str], base: str | None) -> dict[str, Any] | None:
    """The perplexity of each policy, newest part of the texts, and how far it rose from the base's on that very part.
    None where no text was read."""
    own = [x for x in found if x.suite.startswith("guard:")]
    newest = {x.policy: x for x in own}
    if not newest:
        return None
    cells: list[dict[str, Any] | None] = []
    for policy in order:
        x = newest.get(policy)
        then = next((y for y in own if x and y.policy == base and not why_not_comparable(y, x)), None)
        if x is None or then is None:
            cells.append(None)
            continue
        up = rise(then, x)
        cells.append({
            "value": perplexity(x.texts), "rise": up.value, "low": up.low, "high": up.high, "n": up.n,
        })  # fmt: skip
    return {"name": own[0].suite, "cells": cells}
