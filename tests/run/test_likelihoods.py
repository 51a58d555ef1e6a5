"""The divergence from the base: an estimate of what is meant, measured once, and no run ends for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.guard_texts import texts
from instar.divergence import divergence, perplexity, rise, why_not_comparable
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import DataError, EngineError
from instar.evaluate.eval import Eval
from instar.evaluate.perplexity import PerplexityBudget
from instar.protocols import Gate, Update, UpdateContext
from instar.records import (
    Decision,
    Experience,
    Likelihood,
    Likely,
    Message,
    Policy,
    Report,
    Role,
    Sampling,
    Task,
    Verdict,
    hash_of,
    mint,
)
from instar.report.drift import drift, in_words
from instar.run.likelihoods import Texts
from instar.run.run import Run, Sets
from instar.store.ledger import Made
from instar.store.readers.likelihoods import likelihoods
from instar.store.roles import roles_of
from tests.engines.tiny import FolderStore, make_model, policy_of
from tests.run.test_run import run_in, stored
from tests.run.test_run import task as sum_of

WRITES = Sample(samples=1, sampling=Sampling(temperature=1.0, max_tokens=12))
EXAM = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=8)), judge=Verify())
BASE, OTHER = policy_of("tiny"), policy_of("other")


def task(i: int) -> Task:
    asked = Message(role=Role.user, content=f"what is {i % 15} {i // 15} ?")
    made = Task(messages=(asked,), ability="add", canonical=str(i), source="test", private={"answer": "1"})
    return made.model_copy(update={"id": mint("task", "i1:t", (), 0, i)})


TASKS = tuple(task(i) for i in range(40))


class Becomes(Update):
    """An update that ends with weights which are there already."""

    name: ClassVar[str] = "becomes"
    to: str

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        return policy_of(self.to)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> NativeEngine:
    if missing := build.no_processor():
        pytest.skip(missing)  # as all tests of this engine
    if missing := build.why_not():
        pytest.fail(missing)
    root = tmp_path_factory.mktemp("models")
    make_model(root / "tiny", seed=0)
    make_model(root / "other", seed=1)
    return NativeEngine(FolderStore(root), cache_gb=0.1, resident_max=2)


def begun(folder: Path, engine: NativeEngine, *, new: bool = True) -> Run:
    folder.mkdir(exist_ok=True)
    run = run_in(folder, engine)  # type: ignore[arg-type]  # any engine does
    run.base, run.artefacts = BASE, engine.artefacts
    run.round = run.last_round = 1
    run.tasks, run.writes = Sets(TASKS, (), (), ()), WRITES
    if new:
        run.ledger.add_sets(
            [Made(t, "i1:t", 0, i) for i, t in enumerate(TASKS)], [("train", i, t.id) for i, t in enumerate(TASKS)]
        )
        run.ledger.add_records([Made(BASE, hash_of("model", BASE.id), 0, 0)])
    return run


def updated(run: Run, to: str = "other") -> Policy:
    tries = asyncio.run(run.solve(WRITES, TASKS[:2], run.models(run.base)))
    return asyncio.run(run.update(Becomes(to=to), run.base, tries))


def test_each_update_is_measured_on_the_same_answers_and_a_resumed_run_measures_nothing_twice(
    tmp_path: Path, engine: NativeEngine
) -> None:
    run = begun(tmp_path, engine)
    assert updated(run).id == OTHER.id
    base, other = likelihoods(run.ledger)
    assert (base.policy, other.policy) == (BASE.id, OTHER.id)
    assert len({t.task for t in base.texts}) == len(base.texts) == 16
    assert run.generate_context.asked == 16 + 2
    found = divergence(base, other)
    assert 0 < found.low < found.value < found.high
    said = drift(run.ledger, roles_of(run.ledger))
    assert (said["why_not"], said["measured"][0]["round"], said["measured"][0]["n"]) == (None, 1, 16)
    assert f"{found.value:.4f} nats a token" in in_words(said)[0]
    whole = run.ledger.content_digest()
    run.ledger.close()

    again = begun(tmp_path, engine, new=False)
    assert updated(again).id == OTHER.id
    assert (again.generate_context.asked, again.ledger.content_digest()) == (0, whole)
    again.ledger.close()


def test_killed_between_the_answers_and_their_scores_it_ends_the_same(
    tmp_path: Path, engine: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = begun(tmp_path / "whole", engine)
    updated(whole)
    real, left = NativeEngine.score, iter(range(40))

    async def dies(self: NativeEngine, *args: object, **how: object) -> object:
        if next(left) == 19:  # of the candidate's
            raise KeyboardInterrupt
        return await real(self, *args, **how)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(NativeEngine, "score", dies)
    died = begun(tmp_path / "died", engine)
    with pytest.raises(KeyboardInterrupt):
        updated(died)
    died.ledger.close()
    monkeypatch.undo()
    again = begun(tmp_path / "died", engine, new=False)
    updated(again)
    assert again.generate_context.asked == 0
    assert again.ledger.content_digest() == whole.ledger.content_digest()
    whole.ledger.close()
    again.ledger.close()


def test_an_engine_that_cannot_score_is_said_and_the_run_goes_on(
    tmp_path: Path, engine: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*args: object, **how: object) -> object:
        raise EngineError("it gives text, not log-probabilities.")

    monkeypatch.setattr(NativeEngine, "score", refuses)
    run = begun(tmp_path, engine)
    assert updated(run).id == OTHER.id
    assert likelihoods(run.ledger) == []
    assert run.ledger.about()["divergence"] == "it gives text, not log-probabilities."
    run.ledger.close()


def test_a_table_of_skills_is_asked_nothing(tmp_path: Path) -> None:
    run = stored(run_in(tmp_path, ScriptedEngine()), [sum_of(i) for i in range(4)])
    run.writes, run.round, run.last_round = WRITES, 1, 1
    asyncio.run(run.update(Becomes(to="other"), run.base, asyncio.run(
        run.solve(WRITES, [sum_of(0)], run.models(run.base))
    )))  # fmt: skip
    assert (run.generate_context.asked, likelihoods(run.ledger)) == (1, [])
    run.ledger.close()


class ForTheRolePlan(Update):
    """An update that ends with an adapter of one role, the weights as they are."""

    name: ClassVar[str] = "for_the_role_plan"

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        return policy.model_copy(update={"adapters": {"plan": "i1:a"}, "id": ""}).identified()


def test_where_only_a_role_of_a_group_has_learned_no_divergence_of_nothing_is_said(
    tmp_path: Path, engine: NativeEngine
) -> None:
    run = begun(tmp_path, engine)
    tries = asyncio.run(run.solve(WRITES, TASKS[:2], run.models(run.base)))
    asyncio.run(run.update(ForTheRolePlan(), run.base, tries))
    assert likelihoods(run.ledger) == []
    assert run.ledger.about()["divergence"] == "only what it says as plan changed, and no answer is said so"


def gated(run: Run, candidate: Policy, margin: float) -> Policy:
    run.texts = Texts("guard:text", PerplexityBudget(margin=margin), texts())
    run.ledger.add_records([Made(candidate, hash_of("model", candidate.id), 0, 1)])
    return asyncio.run(run.promote(Passes(), EXAM, run.base, candidate, TASKS[:3]))


class Passes(Gate):
    """Lets everything pass."""

    name: ClassVar[str] = "passes"

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        return Verdict(
            incumbent=incumbent.policy, candidate=candidate.policy, incumbent_report=incumbent.id,
            candidate_report=candidate.id, promoted=True, checks=(), reason="it passes",
        )  # fmt: skip


def test_a_candidate_that_finds_plain_texts_less_likely_is_refused_after_the_gate(
    tmp_path: Path, engine: NativeEngine
) -> None:
    for number, (candidate, margin) in enumerate([(OTHER, 0.001), (OTHER, 0.999)]):
        run = begun(tmp_path / str(number), engine)
        now = gated(run, candidate, margin)
        base, other = likelihoods(run.ledger)
        assert [len(x.texts) for x in (base, other)] == [10, 10]  # one part of three
        up = rise(base, other, 0.9).high
        assert (now.id == candidate.id) is (up <= margin)
        words = [v.reason for v in run.ledger.records("verdict") if isinstance(v, Verdict)]
        kept = [d.reason for d in run.ledger.records("decision") if isinstance(d, Decision)]
        assert any("guard:text: a perplexity of" in r for r in (kept if up <= margin else words))
        left = asyncio.run(run.read(BASE))
        assert {t.task for t in left.texts}.isdisjoint(t.task for t in base.texts)
        run.ledger.close()


def of(nats: Sequence[float], tokens: Sequence[int], policy: str = "i1:p", **how: str) -> Likelihood:
    texts = tuple(Likely(task=f"i1:{i}", tokens=t, nats=x) for i, (x, t) in enumerate(zip(nats, tokens, strict=True)))
    plain = {"suite": "train", "engine": "native", "precision": "f32"}
    return Likelihood(policy=policy, texts=texts, **{**plain, **how})


def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.3, 0.3, 0.4])
    truth = float(np.sum(p * np.log(p / q)))
    rng, values, held = np.random.default_rng(7), [], 0
    for _ in range(60):
        drawn = rng.choice(3, p=p, size=(32, 20))
        nats = [[float(np.log(w[row]).sum()) for row in drawn] for w in (p, q)]
        found = divergence(of(nats[0], [20] * 32), of(nats[1], [20] * 32))
        values.append(found.value)
        held += found.low <= truth <= found.high
    assert abs(np.mean(values) - truth) < 3 * np.std(values) / math.sqrt(60)
    assert held >= 50


def test_perplexity_and_its_rise_are_of_all_tokens_together() -> None:
    before, after = of([-10.0, -30.0], [10, 20]), of([-11.0, -32.0], [10, 20])
    assert perplexity(before.texts) == pytest.approx(math.exp(40 / 30))
    found = rise(before, after)
    assert found.value == pytest.approx(math.exp(0.1) - 1)
    assert (found.low, found.high) == pytest.approx((math.exp(0.1) - 1, math.exp(0.1) - 1))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (of([-1.0], [1]), "other texts"),
        (of([-1.0, -1.0], [1, 3]), "other texts"),
        (of([-1.0, -1.0], [1, 2], precision="bf16"), "another precision: f32 and bf16"),
        (of([-1.0, -1.0], [1, 2], suite="guard:text"), "another suite"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(other: Likelihood, why: str) -> None:
    base = of([-1.0, -1.0], [1, 2])
    assert why in why_not_comparable(base, other)
    with pytest.raises(DataError, match=why):
        divergence(base, other)
