"""A run in figures, read from its ledger: what ``instar show`` prints and ``--json`` gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from instar.memory import timeline
from instar.records import Decision, Health, Objective, Outcome, Report, Verdict
from instar.report.audits import audits
from instar.report.capabilities import capabilities
from instar.report.created import APPRAISAL, created
from instar.report.drift import drift
from instar.report.suites import suites
from instar.report.texts import told as told_of_text
from instar.store.attacks import attacks
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.left_out import told
from instar.store.lock import holder_of
from instar.store.readers import curves
from instar.store.readers import rounds as read
from instar.store.roles import roles_of
from instar.store.sessions import clock_jumped, seconds_of

WORK = ("generate", "train", "exam", "checkpoint", "save", "check", "start", "close")


def summary(folder: Path) -> dict[str, Any]:
    """Everything about a run that fits on a page, as plain data."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        about = ledger.about()
        result = json.loads(about.get("result", "{}"))
        sessions = ledger.rows("sessions")
        rounds, spent = _rounds(ledger), _seconds(ledger)
        return {
            "run": folder.name,
            "folder": str(folder.resolve()),
            "recipe": about.get("recipe"),
            "config": json.loads(about.get("resolved", "{}")),
            "status": status_of(folder, result, sessions),
            "why": why_of(sessions),
            "sessions": len(sessions),
            "base": result.get("base"),
            "final": result.get("final"),
            "controls": result.get("controls", {}),
            "evolution_seconds": _possible(result.get("evolution_seconds"), sum(seconds_of(ledger).values())),
            "clock_jumped": clock_jumped(ledger),
            "sealed": result.get("sealed"),
            **(
                {"suites": suites(result["suites"], unchanged=result["final"] == result["base"])}
                if "suites" in result
                else {}
            ),
            **({"text": told_of_text(result["text"])} if "text" in result else {}),
            "capabilities": capabilities(ledger, roles_of(ledger)),
            "divergence": drift(ledger, roles_of(ledger)),
            "attacks": attacks(folder),
            "verifier_stress": json.loads(about["stress"]) if "stress" in about else None,
            "rounds": [r for r in rounds if r["round"] <= _planned(about)],
            "comparison": [r for r in rounds if r["round"] > _planned(about)],
            "audit": [{"round": r, "assessments": rows} for r, rows in audits(ledger).items()],
            "sets": {name: len(ids) for name, ids in ledger.sets().items()},
            "left_out": told(ledger),
            "made_again": json.loads(about.get("made_again", "[]")),
            "asked": ledger.asked(),
            "failures": _failures(ledger),
            **spent,
            "limit_was_quiet": json.loads(about.get("limits", "{}")).get("quiet"),
            "engines": json.loads(about["engines"]) if "engines" in about else None,
            "share_of_limit": shares(json.loads(about.get("limits", "{}")), spent),
        }
    finally:
        ledger.close()


