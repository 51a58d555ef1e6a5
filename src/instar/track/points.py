"""The figures of a run as points, read from its ledger: only what will not change any more.

What was made and kept in a round is told when the round is over; exams, verdicts, health and losses when they exist.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from instar.records import Assessment, Health, Objective, Report, Verdict
from instar.report.filters import filters, marks
from instar.store.ledger import Ledger
from instar.store.readers import progress, rounds
from instar.store.readers.curves import Series, curves
from instar.track.tracker import Point

Training = Callable[[str], Path]
"""From the digest of weights to the folder they are in, where ``training.json`` has the loss of every step."""


def news(ledger: Ledger) -> tuple[Any, ...]:
    """Changes when there is more to tell; cheap enough to ask every few seconds."""
    return progress.news(ledger)


def points(ledger: Ledger, training: Training) -> list[Point]:
    """Every figure that is final, in the order of its step. Values that are not known are left out."""
    about = ledger.about()
    planned = int(json.loads(about.get("resolved", "{}")).get("rounds", 0))
    result = json.loads(about["result"]) if "result" in about else None
    begun = {s["round"]: s["started"] or 0.0 for s in ledger.rows("steps")}
    latest = planned + 1 if "evolved_at" in about or result is not None else max(begun, default=0)
    over = {r for r in range(1, planned + 1) if r < latest and r in begun}
    found = [
        *_records(ledger, planned),
        *training_points(ledger, planned, training),
        *_of_rounds(ledger, over),
        *(_sealed(result, planned, ledger) if result is not None else ()),
    ]
    return sorted(found, key=lambda p: (p.step, p.at, p.name))


def training_points(ledger: Ledger, planned: int, training: Training) -> Iterator[Point]:
    """The curves of all updates that are over, one after the other, steps and rollouts counted over the run. An update
    that told none (a run of an earlier version) may have left its losses beside its weights."""
    found = curves(ledger)
    told = {c.policy for c in found}
    old = [
        (f.at, _losses(json.loads(f.body)["weights"], training)) for f in rounds.figures(ledger)
        if f.kind == "policy" and 0 < f.round <= planned and f.id not in told
    ]  # fmt: skip
    updates: list[tuple[float, Series]] = [
        (at, {"step": {"loss": list(enumerate(losses, 1))}}) for at, losses in old if losses
    ]
    updates += [(c.ended, c.series) for c in found if c.ended is not None and c.round <= planned]
    before: Counter[str] = Counter()
    for at, series in sorted(updates, key=lambda u: u[0]):
        for unit, of in series.items():
            for name, values in of.items():
                where = "training" if unit == "step" else f"training/{unit}"
                for number, value in values:
                    yield _point(f"{where}/{name}", before[unit] + number, value, at)
            before[unit] += max((values[-1][0] for values in of.values()), default=0)


def _records(ledger: Ledger, planned: int) -> Iterator[Point]:
    """What single records say: exams on dev, gates, health, objectives, judges and filters."""
    made: dict[str, int] = {}
    for kind, r, body, _, id, at in rounds.figures(ledger):
        if kind == "report":
            report = Report.model_validate_json(body)
            if report.exam.suite == "dev" and made.get(report.policy, planned + 1) <= planned:
                yield from _scores("dev", made[report.policy], report, at)
        elif r > planned or (r == 0 and kind != "policy"):
            continue  # made only to compare with
        elif kind == "policy":
            made.setdefault(id, r)
        elif kind == "verdict":
            yield from _gate(Verdict.model_validate_json(body), r, at)
        elif kind == "health":
            yield from _health(Health.model_validate_json(body), r, at)
        elif kind == "objective":
            o = Objective.model_validate_json(body)
            yield _point(f"objective/{'all' if o.ability == '*' else o.ability}", r, o.tasks, at)
        elif kind == "assessment":
            a = Assessment.model_validate_json(body)
            for k, v in a.numbers.items():
                if v is not None:
                    yield _point(f"{'created' if a.verb == 'create' else 'audit'}/{a.name}/{k}", r, v, at)


def _of_rounds(ledger: Ledger, over: set[int]) -> Iterator[Point]:
    """What was made, kept and spent in the rounds that are over."""
    asked, solutions, kept = rounds.asked(ledger), rounds.solutions(ledger), rounds.kept(ledger)
    marked, filtered, rolled = marks(ledger), filters(ledger), rounds.rolled(ledger)
    for r in sorted(over):
        at = (asked[r].at if r in asked else 0.0) or 0.0
        n = solutions.get(r, 0)
        yield _point("yield/solutions", r, n, at)
        for mark, count in marked.get(r, {}).items():
            yield _point(f"yield/{mark}", r, count, at)
        if n:
            yield _point("yield/right_share", r, marked.get(r, {}).get("right", 0) / n, at)
            if r in kept or r not in rolled:  # no filter decides on a rollout
                yield _point("kept/share", r, kept.get(r, 0) / n, at)
        for f in filtered.get(r, ()):
            yield _point(f"kept/{f['name']}", r, f["kept"] / (f["kept"] + f["dropped"]), at)
        if r in asked:
            for k in ("tokens", "prompt_tokens", "calls"):
                yield _point(f"asked/{k}", r, getattr(asked[r], k), at)


def _scores(name: str, step: int, report: Report, at: float) -> Iterator[Point]:
    """An exam of the policy made in round ``step`` (0: the base), with its intervals, in all and by ability."""
    for where, metrics in [(name, report.metrics), *((f"{name}/{a}", m) for a, m in report.abilities.items())]:
        if (m := metrics.get("mean@1")) is not None:
            for suffix, value in (("", m.value), ("_low", m.low), ("_high", m.high)):
                yield _point(f"{where}/score{suffix}", step, value, at)


def _gate(v: Verdict, step: int, at: float) -> Iterator[Point]:
    yield Point("gate/promoted", step, float(v.promoted), at)
    for c in v.checks:
        if c.numbers.get("low") is not None:
            where = "gate" if c.name == "gain" else f"gate/{c.name.removeprefix('guard:')}"
            for k in ("gain", "low", "high", "before", "after"):
                if (value := c.numbers.get(k)) is not None:
                    yield _point(f"{where}/{k}", step, value, at)


def _health(h: Health, step: int, at: float) -> Iterator[Point]:
    for k, v in h.train.model_dump().items():
        if v is not None:
            yield Point(f"health/{k}", step, float(v), at)
    for a in h.alarms:
        yield _point(f"alarm/{a.name}", step, a.raised, at)


def _sealed(result: Mapping[str, Any], planned: int, ledger: Ledger) -> Iterator[Point]:
    """The sealed exam, and where the seconds of all sessions went: known when the run is over."""
    at = max((s["ended"] or 0.0 for s in ledger.rows("steps")), default=0.0)
    if "sealed" in result:
        x = result["sealed"]
        for where, figures in [("sealed", x), *((f"sealed/{a}", y) for a, y in x["abilities"].items())]:
            for k in ("base", "final", "gain", "low", "high", "best_constant"):
                if figures.get(k) is not None:
                    yield _point(f"{where}/{k}", planned, figures[k], at)
        for name, c in x["controls"].items():
            yield _point(f"sealed/control/{name}", planned, c["score"], at)
    sessions = ledger.rows("sessions")
    # a session that is killed leaves "running" behind; the last one notes its seconds when it ends
    if sessions and sessions[-1]["status"] != "running":
        for phase, seconds in progress.seconds_by_phase(ledger).items():
            yield _point(f"seconds/{phase}", planned, seconds, at)


def _losses(weights: Mapping[str, Any], training: Training) -> list[float]:
    """The loss of every training step of these weights, where it was recorded and is still there."""
    if weights["place"] != "artefact":
        return []
    try:
        told = json.loads((training(weights["digest"]) / "training.json").read_text("utf-8"))
    except (OSError, ValueError):
        return []
    losses = told.get("losses", []) if isinstance(told, dict) else []
    return [float(x) for x in losses if isinstance(x, (int, float))]


def _point(name: str, step: int, value: float, at: float) -> Point:
    return Point(cleaned(name), step, float(value), at)


def cleaned(name: str) -> str:
    """A name that every tracker takes: an ability is named by the user's data, and may hold anything."""
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)[:200]


def settings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every setting of a config by its dotted path, as text."""
    if isinstance(value, Mapping) and value:
        for k, v in value.items():
            yield from settings(v, f"{path}.{k}" if path else str(k))
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list, tuple)) for v in value):
        for i, v in enumerate(value):
            yield from settings(v, f"{path}.{i}")
    else:
        yield cleaned(path), value if isinstance(value, str) else json.dumps(value)
