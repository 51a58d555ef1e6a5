"""A check that gave no score is made again in a later session, while nothing hangs on it; a score is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.acquire.feedback.rubric import Rubric
from instar.acquire.solutions.sample import Sample
from instar.borders import crossing
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StepFailed
from instar.evaluate.audit import PlantedDefects
from instar.evaluate.eval import Eval
from instar.protocols import Attempt, Judge, Models
from instar.records import Assessment, Experience, Feedback, Mark, Policy, Report, Sampling, Solution, Task
from instar.refine.corrections import critic
from instar.refine.corrections.critic import Critic
from instar.refine.corrections.findings import Evidence, Finding
from instar.refine.corrections.self_debug import SelfDebug
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.generate import BoundModel
from instar.run.measuring import Measuring
from instar.run.run import Run
from instar.store.ledger import Made
from instar.store.verify import verify
from tests.run.test_run import run_in, task

SAMPLE = Sample(samples=3, sampling=Sampling(temperature=0.8, max_tokens=32))
GREEDY = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=32))
TASKS = [task(i) for i in range(2, 8)]


class Shaky(Judge):
    """Scores all, and gives no score of the tasks on which it ``breaks``."""

    name: ClassVar[str] = "test_shaky"
    breaks: ClassVar[frozenset[str]] = frozenset()
    score: ClassVar[float] = 1.0

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        broken = task.canonical in self.breaks
        odd = [broken and i % 2 == 0 for i in range(len(solutions))]
        return [
            Feedback(solution=s.id, source="verifier", score=None if no else self.score,
                     mark=Mark.invalid if no else Mark.right, comment="it broke" if no else "", answer="1")
            for s, no in zip(solutions, odd, strict=True)
        ]  # fmt: skip


class Tries(Attempt):
    """Sampling judged at once."""

    name: ClassVar[str] = "test_tries"
    judge: Judge = Shaky()

    async def __call__(self, task: Task, models: Models) -> Sequence[Experience]:
        made = [s.model_copy(update={"id": str(i)}) for i, s in enumerate(await SAMPLE(task, models))]
        said = await self.judge(task, made, models)
        return [Experience(task=task, solution=s, feedback=f) for s, f in zip(made, said, strict=True)]


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shaky, "breaks", frozenset())
    monkeypatch.setattr(Shaky, "score", 1.0)


def broken(on: Sequence[Task] = TASKS) -> None:
    Shaky.breaks = frozenset(t.canonical for t in on)


def mend(score: float = 1.0) -> None:
    Shaky.breaks, Shaky.score = frozenset(), score


def session(folder: Path) -> Run:
    run = run_in(folder, ScriptedEngine())
    run.ledger.add_records([Made(t, "i1:t", 0, i) for i, t in enumerate(TASKS)])
    run.ledger.add_records([Made(run.base, "i1:m", 0, 0)])
    return run


def judged(run: Run, tasks: Sequence[Task] = TASKS) -> list[Experience]:
    async def work() -> list[Experience]:
        models = run.models(run.base)
        return await run.judge(Shaky(), await run.solve(SAMPLE, tasks, models), models)

    return asyncio.run(work())


def marks(attempts: Sequence[Experience]) -> list[str]:
    return [e.feedback.mark.value for e in attempts if e.feedback]


def sound(run: Run) -> None:
    """The ledger is what it says, but for tasks that the tests mint by hand."""
    hand = {t.id for t in TASKS}
    assert [w for w in verify(run.ledger) if not any(id in w for id in hand)] == []
    run.ledger.close()


def test_a_mended_check_is_made_again_and_what_had_a_score_keeps_it(tmp_path: Path) -> None:
    broken(TASKS[:2])
    first = session(tmp_path)
    before = judged(first)
    assert marks(before).count("invalid") == 4
    first.ledger.close()
    mend(score=0.5)
    again = session(tmp_path)
    after = judged(again)
    assert again.generate_context.asked == 0
    assert [f.score for e in after if (f := e.feedback)] == [0.5, 1, 0.5, 0.5, 1, 0.5, *[1] * 12]
    kept = [b.feedback == a.feedback for b, a in zip(before, after, strict=True)]
    assert kept == [m != "invalid" for m in marks(before)]
    assert '"reason": "it broke"' in again.ledger.about()["made_again"]
    sound(again)
    last = session(tmp_path)
    assert judged(last) == after  # and from now on it is what it is
    sound(last)


def test_a_check_that_is_still_broken_says_the_same_and_the_ledger_too(tmp_path: Path) -> None:
    broken(TASKS[:2])
    first = session(tmp_path)
    before, was = judged(first), first.ledger.content_digest()
    assert judged(first) == before  # in one session nothing is made twice
    first.ledger.close()
    again = session(tmp_path)
    assert judged(again) == before
    assert again.ledger.content_digest() == was
    sound(again)


def test_a_run_that_stopped_because_nothing_could_be_checked_goes_on_when_it_can(tmp_path: Path) -> None:
    class All(Shaky):
        name: ClassVar[str] = "test_all"

        async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
            said = await super().__call__(task, solutions, models)
            gone = {"score": None, "mark": Mark.invalid}
            return [f.model_copy(update=gone) for f in said] if self.breaks else said

    async def work(run: Run) -> list[Experience]:
        models = run.models(run.base)
        return await run.judge(All(), await run.solve(SAMPLE, TASKS, models), models)

    broken()
    first = session(tmp_path)
    with pytest.raises(StepFailed, match="the checker failed on every one of 18 answers") as stopped:
        asyncio.run(work(first))
    assert "resume with --accept-changes" in stopped.value.hint
    first.ledger.close()
    mend()
    again = session(tmp_path)
    assert set(marks(asyncio.run(work(again)))) == {"right"}
    sound(again)


def test_what_was_decided_on_a_missing_score_stands(tmp_path: Path) -> None:
    broken(TASKS[:1])
    first = session(tmp_path)
    before = judged(first)
    kept = asyncio.run(first.keep(ScoreAtLeast(), before))
    first.ledger.close()
    mend()
    again = session(tmp_path)
    after = judged(again)
    assert after == before
    assert asyncio.run(again.keep(ScoreAtLeast(), after)) == kept
    assert "made_again" not in again.ledger.about()
    sound(again)


def test_an_exam_that_could_not_be_scored_is_scored_after_the_mending(tmp_path: Path) -> None:
    exam = Eval(solve=GREEDY, judge=Shaky())
    broken(TASKS[1:3])
    first = session(tmp_path)
    with pytest.raises(StepFailed, match=r"2 of 6 samples .* could not be scored") as stopped:
        asyncio.run(first.evaluate(exam, first.base, TASKS, suite="gate"))
    assert f'--without {TASKS[1].id}="why"' in stopped.value.hint
    first.ledger.close()
    mend()
    again = session(tmp_path)
    report = asyncio.run(again.evaluate(exam, again.base, TASKS, suite="gate"))
    assert report.metrics["mean@1"].value == 1
    assert again.generate_context.asked == 0
    sound(again)
    broken()  # now a report hangs on it
    last = session(tmp_path)
    assert asyncio.run(last.evaluate(exam, last.base, TASKS, suite="gate")) == report
    sound(last)


def test_an_attempt_is_made_again_from_the_journal(tmp_path: Path) -> None:
    broken(TASKS[:3])
    first = session(tmp_path)
    before = asyncio.run(first.attempt(Tries(), TASKS, first.models(first.base)))
    assert marks(before).count("invalid") == 6
    first.ledger.close()
    mend(score=0.25)
    again = session(tmp_path)
    after = asyncio.run(again.attempt(Tries(), TASKS, again.models(again.base)))
    assert again.generate_context.asked == 0
    assert [e.solution for e in after] == [e.solution for e in before]
    assert [f.score for e in after[:3] if (f := e.feedback)] == [0.25, 1, 0.25]
    sound(again)


def test_the_audit_of_a_check_that_broke_is_made_again(tmp_path: Path) -> None:
    def measured(run: Run) -> Assessment:
        run.measuring, run.round = Measuring(PlantedDefects()), 1
        judged(run)
        (found,) = (a for a in run.ledger.records("assessment") if isinstance(a, Assessment))
        return found

    broken()
    first = session(tmp_path)
    assert sum(c.get("invalid", 0) for c in measured(first).counts.values()) > 0
    first.ledger.close()
    mend()
    again = session(tmp_path)
    found = measured(again)
    assert all("invalid" not in c for c in found.counts.values())
    assert found.counts["good"]["right"] > 0
    sound(again)


def test_a_judge_that_asks_a_model_says_what_its_journal_holds(tmp_path: Path) -> None:
    unreadable = Rubric(samples=1, sampling=Sampling(temperature=0.0, max_tokens=1))

    async def work(run: Run) -> list[Experience]:
        models = run.models(run.base)
        return await run.judge(unreadable, await run.solve(SAMPLE, TASKS, models), models)

    first = session(tmp_path)
    with pytest.raises(StepFailed, match="failed on every one"):
        asyncio.run(work(first))
    was = first.ledger.content_digest()
    first.ledger.close()
    again = session(tmp_path)
    with pytest.raises(StepFailed, match="failed on every one"):
        asyncio.run(work(again))
    assert again.generate_context.asked == 0
    assert again.ledger.content_digest() == was
    sound(again)


def test_a_correction_whose_tests_could_not_be_run_is_made_again_until_it_was_judged(tmp_path: Path) -> None:
    mending = SelfDebug(tests=Shaky())

    def corrected(run: Run, *, then_judged: bool) -> list[tuple[str, ...]]:
        async def work() -> list[Experience]:
            attempts = await run.solve(SAMPLE, TASKS, run.models(run.base))
            made = await run.correct(mending, attempts, run.models(run.base))
            return await run.judge(Shaky(), made, run.models(run.base)) if then_judged else made

        return [e.solution.flags for e in asyncio.run(work())]

    broken()
    first = session(tmp_path)
    assert all("no_evidence" in flags for flags in corrected(first, then_judged=False))
    first.ledger.close()
    mend()
    again = session(tmp_path)
    assert not any("no_evidence" in flags for flags in corrected(again, then_judged=True))
    sound(again)


@pytest.mark.parametrize("then", [Evidence.agrees, Evidence.disagrees, Evidence.none])
def test_a_critics_program_that_gave_no_evidence_is_run_again_with_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: Evidence
) -> None:
    ran: list[Evidence] = []
    says = Evidence.none

    async def by_python(*_: Any, **__: Any) -> Finding:
        ran.append(says)
        return Finding(says, f"The program: {says}.")

    def corrected(run: Run) -> list[Experience]:
        async def work() -> list[Experience]:
            models = run.models(run.base)
            return await run.correct(Critic(tool="python", rounds=1), await run.solve(GREEDY, TASKS, models), models)

        return asyncio.run(work())

    monkeypatch.setattr(critic, "by_python", by_python)
    first = session(tmp_path)
    before, was = corrected(first), first.ledger.content_digest()
    assert all("no_evidence" in e.solution.flags for e in before)
    first.ledger.close()
    says = then
    again = session(tmp_path)
    after = corrected(again)
    assert ran == [Evidence.none] * len(TASKS) + [then] * len(TASKS)
    assert all(("no_evidence" in e.solution.flags) == (then is Evidence.none) for e in after)
    assert again.generate_context.asked == (
        2 * len(TASKS) if then is Evidence.disagrees else 0
    )  # a critique and an answer
    assert (again.ledger.content_digest() == was) == (then is Evidence.none)
    sound(again)
    last = session(tmp_path)
    assert corrected(last) == after
    assert len(ran) == (3 if then is Evidence.none else 2) * len(TASKS)  # what has evidence is never asked for again
    sound(last)


@pytest.mark.parametrize(("remade", "effects", "times"), [(True, False, 2), (False, False, 1), (True, True, 1)])
def test_what_says_nothing_is_done_again_in_a_call_that_is_made_again_alone_and_never_with_effects(
    tmp_path: Path, remade: bool, effects: bool, times: int
) -> None:
    run, done = session(tmp_path), 0

    async def work() -> str:
        nonlocal done
        done += 1
        return ""

    for again in (False, remade):
        model = BoundModel(run.base, "exact", "i1:s", "i1:c", run.generate_context, {}, remade=again)
        assert asyncio.run(crossing(model, "tool", "x", work, again=not effects, says=bool)) == ""
    assert done == times
    run.ledger.close()


def test_a_report_stays_when_the_policy_it_is_of_is_examined_again(tmp_path: Path) -> None:
    """The candidate's gap is closed; the incumbent's report, made before, is replayed."""
    from instar.scripted_world import base_policy

    candidate: Policy = base_policy("Answer.")
    exam = Eval(solve=GREEDY, judge=Shaky())
    first = session(tmp_path)
    first.ledger.add_records([Made(candidate, "i1:m", 0, 1)])
    before: Report = asyncio.run(first.evaluate(exam, first.base, TASKS, suite="gate"))
    broken(TASKS[:1])
    with pytest.raises(StepFailed, match="could not be scored"):
        asyncio.run(first.evaluate(exam, candidate, TASKS, suite="gate"))
    first.ledger.close()
    mend()
    again = session(tmp_path)
    assert asyncio.run(again.evaluate(exam, again.base, TASKS, suite="gate")) == before
    assert asyncio.run(again.evaluate(exam, candidate, TASKS, suite="gate")).exam == before.exam
    sound(again)
