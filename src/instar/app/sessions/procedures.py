"""What a procedure is worth at its price: the sealed exam of policy and correction, beside sampling for as many tokens.

A correction asks several times for one answer. Sampling may ask as often: so the policy is sampled ``k`` times a task,
with ``k`` such that both write the same number of tokens, and the majority of those samples is the rival. Tokens that
are *read* are not counted, which favours corrections: they read their whole history again at each step.
"""

from __future__ import annotations

import math
from typing import Any

from instar.acquire.solutions.best_of import BestOf
from instar.acquire.solutions.sample import Sample
from instar.evaluate import measures
from instar.evaluate.eval import Eval
from instar.evaluate.intervals import interval_of, paired_bootstrap
from instar.protocols import Solve
from instar.records import Policy, Report, Sampling
from instar.run.run import Run

MOST = 64
"""Samples a task that are drawn at most, however much a procedure costs."""

SAMPLING = Sampling(temperature=0.7, top_k=40)
"""Of the rival: the settings of self-consistency (arXiv 2203.11171)."""


async def procedures(run: Run, exam: Eval, policy: Policy, plain: Report) -> dict[str, Any]:
    """Each of the run's procedures on the sealed tasks: its score, its rivals at equal cost, and what it gains on them.

    ``plain`` is the policy's own sealed report. Scores are shares with 95 % intervals; ``tokens`` are written a task.
    """
    found: dict[str, Any] = {}
    drawn: set[int] = set()
    for name, procedure in run.procedures.items():
        # suites of their own: "sealed" is the plain exam that base and result are compared on
        cast, run.cast = run.cast, {**run.cast, **run.casts.get(name, {})}
        report = await run.evaluate(procedure, policy, run.tasks.sealed, suite=f"sealed, {name}")
        run.cast = cast
        cost = report.metrics["tokens"].value
        n = max(1, min(MOST, math.ceil(cost / max(1.0, plain.metrics["tokens"].value))))
        while n in drawn:  # two exams with one operator would be one: another rival of this cost draws one more
            n += 1
        drawn.add(n)
        rival = Eval(solve=sampled_by(exam.solve, n), judge=exam.judge, samples=n)
        sampled = await run.evaluate(rival, policy, run.tasks.sealed, suite=f"sealed, as many tokens as {name}")
        found[name] = compared(plain, report, sampled)
        run.note(f"{name}: {found[name]['procedure']['score']:.1%}, plain {found[name]['plain']['score']:.1%}")
    return found


def compared(plain: Report, procedure: Report, sampled: Report) -> dict[str, Any]:
    """The rows of one comparison, and the paired gains of the procedure on the plain policy and on the majority."""
    cost, each = procedure.metrics["tokens"].value, sampled.metrics["tokens"].value
    k = max(1, min(sampled.exam.n, round(cost / max(1.0, each))))
    own = measures.mean_at_1(procedure.outcomes)
    before = measures.mean_at_1(plain.outcomes)
    rows = {
        "plain": _row(before, plain.metrics["tokens"].value),
        "procedure": _row(own, cost),
        "sampling": _row(measures.mean_at_k(sampled.outcomes), each),
        "best_of_k": _row(measures.pass_at_k(sampled.outcomes, k), k * each),  # an oracle picks: not a rival, a limit
    }
    found: dict[str, Any] = {"k": k, "n": len(own), **rows, "gain": _gain(before, own)}
    if measures.votes_are_known(sampled.outcomes):
        majority = measures.maj_at_k(sampled.outcomes, k)
        found |= {"self_consistency": _row(majority, k * each), "gain_on_self_consistency": _gain(majority, own)}
    return found


def _row(scores: measures.FloatArray, tokens: float) -> dict[str, float]:
    i = interval_of(scores)
    return {"score": i.value, "low": i.low, "high": i.high, "tokens": tokens}


def _gain(before: measures.FloatArray, after: measures.FloatArray) -> dict[str, float]:
    gap = paired_bootstrap(before, after)
    return {"value": gap.value, "low": gap.low, "high": gap.high}


def sampled_by(solve: Solve, n: int) -> Solve:
    """The rival: what the exam is solved by, ``n`` times a task and sampled, at no greater length. A solver around
    another one stays around it; for one that cannot be told how often it answers, plain samples stand."""
    inner = getattr(solve, "inner", None)
    if isinstance(inner, Solve):
        return solve.model_copy(update={"inner": sampled_by(inner, n)})
    own = getattr(solve, "sampling", None)
    chooses = isinstance(solve, BestOf)  # its samples are of one answer
    if chooses or not isinstance(own, Sampling) or "samples" not in type(solve).model_fields:
        return Sample(samples=n, sampling=SAMPLING)
    sampling = SAMPLING.model_copy(update={"max_tokens": own.max_tokens})
    return solve.model_copy(update={"samples": n, "sampling": sampling})
