"""Who else is at hand: roles in calls and in exams, fixed while what is compared is "self"."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.answers import solution_of
from instar.app.review import rederive
from instar.app.review.examine import suite_of_run
from instar.app.review.rederive import Verified
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, EngineError, StepFailed, StoreError
from instar.evaluate.compare import compare
from instar.evaluate.eval import Eval
from instar.protocols import Models, RolloutPrompts, Solve
from instar.records import Message, Policy, Reply, Report, Sampling, Solution, Task, Turn, TurnKind
from instar.run.keys import call_key
from instar.run.run import Run
from instar.scripted_world import START, adapter_of, base_policy, weights_of
from instar.store.ledger import Made
from instar.update.weights.grpo import Grpo
from tests.run.test_run import run_in, task

SAMPLING = Sampling(temperature=0.0, max_tokens=32)
TASKS = [task(i) for i in range(12)]


def knowing(skill: float) -> Policy:
    return Policy(weights=weights_of({**START, "add": skill}), made_by="test").identified()


class Relayed(Solve):
    """The partner works the task out; "self" is shown what it said and answers."""

    name: ClassVar[str] = "relayed"
    breaks: ClassVar[int] = 1000
    """The call from which on the plug is pulled between the two."""
    calls: ClassVar[int] = 0

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        (hint,) = await models["partner"].ask(task.messages, n=1, sampling=SAMPLING)
        type(self).calls += 1
        if self.calls > self.breaks:
            raise StoreError("pulled the plug")
        (reply,) = await models["self"].ask(task.messages, n=1, sampling=SAMPLING)
        heard = Turn(kind=TurnKind.partner, text=hint.text, train=False, said=hint.said)
        own = solution_of(task, reply, SAMPLING)
        return [own.model_copy(update={"turns": (heard, *own.turns)})]


EXAM = Eval(solve=Relayed(), judge=Verify())


@pytest.fixture(autouse=True)
def unbroken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relayed, "calls", 0)


def examined(folder: Path, policy: Policy, partner: Policy) -> tuple[Report, Run]:
    folder.mkdir(exist_ok=True)
    run = run_in(folder, ScriptedEngine(parse_failures=0.0))
    run.cast = {"partner": partner}
    try:
        return asyncio.run(run.evaluate(EXAM, policy, TASKS, suite="dev")), run
    finally:
        run.ledger.close()


def test_an_exam_names_who_plays_the_other_roles_and_compares_under_the_same_alone(tmp_path: Path) -> None:
    weak, strong, partner = knowing(0.1), knowing(1.0), knowing(0.5)
    a, _ = examined(tmp_path / "a", weak, partner)
    b, _ = examined(tmp_path / "b", strong, partner)
    assert a.exam.roles == {"partner": partner.id}
    assert a.exam.digest == b.exam.digest
    assert (compare(a, b).gain or 0) > 0.5
    c, _ = examined(tmp_path / "c", strong, weak)
    assert c.exam.digest != a.exam.digest
    assert f"roles {dict(a.exam.roles)!r}" in (compare(a, c).refusal or "")


def test_an_exam_without_other_roles_is_the_exam_of_before_roles(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    exam = Eval(solve=Sample(samples=1, sampling=SAMPLING), judge=Verify())
    report = asyncio.run(run.evaluate(exam, run.base, TASKS, suite="dev"))
    run.ledger.close()
    assert "roles" not in report.exam.content()
    assert "roles" not in report.content()["exam"]


def test_a_two_role_exam_that_was_killed_between_the_roles_comes_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, partner = knowing(0.6), knowing(0.5)
    whole, run = examined(tmp_path / "whole", policy, partner)
    asked = run.generate_context.asked
    monkeypatch.setattr(Relayed, "calls", 0)
    monkeypatch.setattr(Relayed, "breaks", 5)
    with pytest.raises(StoreError, match="pulled the plug"):
        examined(tmp_path / "killed", policy, partner)
    monkeypatch.setattr(Relayed, "breaks", 1000)
    resumed, again = examined(tmp_path / "killed", policy, partner)
    assert resumed == whole
    assert again.generate_context.replayed > 0
    assert again.generate_context.asked < asked


def test_each_role_acts_with_its_own_adapter_of_one_policy(tmp_path: Path) -> None:
    policy = base_policy().model_copy(update={"adapters": {"partner": adapter_of({"add": 1.0})}}).identified()
    run = run_in(tmp_path, ScriptedEngine(parse_failures=0.0))
    attempts = asyncio.run(run.solve(Relayed(), TASKS, run.models(policy, partner=policy)))
    run.ledger.close()
    hints = [e.solution.turns[0].text for e in attempts]
    assert all(e.task.private["answer"] in hint for e, hint in zip(attempts, hints, strict=True))
    assert not all(e.task.private["answer"] in e.solution.turns[1].text for e in attempts)


def test_an_answer_with_another_adapter_is_refused(tmp_path: Path) -> None:
    class Forgets(ScriptedEngine):
        async def ask(
            self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
        ) -> list[Reply]:
            return await super().ask(
                policy.acting("nobody"), messages, n=n, sampling=sampling, seed=seed, precision=precision
            )

    policy = base_policy().model_copy(update={"adapters": {"self": adapter_of({"add": 1.0})}}).identified()
    run = run_in(tmp_path, Forgets())
    with pytest.raises(EngineError, match=r"with the adapter None where the role self has skills:"):
        asyncio.run(run.solve(Sample(samples=1, sampling=SAMPLING), TASKS[:1], run.models(policy)))
    run.ledger.close()


def test_a_second_self_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    run.cast = {"self": base_policy()}
    with pytest.raises(ConfigError, match='the role "self"'):
        run.models(base_policy())
    run.ledger.close()


def test_rollouts_inside_an_update_have_no_other_roles_and_are_refused_before_a_token(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    run.cast = {"partner": base_policy()}
    rollout_prompts = RolloutPrompts(TASKS, Relayed(), Verify())
    with pytest.raises(StepFailed, match=r"other roles \(partner\)"):
        asyncio.run(run.update(Grpo(), run.base, [], rollout_prompts=rollout_prompts))
    assert run.generate_context.asked == 0
    run.ledger.close()


PLAN = {"recipe": "rest_em", "model": "scripted", "sizes": {"dev": 4}}


def with_cast(folder: Path, *others: Policy) -> Run:
    """A run whose policies are stored, with a partner in all its exams."""
    run = run_in(folder, ScriptedEngine(parse_failures=0.0))
    partner = knowing(0.5)
    run.cast = {"partner": partner}
    run.ledger.set_about(config=json.dumps(PLAN), seed="1", recipe="rest_em")
    run.ledger.add_records([Made(p, "i1:m", 0, i) for i, p in enumerate([run.base, partner, *others])])
    return run


def test_a_cast_is_known_before_its_first_exam_has_a_report_and_nothing_is_spent_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_cast(tmp_path)
    monkeypatch.setattr(Relayed, "breaks", 0)
    with pytest.raises(StoreError, match="pulled the plug"):
        asyncio.run(run.evaluate(EXAM, run.base, TASKS, suite="dev"))
    assert run.ledger.records("report") == []
    run.ledger.close()
    for name in ("dev", "sealed"):
        with pytest.raises(ConfigError, match="other roles beside the policy: partner"):
            suite_of_run(tmp_path, name)


def test_of_an_older_run_the_report_of_any_exam_tells_the_cast(tmp_path: Path) -> None:
    run = with_cast(tmp_path)
    asyncio.run(run.evaluate(EXAM, run.base, TASKS, suite="gate"))
    run.ledger.set_about(cast="{}")
    run.ledger.close()
    with pytest.raises(ConfigError, match="other roles beside the policy: partner"):
        suite_of_run(tmp_path, "sealed")


@pytest.mark.parametrize("noted", [True, False])
def test_the_keys_of_calls_with_a_cast_are_derived_in_one_look_at_each_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    run = with_cast(tmp_path, *(knowing(i / 200) for i in range(100)))
    asyncio.run(run.evaluate(EXAM, run.base, TASKS, suite="dev"))
    asyncio.run(run.solve(Sample(samples=1, sampling=SAMPLING), TASKS, run.models(run.base)))
    if not noted:
        run.ledger.set_about(cast="{}")
    tried: list[str] = []
    monkeypatch.setattr(rederive, "call_key", lambda *a: tried.append(a[4]) or call_key(*a))
    found = Verified([])
    assert list(rederive._calls(run.ledger, found)) == []
    assert found.counts == {}
    assert len(tried) < 30 * 102  # a pair of policies for each would be ten thousand
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute("update calls set item = 'i1:0' where rowid = 1")
    assert len(list(rederive._calls(run.ledger, found))) == 1
    run.ledger.close()
