"""From judged exam attempts to a report: every item's outcome, and each metric with its interval.

An exam accepts no gap. A sample that is missing, unjudged, or whose checker crashed would change the denominator, so it
is refused with a count; so are answers that another policy, engine or precision gave than the exam says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.errors import DataError, EngineError, StepFailed
from instar.evaluate import measures
from instar.evaluate.exams import items_digest
from instar.evaluate.intervals import interval_of
from instar.records import Exam, Experience, Interval, Mark, Outcome, Report, Task


def make_report(policy_id: str, exam: Exam, attempts: Sequence[Experience], tasks: Sequence[Task]) -> Report:
    """The report of a policy on an exam. Outcomes are in task order, samples in the order of ``attempts``.

    Raises DataError if ``tasks`` are not the exam's, StepFailed if any task lacks a judged sample or has one too many,
    EngineError if a sample comes from another policy, engine or precision than the report would say.
    """
    if items_digest(tasks) != exam.items:
        raise DataError(
            f"These {len(tasks)} tasks are not those of exam {exam.suite!r} (digest of its items: {exam.items!r}).",
            "Make the exam with instar.evaluate.exams.make_exam from the very tasks that are scored.",
        )
    groups = _grouped(attempts, tasks)
    _refuse_gaps(exam, groups)
    _refuse_strangers(policy_id, exam, attempts)
    outcomes = tuple(_outcome(task, groups[task.id]) for task in tasks)
    return Report(
        policy=policy_id,
        exam=exam,
        outcomes=outcomes,
        metrics=metrics_of(outcomes, exam.n),
        abilities={ability: metrics_of(own, exam.n) for ability, own in measures.by_ability(outcomes).items()},
    )


def metrics_of(outcomes: Sequence[Outcome], n: int) -> dict[str, Interval]:
    """All metrics of outcomes with ``n`` samples each.

    Always ``mean@1``, ``parse_rate``, ``tokens`` (a sample), and ``best_constant`` where gold answers are known. With
    n > 1 also ``mean@n``, and ``pass@k`` and ``maj@k`` for k = n and the powers of two below. ``maj@k`` is left out
    where the checker names no answers. ``n`` of an interval counts items.
    """
    found = {"mean@1": interval_of(measures.mean_at_1(outcomes))}
    if n > 1:
        ks = sorted({n, *(2**i for i in range(1, n.bit_length()) if 2**i < n)})
        found[f"mean@{n}"] = interval_of(measures.mean_at_k(outcomes))
        found |= {f"pass@{k}": interval_of(measures.pass_at_k(outcomes, k)) for k in ks}
        if measures.votes_are_known(outcomes):
            found |= {f"maj@{k}": interval_of(measures.maj_at_k(outcomes, k)) for k in ks}
    found["parse_rate"] = interval_of(measures.parse_rate(outcomes))
    found["tokens"] = interval_of(measures.mean_tokens(outcomes), share=False)
    hits = measures.constant_hits(outcomes)
    if len(hits):
        found["best_constant"] = interval_of(hits)
    return found


def _grouped(attempts: Sequence[Experience], tasks: Sequence[Task]) -> Mapping[str, list[Experience]]:
    groups: dict[str, list[Experience]] = {t.id: [] for t in tasks}
    seen: set[str] = set()
    for attempt in attempts:
        if attempt.task.id not in groups or attempt.solution.task != attempt.task.id:
            raise StepFailed(
                f"Solution {attempt.solution.id!r} (for task {attempt.solution.task!r}) came with task"
                f" {attempt.task.id!r}, which is {'not its own' if attempt.task.id in groups else 'not in this exam'}.",
                "Score only the attempts made for this exam.",
            )
        if attempt.solution.id and attempt.solution.id in seen:
            raise StepFailed(
                f"Solution {attempt.solution.id!r} of task {attempt.task.id!r} is there twice.",
                "Pass each judged sample once: a repeated one would be counted as a second sample.",
            )
        seen.add(attempt.solution.id)
        groups[attempt.task.id].append(attempt)
    return groups


def _refuse_gaps(exam: Exam, groups: Mapping[str, Sequence[Experience]]) -> None:
    wanted = exam.n * len(groups)
    judged = {task: [a.feedback for a in own if a.feedback is not None] for task, own in groups.items()}
    missing = sum(max(0, exam.n - len(own)) for own in judged.values())
    if missing:
        first = next(task for task, own in judged.items() if len(own) < exam.n)
        raise StepFailed(
            f"Exam {exam.suite!r} lacks {missing} of {wanted} judged samples (first: task {first!r} has"
            f" {len(judged[first])} of {exam.n}); exams accept no gap.",
            f"Set the exam's samples ({exam.n}) to what its solve gives a task, and start a new run.",
        )
    many = [task for task, own in groups.items() if len(own) > exam.n]
    if many:
        raise StepFailed(
            f"{len(many)} tasks of exam {exam.suite!r} have more than {exam.n} samples (first: task {many[0]!r} has"
            f" {len(groups[many[0]])}).",
            "Score the attempts of one exam at a time.",
        )
    gaps = [f for own in judged.values() for f in own if f.mark not in (Mark.right, Mark.wrong)]
    if gaps:
        first = next(task for task, own in judged.items() if gaps[0] in own)
        kinds = " and ".join(
            f"{sum(f.mark is mark for f in gaps)} {mark.value}"
            for mark in (Mark.invalid, Mark.unscored)
            if any(f.mark is mark for f in gaps)
        )
        raise StepFailed(
            f"{len(gaps)} of {wanted} samples of exam {exam.suite!r} could not be scored ({kinds}); exams accept no"
            f" gap. First reason: {gaps[0].comment or 'none given'}.",
            "Mend the checker and resume with --accept-changes: what gave no score is checked again. "
            f'Or leave a task out for every policy: --without {first}="why".',
        )


def _refuse_strangers(policy_id: str, exam: Exam, attempts: Sequence[Experience]) -> None:
    said = (policy_id, exam.engine, exam.precision)
    odd = [s for s in (a.solution for a in attempts) if (s.policy, s.engine, s.precision) != said]
    if odd:
        raise EngineError(
            f"{len(odd)} of {len(attempts)} samples of exam {exam.suite!r} were given by policy {odd[0].policy!r} on"
            f" engine {odd[0].engine!r} in {odd[0].precision!r}, not by {policy_id!r} on {exam.engine!r} in"
            f" {exam.precision!r}.",
            "Check that the engine loaded the new weights, and that the exam names the engine and precision used.",
        )


def _outcome(task: Task, attempts: Sequence[Experience]) -> Outcome:
    gold = task.private.get("answer")
    feedback = [a.feedback for a in attempts if a.feedback is not None]
    return Outcome(
        task=task.id,
        ability=task.ability,
        gold=None if gold is None else str(gold),
        marks=tuple(f.mark for f in feedback),
        answers=tuple(f.answer for f in feedback),
        tokens=tuple(a.solution.tokens for a in attempts),
    )