def shares(limits: dict[str, Any], spent: dict[str, Any]) -> dict[str, float]:
    """Part of the machine's measured matrix-product rate that the tokens of a phase make up. Useful work alone counts:
    tokens written, not those of the prompt; tokens of training rows, however few of them had to be computed. What rows
    share is computed once, so the work can come to more than the rate allows: that is 1."""
    out = {}
    for phase, rate in limits.get("gflops", {}).items():
        tokens, seconds = spent["tokens"].get(phase, 0), spent["seconds"].get(phase, 0.0)
        if tokens and seconds:
            out[phase] = min(1.0, tokens * limits["gflop_a_token"][phase] / seconds / rate)
    return out


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """Every item of every exam, one row for each role its policy has (the base may be the final policy too): enough
    to recompute any gain."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        roles = roles_of(ledger)
        return [
            _outcome_row(report, o, role.replace(": ", ":"))
            for report in cast(list[Report], ledger.records("report"))
            for role in roles.of(report.policy) or ["candidate"]
            for o in report.outcomes
        ]
    finally:
        ledger.close()


def _outcome_row(report: Report, o: Outcome, role: str) -> dict[str, Any]:
    return {
        "suite": report.exam.suite,
        "policy": report.policy,
        "role": role,
        "task": o.task,
        "ability": o.ability,
        "gold": o.gold,
        "answers": list(o.answers),
        "marks": [m.value for m in o.marks],
        "score": o.score,
        "tokens": list(o.tokens),
    }


def _possible(seconds: float | None, of: float) -> float | None:
    """Seconds that a run of ``of`` seconds can have taken; None for what a clock that jumped made of them."""
    return seconds if seconds is not None and 0 <= seconds <= of + 1 else None


def status_of(folder: Path, result: dict[str, Any], sessions: list[dict[str, Any]]) -> str:
    """finished, running, stopped, failed, killed or not started."""
    if result:
        return "finished"
    last = str(sessions[-1]["status"]) if sessions else "not started"
    if last not in ("running", "not started"):
        return last  # without a look at the lock: to look is to hold it for a moment, and a page looks all the time
    if holder_of(folder / "lock") is not None:
        return "running"
    return "killed" if last == "running" else last


def why_of(sessions: list[dict[str, Any]]) -> str | None:
    """Why the last session did not come to the end, in its own words; None where it did, or works."""
    return str(sessions[-1]["note"] or "") or None if sessions and sessions[-1]["status"] != "finished" else None


def _planned(about: dict[str, str]) -> int:
    """How many rounds the config asks for; what comes after is comparison (controls)."""
    return int(json.loads(about.get("resolved", "{}")).get("rounds", 0))


def _rounds(ledger: Ledger) -> list[dict[str, Any]]:
    """Per round: how many were made, kept and dropped by which filter, and what the gate said."""
    rounds: dict[int, dict[str, Any]] = {}
    names = {i: o["name"] for i, o in ledger.ops().items()}
    steering = {
        x["op"]: x["verb"] for x in ledger.rows("steps") if x["verb"] in ("predict", "propose", "create", "update")
    }
    steering |= {i: "weigh" for i, name in names.items() if name == "worth_learning"}
    steering |= {i: name for i, name in names.items() if name in ("brake", APPRAISAL)}

    def of(round: int) -> dict[str, Any]:
        return rounds.setdefault(round, {"round": round, "solutions": 0, "filters": {}, "gate": None})

    for made in read.rationalised(ledger):
        r = of(made.round)
        r["solutions"] = made.n
        if made.rationalised:
            r["rationalised"] = made.rationalised
    for round in read.rolled(ledger):
        of(round)["rolled_out"] = True
    for row in read.decided(ledger):
        r = of(row.round)
        if steering.get(row.op) == "propose":
            r["selected"] = r.get("selected", 0) + row.n
        elif steering.get(row.op) == "create":
            made_up = r.setdefault("created", {"kept": 0, "dropped": 0})
            made_up["kept" if row.kept else "dropped"] += row.n
        elif steering.get(row.op) not in ("predict", "update", "weigh", "brake", APPRAISAL):
            tally = r["filters"].setdefault(names.get(row.op, row.op), {"kept": 0, "dropped": 0})
            tally["kept" if row.kept else "dropped"] += row.n
    for s in read.selected(ledger, [op for op, verb in steering.items() if verb == "propose"]):
        of(s.round).setdefault("selected_by_ability", {})[s.ability] = s.n
    for round, sources in created(ledger).items():
        of(round)["quality"] = sources
    for made_none in curves.idle(ledger):
        of(made_none.round).setdefault("no_candidate", []).append({"op": made_none.op, "reason": made_none.reason})
    for c in curves.curves(ledger):
        told = {"op": c.op, "policy": c.policy, "over": c.ended is not None}
        if remembered := c.series.get(timeline.UNIT):
            figures = {name: points[-1][1] for name, points in remembered.items()}
            in_words = timeline.in_words(figures)
            of(c.round).setdefault("memory", []).append({**told, "figures": figures, "words": in_words})
        if series := {unit: s for unit, s in c.series.items() if unit != timeline.UNIT}:
            of(c.round).setdefault("training", []).append({**told, "series": series})
    for said in read.said(ledger, [op for op, verb in steering.items() if verb in ("predict", "weigh", "brake")]):
        r = of(said.round)
        if said.kind == "objective":
            r.setdefault("objectives", []).append(Objective.model_validate_json(said.body).model_dump(mode="json"))
        elif said.kind == "health":
            r["health"] = Health.model_validate_json(said.body).model_dump(mode="json")
        elif said.kind == "decision":
            d = Decision.model_validate_json(said.body)
            if d.item.startswith("rounds "):  # a hold: the last word of it stands
                r["held"] = {"goes_on": d.kept, "reason": d.reason}
                continue
            if d.item == f"round {said.round}":  # a prediction is about a policy
                r["weighed"] = {"goes_on": d.kept, "reason": d.reason}
                continue
            r["prediction"] = {"can_help": d.kept, "reason": d.reason}
        else:
            v = Verdict.model_validate_json(said.body)
            checks = [c.model_dump(mode="json") for c in v.checks]
            r["gate"] = {"promoted": v.promoted, "reason": v.reason, "candidate": v.candidate, "checks": checks}
    for r in rounds.values():
        if r["gate"] and not r.get("weighed", {"goes_on": True})["goes_on"]:
            del r["weighed"]  # its checks were made again since
    return [rounds[k] for k in sorted(rounds)]


def _failures(ledger: Ledger) -> dict[str, int]:
    counts = {"failed": 0, "dropped": 0}
    for call in ledger.rows("calls"):
        if call["status"] in counts:
            counts[call["status"]] += 1
    return counts


def _seconds(ledger: Ledger) -> dict[str, Any]:
    """Seconds and tokens by phase over all sessions; what is in no phase is bookkeeping."""
    seconds: dict[str, float] = {}
    tokens: dict[str, int] = {}
    for s in ledger.rows("spans"):
        seconds[s["phase"]] = round(seconds.get(s["phase"], 0.0) + s["seconds"], 2)
        tokens[s["phase"]] = tokens.get(s["phase"], 0) + s["tokens"]
    wall = round(sum(seconds.values()), 2)
    return {"seconds": {**seconds, "wall": wall}, "tokens": {k: v for k, v in tokens.items() if v}}
