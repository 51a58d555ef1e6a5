"""What a model or a checker says, whatever it is, is data: it never ends a run, and a resumed run reads the same."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instar import legible
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import CannotContinue, EngineError, StepFailed, StoreError
from instar.protocols import Judge, Models, RolloutPrompts, Solve, Update, UpdateContext
from instar.records import Experience, Feedback, Mark, Message, Policy, Reply, Role, Sampling, Solution, Task
from instar.run import generate, outputs
from instar.run.run import Run
from instar.store.ledger import Ledger, Made
from instar.store.verify import verify
from tests.run.test_run import SAMPLE, run_in, task

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.binary(max_size=4) | ANY_TEXT
    | st.sampled_from([6_000, 10]).map(lambda digits: 10**digits) | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)  # fmt: skip


class Wild(ScriptedEngine):
    """Answers with whatever it is told to."""

    says: str = "half an emoji \ud83d"
    counts: int = 3

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        made = await super().ask(policy, messages, n=n, sampling=sampling, seed=seed, precision=precision)
        return [r.model_copy(update={"text": f"{self.says} {r.text}", "tokens": self.counts}) for r in made]


class WildJudge(Judge):
    """Comments, evidence and exceptions are whatever it is told."""

    name: ClassVar[str] = "test_wild_judge"
    comment: ClassVar[str] = "cannot add \ud83d"
    evidence: ClassVar[dict[str, Any]] = {"failed": "\ud83d"}
    raises: ClassVar[BaseException | None] = None
    changed: ClassVar[dict[str, Any]] = {}

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        if self.raises is not None and task.canonical == "1":
            raise self.raises
        return [
            Feedback(
                solution=s.id, score=1.0, mark=Mark.right, source="judge", comment=self.comment, evidence=self.evidence
            ).model_copy(update=self.changed)
            for s in solutions
        ]


class Quotes(Solve):
    """Asks with half an emoji, then may be told to break."""

    name: ClassVar[str] = "test_quotes"
    breaks: ClassVar[bool] = False

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        quoted = Message(role=Role.user, content="Your program said \ud83d. What is 1 + 1?")
        await models["self"].ask([quoted], sampling=Sampling(max_tokens=8))
        if self.breaks:
            raise StoreError("pulled the plug")
        return await SAMPLE(task, models)


def tried(run: Run, judge: Judge, n: int = 3, solve: Solve = SAMPLE) -> list[Experience]:
    """Tasks solved and judged."""

    async def work() -> list[Experience]:
        models = run.models(run.base)
        stored = [Made(task(i), "i1:t", 0, i) for i in range(n)]
        run.ledger.add_records([Made(run.base, "i1:b", 0, 0), *stored])
        return await run.judge(judge, await run.solve(solve, [task(i) for i in range(n)], models), models)

    try:
        return asyncio.run(work())
    finally:
        run.ledger.close()


def content(folder: Path) -> str:
    """The content of a ledger, which must verify."""
    ledger = Ledger.read(folder / "ledger.db")
    try:
        assert verify(ledger) == []
        return ledger.content_digest()
    finally:
        ledger.close()


def wild(monkeypatch: pytest.MonkeyPatch, **said: Any) -> None:
    for name, value in said.items():
        monkeypatch.setattr(WildJudge, name, value)


@given(reply=ANY_TEXT, comment=ANY_TEXT, evidence=st.dictionaries(ANY_TEXT, VALUES, max_size=3), error=ANY_TEXT)
@settings(max_examples=10, deadline=None)
def test_any_text_and_any_evidence_are_kept_and_a_resumed_run_reads_the_same(
    reply: str, comment: str, evidence: dict[str, Any], error: str
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        patch.setattr(Wild, "says", reply)
        wild(patch, comment=comment, evidence=evidence, raises=RuntimeError(error))
        first = tried(run_in(folder, Wild(), tolerance=0.5), WildJudge())
        before = content(folder)
        again = run_in(folder, Wild(), tolerance=0.5)
        assert tried(again, WildJudge()) == first
        assert again.generate_context.asked == 0
        assert content(folder) == before
        assert len(first) == 6  # the task whose judge raised is missing
        if comment.isascii():
            assert {e.feedback.comment for e in first if e.feedback} == {comment}


def test_half_an_emoji_is_written_out_in_the_journal_the_answer_the_comment_and_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wild, "says", "half \ud83d whole \U0001f600")
    made = tried(run_in(tmp_path, Wild()), WildJudge())
    assert all(e.solution.text.startswith("half \\ud83d whole \U0001f600") for e in made)
    assert {e.feedback.comment for e in made if e.feedback} == {"cannot add \\ud83d"}
    assert {e.feedback.evidence["failed"] for e in made if e.feedback} == {"\\ud83d"}


@pytest.mark.parametrize("error", [
    ValueError("cannot add \ud83d"), SystemExit(0), asyncio.CancelledError("mine"), RecursionError("deep"),
    type("Mute", (Exception,), {"__str__": lambda self: sys.exit(1)})(),
])  # fmt: skip
def test_whatever_a_judge_raises_is_a_failed_call_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    wild(monkeypatch, raises=error)
    assert len(tried(run_in(tmp_path, ScriptedEngine(), tolerance=0.5), WildJudge())) == 6
    ledger = Ledger.read(tmp_path / "ledger.db")
    (call,) = [c for c in ledger.rows("calls") if c["status"] == "dropped"]
    ledger.close()
    assert call["error"].startswith(type(error).__name__)


def test_an_operator_that_exits_stops_the_run_with_a_sentence_and_not_as_if_all_were_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild(monkeypatch, raises=SystemExit(0))
    with pytest.raises(StepFailed, match=r"1 of 3 calls of judge .* failed; the first: SystemExit: 0"):
        tried(run_in(tmp_path, ScriptedEngine()), WildJudge())
    wild(monkeypatch, raises=None)
    assert len(tried(run_in(tmp_path, ScriptedEngine()), WildJudge())) == 9


@pytest.mark.parametrize(("changed", "says"), [
    ({"score": float("nan")}, "score cannot be kept"), ({"score": "\ud83d"}, "score cannot be kept"),
    ({"mark": "excellent"}, "mark cannot be kept"), ({"source": "an oracle"}, "source cannot be kept"),
])  # fmt: skip
def test_feedback_that_cannot_be_kept_is_invalid_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], says: str
) -> None:
    wild(monkeypatch, changed=changed)
    with pytest.raises(StepFailed, match=rf"the checker failed on every one of 9 answers.*{says}"):
        tried(run_in(tmp_path, ScriptedEngine()), WildJudge())
    content(tmp_path)


def test_a_comment_too_long_to_keep_is_cut_and_says_how_long_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legible, "LARGEST", 5_000)
    monkeypatch.setattr(legible, "LONGEST", 1_000)
    wild(monkeypatch, comment="x" * 20_000, evidence={"rows": list(range(5_000)), "deep": [[[]]]})
    feedback = tried(run_in(tmp_path, ScriptedEngine()), WildJudge())[0].feedback
    assert feedback is not None
    assert feedback.comment == "x" * 1_000 + "… (20,000 characters)"
    assert "left_out" in feedback.evidence
    content(tmp_path)


def test_a_run_that_was_stuck_because_of_what_a_program_said_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:  # as it was: nothing was written out, and the call could not be stored
        before.setattr(outputs, "fitted", lambda record: record)
        for _ in range(2):
            with pytest.raises(StepFailed, match="surrogates not allowed"):
                tried(run_in(tmp_path, ScriptedEngine()), WildJudge())
    again = run_in(tmp_path, ScriptedEngine())
    assert len(tried(again, WildJudge())) == 9
    assert again.generate_context.asked == 0
    content(tmp_path)


def test_a_question_with_half_an_emoji_that_was_journalled_as_it_was_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(generate, "_legible", lambda message: message)
        before.setattr(Quotes, "breaks", True)
        with pytest.raises(StoreError, match="pulled the plug"):
            tried(run_in(tmp_path, ScriptedEngine()), WildJudge(), 1, Quotes())
    again = run_in(tmp_path, ScriptedEngine())
    assert len(tried(again, WildJudge(), 1, Quotes())) == 3
    assert (again.generate_context.replayed, again.generate_context.asked) == (1, 1)


def test_another_question_is_still_refused_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quotes, "breaks", True)
    with pytest.raises(StoreError, match="pulled the plug"):
        tried(run_in(tmp_path, ScriptedEngine()), WildJudge(), 1, Quotes())
    monkeypatch.setattr(generate, "_legible", lambda m: m.model_copy(update={"content": m.content + "!"}))
    with pytest.raises(CannotContinue, match="asked something else"):
        tried(run_in(tmp_path, ScriptedEngine()), WildJudge(), 1, Quotes())


def test_an_engine_that_counts_nonsense_is_at_fault_and_the_journal_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wild, "counts", 2**70)
    with pytest.raises(EngineError, match="says that a reply has"):
        tried(run_in(tmp_path, Wild()), WildJudge(), 1)


def test_the_ledger_guards_itself_whatever_its_callers_forget(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    number = ledger.begin_session()
    ledger.set_about(config='{"system":"\ud83d"}')
    ledger.add_ops([("i1:x", "odd", {"says": "\ud83d"}, "s")])
    asyncio.run(ledger.fail_call("k", "s", "i", "it said \ud83d", 0.0))
    asyncio.run(ledger.add_inner("k", "turn", {"said": "\ud83d"}))
    ledger.end_session(number, "failed", "it said \ud83d", {})
    with pytest.raises(StepFailed, match="wanted to remember 'loss', which cannot be stored"):
        asyncio.run(ledger.add_inner("k", "loss", float("nan")))
    assert ledger.about()["config"] == '{"system":"\\ud83d"}'
    assert ledger.ops()["i1:x"]["fields"] == {"says": "\ud83d"}  # JSON's own escape: nothing is lost
    assert ledger.inner_step("k", "turn") == {"said": "\ud83d"}
    assert ledger.rows("sessions")[0]["note"] == "it said \\ud83d"
    assert ledger.rows("calls")[0]["error"] == "it said \\ud83d"
    ledger.close()


class Remembers(Update):
    """Rolls out, and remembers what was said of it."""

    name: ClassVar[str] = "test_remembers"

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        tried = await context.roll_out(
            "first", policy, context.rollout_prompts.tasks if context.rollout_prompts else []
        )
        await context.remember("first", [e.feedback.model_dump(mode="json") for e in tried if e.feedback])
        assert all(e.solution.text.startswith("half \\ud83d") for e in tried)
        return policy


@pytest.mark.parametrize("error", [None, SystemExit("half \ud83d")])
def test_rollouts_of_an_update_hold_what_is_said_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    monkeypatch.setattr(Wild, "says", "half \ud83d")
    wild(monkeypatch, raises=error)
    run = run_in(tmp_path, Wild(), tolerance=0.5)
    rollout_prompts = RolloutPrompts([task(i) for i in range(3)], SAMPLE, WildJudge())
    asyncio.run(run.update(Remembers(), run.base, (), rollout_prompts=rollout_prompts))
    (row,) = run.ledger.rows("inner_steps")
    run.ledger.close()
    said = json.loads(row["value"])
    assert len(said) == (9 if error is None else 6)
    assert said[0]["evidence"] == {"failed": "\\ud83d"}
