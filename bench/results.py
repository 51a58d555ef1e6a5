"""Where outcomes go: docs/bench/results.json (merged row by row), a Markdown table and a plot made from it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.pairs import Outcome

FOLDER = Path(__file__).parents[1] / "docs" / "bench"


def merge(outcome: Outcome, machine: Mapping[str, Any], folder: Path = FOLDER) -> dict[str, Any]:
    """Put one row's outcome in the place of its older one and write all three files. Returns the whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"machine": {}, "ratios": {}, "rows": []}
    rows = {r["key"]: r for r in found["rows"]} | {outcome.key: {**outcome.as_json(), "machine": dict(machine)}}
    whole = {
        "machine": dict(machine),
        "ratios": {k: round(r["ratio"], 3) for k, r in sorted(rows.items())},
        "rows": [rows[k] for k in sorted(rows)],
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(whole, indent=1) + "\n")
    os.replace(part, path)
    (folder / "README.md").write_text(page(whole))
    plot(whole["rows"], folder / "ratios.svg")
    return whole


def page(whole: Mapping[str, Any]) -> str:
    """The table, for people."""
    machine = ", ".join(f"{k} {v}" for k, v in whole["machine"].items())
    lines = [
        "<!-- Written by `make bench` from results.json. -->",
        "# Side by side",
        "",
        f"Machine: {machine}.",
        "Ratios are medians over pairs (ours, then theirs, in turns), with the least and the greatest pair.",
        "",
        "![ratios](ratios.svg)",
        "",
        "| work | ours | theirs | ratio (least to greatest) | target | of the machine's limit |",
        "|---|---|---|---|---|---|",
    ]
    for r in whole["rows"]:
        sign = ">=" if r["at_least"] else "<="
        target = "" if r["target"] is None else f"{sign} {r['target']:g}: {'met' if r['met'] else 'not met'}"
        share = "" if r["share_of_limit"] is None else f"{r['share_of_limit']:.0%}"
        lines.append(
            f"| {r['title']} (`{r['key']}`) | {_amount(r['ours_median'])} {r['unit']} ({r['ours']}) "
            f"| {_amount(r['theirs_median'])} {r['unit']} ({r['theirs']}) "
            f"| **{r['ratio']:.2f}** ({r['low']:.2f} to {r['high']:.2f}, {len(r['ours_readings'])} pairs) "
            f"| {target} | {share} |"
        )
    notes = [f"- `{r['key']}`: {r['note']}" for r in whole["rows"] if r["note"]]
    return "\n".join([*lines, "", *notes, ""]).rstrip() + "\n"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One bar a row, with the spread of its pairs and its target."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "instar"
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.45 * len(rows)), layout="constrained")
    names = [str(r["key"]) for r in rows]
    ratios = [float(r["ratio"]) for r in rows]
    reach = [[x - float(r["low"]) for x, r in zip(ratios, rows, strict=True)]]
    reach.append([float(r["high"]) - x for x, r in zip(ratios, rows, strict=True)])
    colours = [{True: "#2a7f62", False: "#b5651d", None: "#8a8f98"}[r["met"]] for r in rows]
    axes.barh(names, ratios, xerr=reach, color=colours, height=0.6, error_kw={"lw": 1})
    promised = [r for r in rows if r["target"] is not None]
    axes.plot([float(r["target"]) for r in promised], [str(r["key"]) for r in promised], "k|", ms=14, label="target")
    axes.axvline(1, color="grey", lw=0.8, ls=":")
    axes.invert_yaxis()
    axes.set_xlabel("ours / theirs (rows of a difference: ours minus theirs)")
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
