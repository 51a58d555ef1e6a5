"""A run that cannot learn says why: early, once a round as a decision on record, and it stops unless told to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import BudgetSpent, Cancelled, NothingToLearn
from instar.protocols import Judge, Models
from instar.records import Decision, Experience, Feedback, Finish, Mark, Record, Solution, Task, Turn, TurnKind
from instar.refine.filters.length import Finished
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.learning import Heard, few, filtered, foreign, likely, peeking, weigh_kept
from instar.run.progress import Screen
from instar.run.run import Run
from tests.run.test_run import SAMPLE, run_in, task


class Marks(Judge):
    """Marks every answer alike."""

    name: ClassVar[str] = "marks"

    right: bool = False

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        mark = Mark.right if self.right else Mark.wrong
        return [
            Feedback(solution=s.id, score=float(self.right), mark=mark, source="verifier", answer="7", comment="")
            for s in solutions
        ]


class Checked(Marks):
    """Counts what it is asked."""

    name: ClassVar[str] = "checked"
    asked: ClassVar[int] = 0

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        type(self).asked += 1
        return await super().__call__(task, solutions, models)


def solution_of(task: Task, i: int) -> Solution:
    return Solution(id=f"{task.id}-{i}", task=task.id, turns=(), policy="p", engine="e", precision="f32",
                    sampling=SAMPLE.sampling, finish=Finish.stop)  # fmt: skip


async def a_round(run: Run, *, right: bool = False, tasks: int = 20) -> list[Experience]:
    """A round of ``rest_em`` up to its training."""
    kept: list[Experience] = []
    for _ in run.rounds(1):
        attempts = await run.solve(SAMPLE, [task(i) for i in range(1, tasks + 1)], run.models(run.base))
        kept = await run.keep(
            ScoreAtLeast(minimum=1.0), await run.judge(Marks(right=right), attempts, run.models(run.base))
        )
    return kept


@pytest.mark.parametrize(("right", "said"), [(False, "0 of 60 answers"), (True, "60 of 60 answers")])
def test_a_round_of_which_no_answer_is_right_or_all_are_stops_the_run_on_record(
    tmp_path: Path, right: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    run.screen = Screen("plain")
    with pytest.raises(NothingToLearn, match=said) as stopped:
        asyncio.run(a_round(run, right=right))
    assert "--keep-going" in stopped.value.hint
    (decision,) = [d for d in run.ledger.records("decision") if isinstance(d, Decision) and d.item == "round 1"]
    assert not decision.kept
    assert '"' not in decision.reason + stopped.value.kept, "a person's words would outlive their redaction"
    assert ('"7" where gold is "2"' in stopped.value.message) is not right, "what is printed, with --quiet too, quotes"
    assert capsys.readouterr().err.count("answers are right") == 0, "it is said once: as the error"
    assert (task(1).id in decision.reason) is (task(1).id in stopped.value.kept) is not right
    with pytest.raises(NothingToLearn):  # resumed: the same decision, not another
        asyncio.run(a_round(run_in(tmp_path, ScriptedEngine()), right=right))
    assert sum(isinstance(d, Decision) and d.item == "round 1" for d in run.ledger.records("decision")) == 1


def test_it_goes_on_where_the_user_said_so_and_says_that(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    run.keep_going = True
    assert asyncio.run(a_round(run)) == []
    (decision,) = [d for d in run.ledger.records("decision") if isinstance(d, Decision) and d.item == "round 1"]
    assert decision.kept
    assert decision.reason.endswith("keep_going is set.")


def test_the_first_answers_are_told_of_while_the_others_are_made(tmp_path: Path) -> None:
    run, said = run_in(tmp_path, ScriptedEngine()), []
    judge = Checked()
    look = peeking(judge, tasks := [task(i) for i in range(100)], run.heard, 1, said.append)

    async def work() -> None:
        results: dict[str, list[Record]] = {}
        for t in reversed(tasks[50:]):  # the later ones first: task order counts
            results[t.id] = [solution_of(t, i) for i in range(4)]
            await look(results)
        assert said == []
        for t in tasks[:50]:
            results[t.id] = [solution_of(t, i) for i in range(4)]
            await look(results)

    asyncio.run(work())
    assert len(said) == 1
    assert "0 of the first 200" in said[0]
    assert judge.asked == 50
    run.heard.hear(1, attempts(300), said.append)
    assert len(said) == 1  # said once


@pytest.mark.parametrize("error", [Cancelled("stop"), BudgetSpent("spent"), ValueError("a judge's own")])
def test_what_stops_a_run_stops_it_while_the_first_answers_are_looked_at(error: Exception) -> None:
    class Fails(Marks):
        async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
            raise error

    results: dict[str, list[Record]] = {task(0).id: [solution_of(task(0), i) for i in range(200)]}
    look = peeking(Fails(), [task(0)], Heard(), 1, print)
    with nullcontext() if isinstance(error, ValueError) else pytest.raises(type(error)):
        asyncio.run(look(results))


def test_a_handful_of_answers_decides_nothing(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    assert asyncio.run(a_round(run, tasks=10)) == []


def attempts(n: int, *, mark: Mark = Mark.wrong, answer: str | None = "7", **more: object) -> list[Experience]:
    out = []
    source = more.pop("source", "verifier")
    for i in range(n):
        t = task(i)
        s = Solution(id=f"s{i}", task=t.id, policy="p", engine="e", precision="f32",
                     sampling=SAMPLE.sampling, **{"finish": Finish.stop, "turns": (), **more})  # fmt: skip
        f = Feedback(solution=s.id, score=1.0 if mark is Mark.right else 0.0, mark=mark, source=source, answer=answer)
        out.append(Experience(task=t, solution=s, feedback=f))
    return out


def test_the_first_two_hundred_are_told_of_once_and_a_judge_without_gold_is_not_believed() -> None:
    said: list[str] = []
    heard = Heard()
    heard.hear(1, attempts(150), said.append)
    assert said == []
    heard.hear(1, attempts(150), said.append)
    heard.hear(1, attempts(150), said.append)
    assert len(said) == 1
    assert said[0].startswith("warning: 0 of the first 200 answers are right.")
    assert len(heard.attempts) == 450
    played = Heard()
    played.hear(1, attempts(250, source="environment", answer=None), said.append)
    assert (len(played.attempts), len(said)) == (250, 2)
    votes = [
        e.model_copy(update={"feedback": e.feedback.model_copy(update={"source": "vote"})})
        for e in attempts(300)
        if e.feedback
    ]
    other = Heard()
    other.hear(1, votes, said.append)
    assert (other.attempts, len(said)) == ([], 2)


def test_the_cause_is_named_with_its_setting() -> None:
    assert "max_tokens" in likely(attempts(50, finish=Finish.length))
    assert "In 50 of them no answer could be read" in likely(attempts(50, answer=None))
    assert '"7" where gold is "0"' in likely(attempts(50), quoting=True)
    assert f"for example to {task(0).id}" in likely(attempts(50))
    assert "Look at some episodes" in likely(attempts(50, answer=None, source="environment"))
    played = likely(attempts(50, answer=None, source="environment", finish=Finish.length))
    assert "50 of these episodes were not over in their turns: more turns" in played
    for kind, more in ((TurnKind.partner, "turns"), (TurnKind.tool_result, "max_tokens")):
        told = likely(
            attempts(50, answer=None, finish=Finish.length, turns=(Turn(kind=kind, text="Four.", train=False),))
        )
        assert more in told, kind
        assert ("max_tokens" in told) == (kind is TurnKind.tool_result)
    assert "hardly knows: it takes 3.8 tokens for each character" in likely(asked_in_chinese(50, tokens=30))


def asked_in_chinese(n: int, *, tokens: int, each: float = 0.0) -> list[Experience]:
    """Wrong answers to questions in Chinese; with ``each``, ever longer ones that cost so many tokens a letter."""
    out = []
    for i, e in enumerate(attempts(n)):
        text = "一天有多少小时?" + "几" * (i if each else 0)
        message = e.task.messages[0].model_copy(update={"content": text})
        out.append(
            e.model_copy(
                update={
                    "task": e.task.model_copy(update={"messages": (message,)}),
                    "solution": e.solution.model_copy(update={"prompt_tokens": tokens + round(each * i)}),
                }
            )
        )
    return out


def test_a_language_is_blamed_where_the_tokenizer_cuts_it_to_pieces_and_no_long_prompt_is_taken_for_that() -> None:
    assert "it takes 1.7 tokens for each character" in foreign(asked_in_chinese(100, tokens=300, each=1.7))
    assert foreign(asked_in_chinese(100, tokens=300, each=0.6)) == ""
    assert foreign(attempts(50)) == ""
    assert foreign(asked_in_chinese(100, tokens=0)) == ""  # nobody counted


def test_few_rows_of_a_language_that_the_model_does_not_know_are_put_on_record_with_that_cause(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    asked = asked_in_chinese(50, tokens=30)
    right = asked[0].feedback
    assert right is not None
    asked[0] = asked[0].model_copy(update={"feedback": right.model_copy(update={"mark": Mark.right, "score": 1.0})})
    for _ in run.rounds(1):
        run.heard.hear(1, asked, print)
        weigh_kept(run._steps, run.heard, 1)
        weigh_kept(run._steps, run.heard, 1)
    (decision,) = [d for d in run.ledger.records("decision") if isinstance(d, Decision)]
    assert decision.kept
    assert decision.reason.startswith(
        "1 of 50 answers are right. 1 of them is left to learn from. The questions are in"
    )
    (tmp_path / "known").mkdir()
    known = run_in(tmp_path / "known", ScriptedEngine())
    for _ in known.rounds(1):
        known.heard.hear(1, [asked[0], *attempts(49)], print)
        weigh_kept(known._steps, known.heard, 1)
    assert not known.ledger.records("decision")


def test_a_filter_that_leaves_no_task_a_right_answer_is_told_of_and_a_cap_is_not() -> None:
    right = attempts(40, mark=Mark.right)
    said = filtered(Finished(), right, right[:4])
    assert said is not None
    assert "finished dropped 36 of 40 right answers as unfinished" in said
    assert "solve.sampling.max_tokens" in said
    four_each = [e for e in right[:10] for _ in range(4)]
    assert filtered(Finished(), four_each, right[:10]) is None
    assert "only 1 row to train on" in few(1)


def test_equal_answers_after_the_last_round_are_comparison_and_nothing_is_warned_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    said: list[str] = []
    monkeypatch.setattr(run.screen, "line", said.append)

    async def work() -> None:
        for _ in run.rounds(1):
            pass
        run.evolved()
        asked = await run.solve(SAMPLE, [task(i) for i in range(80)], run.models(run.base), peek=Checked())
        await run.judge(Marks(), asked, run.models(run.base))

    Checked.asked = 0
    asyncio.run(work())
    assert (Checked.asked, run.heard.attempts) == (0, [])
    assert not [line for line in said if "warning" in line]
