"""What may help when nothing was promoted: read from the gates' own figures, never a guess about the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW_ROWS = 20
"""Rows of a round below which it is worth a line."""
CUT = 0.25
"""Share of the right answers that were cut off, from which it is worth a line."""
ASIDE = "true_reflection"
"""A filter that chooses rows of its own, and not from what those before it kept."""


def kept_of(filters: Mapping[str, Mapping[str, int]]) -> int | None:
    """How many a round's filters kept, the last of them; None where there was none."""
    last = [f for name, f in filters.items() if name != ASIDE] or list(filters.values())
    return last[-1]["kept"] if last else None


def hints(s: dict[str, Any]) -> list[str]:
    """Sentences, the most telling first; ``s`` is a summary."""
    gates = [r["gate"] for r in s["rounds"] if r["gate"]]
    checks = [c for g in gates for c in g["checks"]]
    out = []
    guards = [c for c in checks if c["name"].startswith("guard:") and not c["passed"]]
    gained = [c for c in checks if c["name"] == "gain" and c["passed"]]
    if guards and gained:
        fewest = min(guards, key=lambda c: c["numbers"].get("n") or 0)
        # a gate that stops early knows no gain, but what it is at least
        best = max(100 * (c["numbers"].get("gain", c["numbers"].get("low")) or 0.0) for c in gained)
        least = "" if any("gain" in c["numbers"] for c in gained) else "at least "
        out.append(
            f"a candidate gained {least}{best:+.1f} points at the gate and was refused by its guards "
            f"({fewest['name'].removeprefix('guard:')} has {fewest['numbers'].get('n') or 0:.0f} items): "
            "a larger sizes.gate, or gate.guarded=[]."
        )
    near = [c for c in checks if c["name"] == "gain" and not c["passed"] and (c["numbers"].get("gain") or 0.0) > 0]
    if near and not gained:
        c = max(near, key=lambda c: c["numbers"]["gain"])
        out.append(
            f"the best candidate gained {100 * c['numbers']['gain']:+.1f} points on {c['numbers']['n']:.0f} gate "
            f"items, which can show {100 * c['numbers']['smallest_detectable']:.1f}: a larger sizes.gate."
        )
    out += [f"round {r['round']}: {r['weighed']['reason']}" for r in s["rounds"] if r.get("weighed")]
    few = [(r["round"], kept) for r in s["rounds"] if r["gate"] and (kept := kept_of(r.get("filters", {}))) is not None]
    out += [
        f"round {round} kept {rows} row{'s' if rows != 1 else ''} to train on: a larger sizes.train or solve.samples."
        for round, rows in few
        if 0 < rows < FEW_ROWS
    ][:1]
    for r in s["rounds"]:
        f = r.get("filters", {}).get("finished")
        if f and f["dropped"] > CUT * (f["kept"] + f["dropped"]):
            out.append(
                f"in round {r['round']}, {f['dropped']} of {f['kept'] + f['dropped']} answers were dropped as "
                "unfinished: a larger solve.sampling.max_tokens."
            )
            break
    return out
