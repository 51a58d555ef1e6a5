"""Earlier data in an update: chosen, recorded, learned; a row that is held out is refused without a word of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.replay import Mixed, _reservoir
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, DataError, NothingLearned, StepFailed
from instar.evaluate.eval import Eval
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Policy, Sampling
from instar.report.why import why
from instar.run.run import Run
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from instar.store.verify import verify
from instar.update.weights.sft import SFT
from tests.run.test_run import SAMPLE, run_in, stored, task

EXAM = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=32)), judge=Verify())
TRAIN = SFT(epochs=1)


def begun(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = stored(run_in(folder, ScriptedEngine()), [task(i) for i in range(20)])
    run.round = 1
    return run


async def once_trained(run: Run, first: int = 0, n: int = 6) -> tuple[list[Experience], Policy]:
    attempts = await run.solve(SAMPLE, [task(i) for i in range(first, first + n)], run.models(run.base))
    return attempts, await run.update(TRAIN, run.base, attempts)


async def fresh(run: Run, policy: Policy, n: int = 4) -> list[Experience]:
    return await run.solve(SAMPLE, [task(i) for i in range(10, 10 + n)], run.models(policy))


def rows(folder: Path, *questions: str) -> Jsonl:
    path = folder / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"question": q, "answer": f"It is {i}."}) + "\n" for i, q in enumerate(questions))
    )
    return Jsonl(path=str(path))


def test_what_was_learned_is_learned_again_in_its_share_and_says_so(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> tuple[list[Experience], Policy, list[Experience], Policy]:
        old, policy = await once_trained(run)
        new = await fresh(run, policy)
        again = await run.replay(Mixed(ratio=0.25), policy, new)
        return old, policy, again, await run.update(TRAIN, policy, [*new, *again])

    old, policy, again, made = asyncio.run(work())
    assert len(again) == 4  # 12 are new: 4 of 16 are a quarter
    assert {e.id for e in again} < {e.id for e in old}
    run.ledger.close()
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        assert verify(ledger) == []
        learned = roles_of(ledger).updates[made.id].solutions
    assert {e.id for e in again} < set(learned)
    sentences = why(tmp_path, again[0].id)["sentences"]
    assert any("The replay kept it: learned again beside 12 new answers, 4 by lot out of 18" in s for s in sentences)
    assert sum(f"training of policy {p.id}" in " ".join(sentences) for p in (policy, made)) == 2


def test_it_is_the_same_after_a_kill_and_another_for_another_update(tmp_path: Path) -> None:
    def worked(folder: Path) -> list[list[str]]:
        run = begun(folder) if not (folder / "ledger.db").exists() else run_in(folder, ScriptedEngine())
        run.round = 1

        async def work() -> list[list[str]]:
            _, policy = await once_trained(run)
            found = [await run.replay(Mixed(ratio=0.3), policy, await fresh(run, policy, n)) for n in (4, 3)]
            return [[e.id for e in each] for each in found]

        made = asyncio.run(work())
        run.ledger.close()
        return made

    first = worked(tmp_path / "a")
    assert worked(tmp_path / "a") == first == worked(tmp_path / "b")
    assert set(first[0]) != set(first[1])


def test_a_file_is_learned_too_and_abilities_come_in_turn(tmp_path: Path) -> None:
    run = begun(tmp_path)
    op = Mixed(ratio=0.25, rows=rows(tmp_path, "Who wrote it?", "Where is it?"))

    async def work() -> tuple[list[Experience], Policy]:
        _, policy = await once_trained(run)
        new = await fresh(run, policy)
        again = await run.replay(op, policy, new)
        return again, await run.update(TRAIN, policy, [*new, *again])

    again, made = asyncio.run(work())
    assert Counter(e.task.ability for e in again) == {"add": 2, "rows": 2}
    given = [e for e in again if e.task.ability == "rows"]
    assert {e.solution.text for e in given} == {"It is 0.", "It is 1."}
    run.ledger.close()
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        assert verify(ledger) == []
        assert {e.id for e in given} < set(roles_of(ledger).updates[made.id].solutions)


def test_the_base_writes_the_answers_itself_where_it_is_told_to(tmp_path: Path) -> None:
    run = begun(tmp_path)
    op = Mixed(ratio=0.2, learned=False, rows=rows(tmp_path, "What is 7 + 8?", "What is 7 + 9?"), writer=EXAM.solve)

    async def work() -> list[Experience]:
        _, policy = await once_trained(run)
        return await run.replay(op, policy, await fresh(run, policy))

    again = asyncio.run(work())
    assert len(again) == 2
    assert {e.solution.policy for e in again} == {run.base.id}
    assert all("It is" not in e.solution.text for e in again)


def test_what_was_right_and_now_is_wrong_is_asked_again_and_nothing_else_taken(tmp_path: Path) -> None:
    run = begun(tmp_path)
    op = Mixed(ratio=0.9, choose="forgotten")

    async def work() -> tuple[list[Experience], list[Experience]]:
        _, policy = await once_trained(run)
        again = await run.replay(op, policy, await fresh(run, policy), exam=EXAM)
        asked = await run.solve(EXAM.solve, [task(i) for i in range(6)], run.models(policy))
        return again, await run.judge(EXAM.judge, asked, run.models(policy))

    again, asked = asyncio.run(work())
    wrong = {e.task.id for e in asked if e.feedback and e.feedback.score == 0}
    assert 0 < len(wrong) < 6
    assert {e.task.id for e in again} == wrong
    with pytest.raises(StepFailed, match="says not how"):
        asyncio.run(_without_exam(run, op))


async def _without_exam(run: Run, op: Mixed) -> None:
    _, policy = await once_trained(run)
    await run.replay(op, policy, await fresh(run, policy))


def test_a_reservoir_grows_by_what_comes_and_every_one_has_the_same_chance() -> None:
    for n in (50, 51, 80):
        store, later = _reservoir(n, 10, 3), _reservoir(n + 1, 10, 3)
        assert len(store) == 10
        assert len(set(later) - set(store)) <= 1
    seen = Counter(i for seed in range(2000) for i in _reservoir(40, 10, seed))
    assert all(380 < seen[i] < 620 for i in range(40))  # 500 each, 19 to a standard deviation


@pytest.mark.parametrize("by", ["words", "canonical"])
@pytest.mark.parametrize("name", ["dev", "gate", "sealed", "guard:facts"])
def test_a_row_that_is_held_out_is_refused_and_no_word_of_it_is_said(tmp_path: Path, name: str, by: str) -> None:
    run = begun(tmp_path)
    op = Mixed(rows=rows(tmp_path, "Who wrote it?", "CALCULATE 19+19" if by == "canonical" else "CALCULATE 19 + 19."))
    secret = task(19)
    if by == "canonical":  # the same content in other words
        secret = secret.model_copy(update={"canonical": op.brought()[1][0].canonical, "messages": task(18).messages})
    of_set = {"suites": {name: (secret,)}} if ":" in name else {name: (secret,)}
    run.tasks = replace(run.tasks, **of_set)  # type: ignore[arg-type]

    async def work() -> Sequence[Experience]:
        _, policy = await once_trained(run)
        return await run.replay(op, policy, await fresh(run, policy))

    with pytest.raises(DataError) as error:
        asyncio.run(work())
    said = f"{error.value.message} {error.value.hint}"
    assert f"brings 1 of its 2 rows from the {name} set" in said
    assert "19" not in said
    assert "alculate" not in said.lower()


def test_it_must_take_from_something_that_is_one_file() -> None:
    with pytest.raises(ValueError, match="it takes from nothing"):
        Mixed(learned=False)
    with pytest.raises(ValueError, match="there are none"):
        Mixed(writer=EXAM.solve)
    with pytest.raises(ConfigError, match="reasoning_gym is none"):
        Mixed(rows=ReasoningGym(families={"chain_sum": {}})).brought()


@pytest.mark.parametrize(
    "now", [("Who wrote it?", "When is it?"), ("Who wrote it?",), ("Who wrote it?", "Where is it?", "When is it?")]
)
def test_a_file_that_changed_since_the_run_began_is_refused(tmp_path: Path, now: tuple[str, ...]) -> None:
    run = begun(tmp_path)

    async def learned(*questions: str) -> list[Experience]:
        op = Mixed(learned=False, ratio=0.25, rows=rows(tmp_path, *questions))
        return await run.replay(op, run.base, await fresh(run, run.base))

    assert asyncio.run(learned("Who wrote it?", "Where is it?"))
    run.round = 2
    assert asyncio.run(learned("Who wrote it?", "Where is it?"))
    with pytest.raises(DataError, match="the rows of replay changed since this run began") as refused:
        asyncio.run(learned(*now))
    assert "start a new run" in refused.value.hint


class Looks(Update):
    """An update that learns nothing and says what it is held against."""

    name: ClassVar[str] = "looks"

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        raise NothingLearned(f"held against {[p.id for p in context.references.values()]}")


def test_what_the_brake_set_aside_comes_back_by_no_replay_and_by_no_reference(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.last_round = 1

    async def work() -> None:
        old, policy = await once_trained(run)
        new = await fresh(run, policy)
        run.brake.aside = {e.id for e in old[1:]}
        assert [e.id for e in await run.replay(Mixed(ratio=0.25), policy, new)] == [old[0].id]
        run.brake.past, run.brake.replay = policy, Mixed(ratio=0.2)
        made = await run.update(TRAIN, run.base, new)
        answers = {s.id for s in run.ledger.records("solution")}
        assert set(run.ledger.parents([made.id])[made.id]) & answers == {old[0].id, *(e.id for e in new)}
        run.brake.past, run.brake.aside = None, set()
        run.brake.instead = {policy.id: run.base}  # which learned nothing
        assert await run.replay(Mixed(ratio=0.25), policy, new) == []
        await run.update(Looks(), run.base, new, references={"before": policy})
        assert f"held against {[run.base.id]}" in {d.reason for d in run.ledger.records("decision")}  # type: ignore[attr-defined]

    asyncio.run(work())
