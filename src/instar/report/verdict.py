"""What a run came to, in sentences for somebody who will read nothing else."""

from __future__ import annotations

from typing import Any, Literal

from instar.report.hints import hints

Tone = Literal["good", "bad", "even", "open"]


def verdict(s: dict[str, Any]) -> dict[str, Any]:
    """From a ``summary``: a headline, its tone (a gain, a loss, neither, not known yet) and what qualifies it.

    Each of ``points`` is (tone, sentence). Figures are those of the sealed exam: nothing was tuned on it.
    """
    if not s["sealed"]:
        return {"tone": "open", "headline": _unfinished(s), "points": _gates(s)}
    x = s["sealed"]
    before, after, points = percent(x["base"]), percent(x["final"]), signed(x["gain"])
    sure = f"95% interval {interval(x)} points, n = {x['n']}"
    if s["final"] == s["base"]:
        tone: Tone = "even"
        none = "no candidate was let through" if any(r["gate"] for r in s["rounds"]) else "no candidate came to a gate"
        headline = f"The model is unchanged: {none}. It solves {before} of the sealed exam."
    elif x["low"] > 0:
        tone = "good"
        headline = f"The model got better: it now solves {after} of unseen tasks, before {before}."
    elif x["high"] < 0:
        tone = "bad"
        headline = f"The model got worse: it now solves {after} of unseen tasks, before {before}."
    else:
        tone = "even"
        headline = f"No change that can be told from chance: {after} of unseen tasks solved, before {before}."
    said = [] if s["final"] == s["base"] else [(tone, f"{points} points on the sealed exam ({sure}).")]
    out = [("even", f"A task was left out of the {o['set']} set: {o['reason']}.") for o in s.get("left_out", ())]
    if s["final"] == s["base"] and not x.get("procedures"):
        said = [("even", f"What may help: {sentence}") for sentence in hints(s)]
    points_of = [*said, *_controls(x), *_caveats(x), *_suites(s), *out, *_gates(s)]
    return {"tone": tone, "headline": headline, "points": points_of}


def percent(value: float | None) -> str:
    """A fraction as people read it; a dash for what is not known."""
    return "-" if value is None else f"{100 * value:.1f}%"


def signed(value: float | None) -> str:
    """A change of a fraction, in points."""
    return "-" if value is None else f"{100 * value:+.1f}"


def interval(x: dict[str, Any]) -> str:
    """The interval of a change, in points."""
    return f"{signed(x['low'])} to {signed(x['high'])}"


def _unfinished(s: dict[str, Any]) -> str:
    if s["status"] == "finished":
        return "This run took no sealed exam: there is no verdict on it."
    gates = [r["gate"] for r in s["rounds"] if r["gate"]]
    passed = sum(g["promoted"] for g in gates)
    so_far = f" So far {passed} of {len(gates)} candidates passed the gate." if gates else ""
    state = "The run is still working" if s["status"] == "running" else f"The run is not over ({s['status']})"
    if s["status"] != "running" and s.get("why"):
        return f"{state}: {s['why'][:600]}"
    return f"{state}: the sealed exam is scored once, at the end.{so_far}"


def _controls(x: dict[str, Any]) -> list[tuple[Tone, str]]:
    out: list[tuple[Tone, str]] = []
    for name, c in x["controls"].items():
        by = f"{signed(c['evolved_minus_control'])} points ({interval(c)})"
        if c["low"] > 0:
            out.append(("good", f"The control ({name}) reaches {percent(c['score'])}; this model beats it by {by}."))
        else:
            out.append(
                ("bad", f"The control ({name}) reaches {percent(c['score'])}, which this model does not surely beat "
                        f"({by}): the gain cannot be credited to the method.")
            )  # fmt: skip
    return out


def tells_reading(x: dict[str, Any]) -> bool:
    """Whether the shares of answers that could be read say more than the scores: a checker that names no answers, as an
    environment that is played in, has the same number twice."""
    return bool((x["parse_base"], x["parse_final"]) != (x["base"], x["final"]))


def _caveats(x: dict[str, Any]) -> list[tuple[Tone, str]]:
    """What a reader would be angry not to have been told."""
    out: list[tuple[Tone, str]] = []
    fell = [f"{a} ({signed(v['gain'])} points)" for a, v in x["abilities"].items() if v["high"] < 0]
    if fell:
        out.append(("bad", f"Got worse at: {', '.join(fell)}."))
    best = x.get("best_constant")
    if best is not None and best >= x["final"]:
        out.append(("bad", f"Always giving one answer would score {percent(best)}, no less than the model."))
    if tells_reading(x) and x["parse_final"] < x["parse_base"] - 0.05:
        out.append(
            ("bad", f"Fewer answers can be read: {percent(x['parse_final'])}, before {percent(x['parse_base'])}.")
        )
    return out


def _suites(s: dict[str, Any]) -> list[tuple[Tone, str]]:
    """Of an unchanged model there is nothing to say."""
    if s["final"] == s["base"]:
        return []
    return [
        (x["tone"], f"{x['name']}: {x['sentence']} ({percent(x['base'])}, now {percent(x['final'])}; n = {x['n']}).")
        for x in s.get("suites", ())
    ] + ([(s["text"]["tone"], f"{s['text']['sentence']}.")] if "text" in s else [])


def _gates(s: dict[str, Any]) -> list[tuple[Tone, str]]:
    gates = [r["gate"] for r in s["rounds"] if r["gate"]]
    alarms = [a["name"] for r in s["rounds"] for a in r.get("health", {}).get("alarms", ()) if a["raised"]]
    out: list[tuple[Tone, str]] = []
    if gates and s["sealed"]:
        out.append(("even", f"The gate let {sum(g['promoted'] for g in gates)} of {len(gates)} candidates through."))
    if alarms:
        out.append(("bad", f"Alarms raised: {', '.join(dict.fromkeys(a.replace('_', ' ') for a in alarms))}."))
    stress = [p["name"] for p in (s.get("verifier_stress") or {"probes": ()})["probes"] if p["failed"]]
    if stress:
        out.append(("bad", f"The verifier failed its test before the run: {', '.join(stress)}."))
    return out
