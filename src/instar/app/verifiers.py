"""A run's verifiers, put to the test before a token is spent, and again when a user mended one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from instar.acquire.feedback.stress import SCALE, StressReport, check_verifier, sample
from instar.acquire.feedback.verify import Verify
from instar.app.config import Plan
from instar.errors import ConfigError
from instar.records import Task

STRESSED = 8
"""Training tasks that a verifier is tested on."""


async def put_to_the_test(
    plan: Plan, train: Sequence[Task], say: Callable[[str], None], keep: Callable[[StressReport], None] = lambda _: None
) -> None:
    """Test a plan's verifiers on some of these tasks, before a token is spent on what they say. ``keep`` is handed what
    is to be noted. Raises ConfigError for one with which no run can learn anything."""
    if plan.run.verifier_stress == "off":
        return
    for place, judge in enumerate(verifiers(plan)):
        report: StressReport = await check_verifier(judge, sample(train, STRESSED), say)
        if place == 0 or report.stops:
            keep(report)
        if report.stops and plan.run.verifier_stress == "stop":
            scale = f"{SCALE} " if any(p.outside for p in report.stops) else ""
            raise ConfigError(
                f"the verifier failed its test before the run: {report.lines(report.stops)[0]}.",
                f"{scale}Mend the verifier or the data, or go on all the same with --set verifier_stress=warn.",
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
