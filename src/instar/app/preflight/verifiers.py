"""A run's verifiers, put to the test before a token is spent, and again when a user mended one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from instar.acquire.feedback.stress import SCALE, StressReport, check_verifier, judged, sample
from instar.acquire.feedback.verify import Verify
from instar.app.configs.config import Plan
from instar.errors import ConfigError
from instar.protocols import anywhere
from instar.records import Task

STRESSED = 8
"""Training tasks that a verifier is tested on."""
PLANTS = 20
"""Texts of one task that its test judges together, at most."""
QUICK = 0.25
"""Seconds of a check from which it is timed once more, ``TRIES`` times in all: in each of the processes that check, the
first one also loads what the check needs. The quickest counts."""
TRIES = 4
LONGEST = 60.0
"""Seconds that one check is waited for, unless it is given more."""
NO_SCORE = "It gives no wrong answer a score: nothing would ever be wrong. Return False (or 0) for them. "
"""Of a check that fails on all that is not right."""
NEAR = 0.7
"""Share of the time for all answers to a task from which a busy machine may not do."""


async def put_to_the_test(
    plan: Plan, train: Sequence[Task], say: Callable[[str], None], keep: Callable[[StressReport], None] = lambda _: None
) -> float:
    """Test a plan's verifiers on some of these tasks, before a token is spent on what they say. ``keep`` is handed what
    is to be noted. Raises ConfigError for one with which no run can learn anything, or that is too slow for the time
    it is given. Returns the seconds that the slowest check takes."""
    slowest = 0.0
    if plan.run.verifier_stress == "off":
        return slowest
    for place, judge in enumerate(verifiers(plan)):
        each = await _timed(judge, train[0]) if train and ":" in judge.checker else 0.0
        slowest = max(slowest, each)
        if too_slow := _too_slow(plan, judge, each, say):
            if plan.run.verifier_stress == "stop":
                raise too_slow
            say(f"warning: {too_slow.message} {too_slow.hint}")
        patient = judge.model_copy(update={"seconds": max(judge.seconds, 2 * PLANTS * each)})
        # some twenty texts a task: of a check that takes seconds, one task is what can be waited for
        tasks = sample(train, STRESSED if each < QUICK else 1)
        report: StressReport = await check_verifier(patient, tasks, say)
        if place == 0 or report.stops:
            keep(report)
        if report.stops and plan.run.verifier_stress == "stop":
            scale = f"{SCALE} " if any(p.outside for p in report.stops) else NO_SCORE if report.never_wrong else ""
            raise ConfigError(
                f"the verifier failed its test before the run: {report.lines(report.stops)[0]}.",
                f"{scale}Mend the verifier or the data, or go on all the same with --set verifier_stress=warn.",
            )
    return slowest


async def _timed(judge: Verify, task: Task) -> float:
    """Seconds of one check, of a right or a wrong answer, whichever takes longer; without what only the first takes,
    and as many as it is given at most."""
    patient = judge.model_copy(update={"seconds": max(judge.seconds, LONGEST)})
    slowest = 0.0
    for text in (f"Answer: {task.private.get('answer', '')}", "I don't know."):
        took: list[float] = []
        while len(took) < TRIES and QUICK <= min(took, default=QUICK) < patient.seconds:
            began = time.perf_counter()
            await judged(patient, task, [text])
            took.append(time.perf_counter() - began)
        slowest = max(slowest, min(took))
        if slowest >= patient.seconds:
            break  # it hangs
    return slowest


def _too_slow(plan: Plan, judge: Verify, each: float, say: Callable[[str], None]) -> ConfigError | None:
    """What is to be said of a check that all answers to one task do not fit the time of."""
    s = plan.settings
    many: Any = getattr(getattr(s, "attempt", None), "most", None) or getattr(getattr(s, "solve", None), "samples", 1)
    exams = (getattr(getattr(s, f, None), "samples", 1) for f in ("exam", "dev_exam"))
    most = max(int(many), *exams)
    slot = "judge" if getattr(s, "judge", None) is judge else "exam.judge"
    if each >= (waited := max(judge.seconds, LONGEST)):
        return ConfigError(
            f"one check by {anywhere(judge.checker)} did not end in {waited:g} s.",
            f"Mend it; if it is meant to take that long, give it more: --set {slot}.seconds=...",
        )
    if each * most <= judge.seconds:
        if each * most > NEAR * judge.seconds:
            say(
                f"warning: one check by {anywhere(judge.checker)} took {each:.1f} s: the {most} answers to a task take "
                f"{each * most:.1f} s of {slot}.seconds = {judge.seconds:g}, which a busy machine may not do. For "
                f"example: --set {slot}.seconds={math.ceil(2 * each * most)}"
            )
        return None
    return ConfigError(
        f"one check by {anywhere(judge.checker)} took {each:.1f} s: the {most} answers to a task take "
        f"{each * most:.0f} s, and {slot}.seconds = {judge.seconds:g} is for all of them.",
        f"For example: --set {slot}.seconds={math.ceil(2 * each * most)}; or fewer samples, or a quicker check.",
    )


def verifiers(plan: Plan) -> list[Verify]:
    """The run's verifier, and a user's own one of an exam where that is another."""
    judge = getattr(plan.settings, "judge", None)
    found = [judge] if isinstance(judge, Verify) else []
    for name in type(plan.settings).model_fields:
        other = getattr(getattr(plan.settings, name), "judge", None)
        if isinstance(other, Verify) and ":" in other.checker and other.op_id not in {j.op_id for j in found}:
            found.append(other)
    return found
