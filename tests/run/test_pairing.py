"""The verb that pairs: recorded with its reasons, replayed, in the lineage; and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.two_prompts import TwoPrompts
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StepFailed, StoreError
from instar.protocols import Pairing
from instar.records import Decision, Experience, Pair, Polarity, Policy, Preference, Sampling, Weights, hash_of
from instar.records.pair import Why
from instar.refine.corrections.edited import EDITED, Edited
from instar.refine.pairs import Pairs
from instar.run.run import Run
from instar.store.ledger import Made
from instar.store.readers.exchanges import exchange
from instar.store.verify import verify
from instar.update.weights.dpo import Dpo
from tests.run.test_run import SAMPLE, run_in, stored, task

TASKS = [task(i) for i in range(9)]
MORE = SAMPLE.model_copy(update={"samples": 6})


class Careless(Pairing):
    """Pairs the first two answers whatever they are, and says nothing of the rest unless it is told to."""

    name: ClassVar[str] = "test_careless"

    speaks: bool = False

    def __call__(self, items: Sequence[Experience]) -> Sequence[Preference | Decision]:
        a, b = items[:2]
        left = [Decision(item=e.id, kept=False, reason="") for e in items[2:]] if self.speaks else []
        made = Preference(task=a.task.id, chosen=a.id, rejected=b.id, why=Why.order, reason="they came first")
        return [made, *left]


def begun(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = stored(run_in(folder, ScriptedEngine()), TASKS)
    run.round = 1
    return run


async def judged(run: Run) -> list[Experience]:
    models = run.models(run.base)
    return await run.judge(Verify(), await run.solve(MORE, TASKS, models), models)


async def paired(run: Run) -> tuple[list[Pair], Policy]:
    pairs = await run.pair(Pairs(), await judged(run))
    return pairs, await run.update(Dpo(batch_size=4), run.base, (), pairs=pairs)


def test_pairs_are_recorded_with_their_reasons_are_what_a_policy_is_made_from_and_are_replayed(tmp_path: Path) -> None:
    run = begun(tmp_path)
    pairs, made = asyncio.run(paired(run))
    assert len(pairs) > 8
    assert {p.preference.id for p in pairs} <= set(run.ledger.parents([made.id])[made.id])
    of = run.ledger.parents([pairs[0].preference.id])[pairs[0].preference.id]
    assert {pairs[0].chosen.id, pairs[0].rejected.id, pairs[0].chosen.task.id} <= set(of)
    decided = [d for d in run.ledger.records("decision") if isinstance(d, Decision)]
    assert len({d.item for d in decided}) == len(decided) == 6 * len(TASKS)  # each answer has its word
    assert verify(run.ledger) == []
    again = run_in(tmp_path, ScriptedEngine())
    again.round = 1
    assert asyncio.run(paired(again)) == (pairs, made)
    assert again.generate_context.asked == 0


def test_an_operator_that_pairs_what_is_no_pair_or_leaves_answers_out_without_a_word_is_stopped(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work(op: Careless, attempts: Sequence[Experience]) -> None:
        await run.pair(op, attempts)

    attempts = asyncio.run(judged(run))
    with pytest.raises(StepFailed, match="did not say of each answer"):
        asyncio.run(work(Careless(), attempts))
    two, no = [attempts[0], attempts[6]], "which is no pair: they answer two tasks"
    with pytest.raises(StepFailed, match=rf"test_careless preferred \S+ to \S+, {no}\.$"):
        asyncio.run(work(Careless(speaks=True), two))


def test_no_pairs_make_no_candidate_and_the_reason_is_recorded(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> tuple[list[Pair], Policy]:
        pairs = await run.pair(Pairs(), await run.solve(MORE, TASKS, run.models(run.base)))
        return pairs, await run.update(Dpo(), run.base, (), pairs=pairs)

    assert asyncio.run(work()) == ([], run.base)
    said = [d.reason for d in run.ledger.records("decision") if isinstance(d, Decision) and d.item == run.base.id]
    assert said == ["nothing was learned: no answer is preferred to another"]


def test_weights_to_be_held_against_that_are_gone_are_named_before_anything_is_learned(tmp_path: Path) -> None:
    run = begun(tmp_path)
    lost = Policy(weights=Weights(place="artefact", digest="ab" * 32)).identified()
    run.ledger.add_records([Made(lost, hash_of("model", "lost"), 0, 1)])

    async def work() -> None:
        pairs = await run.pair(Pairs(), await judged(run))
        await run.update(Dpo(), run.base, (), pairs=pairs, references={"reference": lost})

    with pytest.raises(StoreError, match="the reference 'reference' needs the artefact abababababab, which is gone"):
        asyncio.run(work())
    assert [p.id for p in run.ledger.records("policy")] == [run.base.id, lost.id]


def test_two_prompts_make_pairs_without_a_judge_and_what_was_meant_wrong_is_learned_away(tmp_path: Path) -> None:
    run = begun(tmp_path)
    op = TwoPrompts(samples=2, sampling=Sampling(temperature=0.8, max_tokens=32))

    async def work() -> tuple[list[Pair], list[Experience]]:
        attempts = await run.solve(op, TASKS, run.models(run.base))
        return await run.pair(Pairs(why=Why.perturbative), attempts), attempts

    pairs, attempts = asyncio.run(work())
    assert [e.solution.polarity for e in attempts[:4]] == [*[Polarity.right] * 2, *[Polarity.wrong] * 2]
    assert {e.solution.turns[0].said.learn for e in attempts if e.solution.turns[0].said} == {"plainly"}
    said = attempts[3].solution.turns[0].said
    assert said is not None
    asked = exchange(run.ledger, said.exchange)
    assert asked.messages is not None
    assert op.bad in asked.messages[-1].content
    assert len(pairs) == 18
    assert all(p.preference.reason == "meant right beside meant wrong" for p in pairs)


def test_an_edited_answer_differs_in_one_number_and_is_a_negative_of_the_right_one(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> tuple[list[Experience], list[Experience], list[Pair]]:
        right = [e for e in await judged(run) if e.feedback and e.feedback.mark == "right"]
        edited = await run.correct(Edited(), right, run.models(run.base))
        return right, edited, await run.pair(Pairs(why=Why.perturbative, at_most=None), [*right, *edited])

    right, edited, pairs = asyncio.run(work())
    assert len(edited) == len(right) > 3
    for before, after in zip(right, edited, strict=True):
        words = zip(before.solution.text.split(), after.solution.text.split(), strict=True)
        assert sum(a != b for a, b in words) == 1
        assert (after.solution.polarity, after.solution.flags) == (Polarity.wrong, (EDITED,))
    assert pairs
    assert {p.rejected.id for p in pairs} <= {e.id for e in edited}
