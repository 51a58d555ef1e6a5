"""Tasks made in a run: recorded with what they serve, dropped where they repeat, and what is held out is never told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import DataError, StepFailed, StoreError
from instar.protocols import Create, Created, Models, Refused
from instar.records import Assessment, Decision, Message, Objective, Role, Sampling, Task, hash_of, mint
from instar.report.summary import summary
from instar.report.why import why
from instar.run.creating import EMPTY, HELD_OUT, SEEN, TWICE
from instar.run.outputs import Output, mint_all
from instar.run.run import Run, Sets
from instar.store.ledger import Made
from instar.store.verify import verify
from instar.update.weights.sft import SFT
from tests.run.test_run import SAMPLE, run_in

GOAL = Objective(id=mint("objective", "i1:o", (), 1, 0), ability="add", tasks=4, reason="room to learn")


def asks(question: str, *, canonical: str | None = None, objective: str | None = None, **more: Any) -> Task:
    said = (Message(role=Role.user, content=question),)
    return Task(messages=said, ability="add", source="made", objective=objective, canonical=canonical or question,
                private={"answer": "1"}, **more)  # fmt: skip


class Template(Create):
    """A task for each question that it is told, made from the first source."""

    name: ClassVar[str] = "test_template"
    questions: tuple[str, ...] = ()
    canonical: str | None = None
    objective: str = GOAL.id
    made_from: str | None = None

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created]:
        origin = (self.made_from,) if self.made_from else tuple(t.id for t in sources[:1])
        return [
            Created(asks(q, canonical=self.canonical, objective=self.objective, difficulty=float(i)), origin)
            for i, q in enumerate(self.questions)
        ]


class OneMore(Create):
    """Asks the model each source's question, and makes a task of its answer plus one. It may break after some."""

    name: ClassVar[str] = "test_one_more"
    breaks_after: ClassVar[int | None] = None

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created]:
        made = []
        for n, source in enumerate(sources):
            if n == self.breaks_after:
                raise StoreError("pulled the plug")
            (reply,) = await models["self"].ask(source.messages, sampling=Sampling(temperature=0.7, max_tokens=32))
            number = (re.findall(r"-?\d+", reply.text) or ["0"])[-1]
            task = asks(f"Calculate {n} + {number} + 1.", objective=objectives[0].id, difficulty=0.5)
            made.append(Created(task, (source.id,)))
        return made


SETS = {
    name: [f"Calculate {n} + {i}." for i in range(2)]
    for n, name in ((11, "train"), (22, "dev"), (33, "gate"), (44, "sealed"), (55, "guard:sums"), (66, "attack:sums"))
}


def begun(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = run_in(folder, ScriptedEngine())
    flat = [(name, i, asks(q)) for name, qs in SETS.items() for i, q in enumerate(qs)]
    made = mint_all([Output(t, ()) for *_, t in flat], "i1:source", 0)
    if not run.ledger.sets():
        run.ledger.add_sets(made, [(n, i, m.record.id) for (n, i, _), m in zip(flat, made, strict=True)])
        run.ledger.add_records([Made(run.base, hash_of("model", "scripted"), 0, 0), Made(GOAL, "i1:o", 1, 0)])
    own: dict[str, tuple[Task, ...]] = {}
    for (name, _, _), m in zip(flat, made, strict=True):
        assert isinstance(m.record, Task)
        own[name] = (*own.get(name, ()), m.record)
    suites = {k: v for k, v in own.items() if ":" in k}
    run.tasks = Sets(own["train"], own["dev"], own["gate"], own["sealed"], suites=suites)
    run.round, run.last_round = 1, 1
    return run


def create(run: Run, op: Create, *, seen: Sequence[Task] = (), sources: Sequence[Task] | None = None) -> list[Task]:
    of = run.tasks.train if sources is None else sources
    return asyncio.run(run.create(op, [GOAL], of, seen, run.models(run.base)))


def decided(run: Run) -> list[Decision]:
    return [d for d in run.ledger.records("decision") if isinstance(d, Decision)]


def test_what_is_made_is_recorded_with_its_objective_its_sources_and_its_difficulty(tmp_path: Path) -> None:
    run = begun(tmp_path)
    made = create(run, Template(questions=("Calculate 7 + 8.", "Calculate 8 + 9.")))
    assert [(t.question, t.objective, t.difficulty) for t in made] == [
        ("Calculate 7 + 8.", GOAL.id, 0.0), ("Calculate 8 + 9.", GOAL.id, 1.0)
    ]  # fmt: skip
    assert [t.id for t in run.ledger.records(ids=[t.id for t in made])] == [t.id for t in made]
    first = made[0].id
    assert set(run.ledger.parents([first])[first]) == {run.tasks.train[0].id, run.base.id}  # and no objective
    (decision,) = run.ledger.parents([first], "decided_by")[first]
    assert GOAL.id in run.ledger.parents([decision])[decision]
    assert [d.reason for d in decided(run)] == ["made for the objective add (improve, 4 tasks): room to learn"] * 2
    run.ledger.close()
    said = why(tmp_path, first)["sentences"]
    assert said[0] == "This is a add task that was made in the run, from made."
    assert any("In round 1 it was made for the objective add" in s for s in said)


@pytest.mark.parametrize("name", [name for name in SETS if name != "train"])
@pytest.mark.parametrize("how", ["its content", "its words", "words in other letters"])
def test_a_task_that_is_held_out_is_dropped_and_the_reason_quotes_nothing_of_it(
    tmp_path: Path, name: str, how: str
) -> None:
    run = begun(tmp_path)
    secret = SETS[name][1]
    given = {
        "its content": Template(questions=("What do you get?",), canonical=secret),
        "its words": Template(questions=(secret,), canonical="something else"),
        "words in other letters": Template(questions=(f"  {secret.upper()} ",), canonical="something else"),
    }[how]
    with pytest.raises(DataError) as refused:
        create(run, given)
    (decision,) = decided(run)
    assert (decision.kept, decision.reason) == (False, HELD_OUT)
    for told in (decision.reason, str(refused.value)):
        assert not re.search(r"\d\d", told)
        assert name not in told
    assert verify(run.ledger) == []


def test_what_repeats_something_seen_or_another_or_asks_nothing_is_dropped_with_its_reason(tmp_path: Path) -> None:
    run = begun(tmp_path)
    seen = asks("Calculate 1 + 1.").model_copy(update={"id": "i1:seen"})
    questions = ("Calculate 1 + 1.", "Calculate 7 + 8.", "calculate  7 + 8.", " ", SETS["gate"][0])
    made = create(run, Template(questions=questions), seen=[seen])
    assert [t.question for t in made] == ["Calculate 7 + 8."]
    assert {d.reason for d in decided(run) if not d.kept} == {SEEN, TWICE, EMPTY, HELD_OUT}
    assert len(run.ledger.records("task")) == sum(map(len, SETS.values())) + len(questions)
    run.ledger.close()
    found = summary(tmp_path)
    assert found["rounds"] == [] or all(not r["filters"] for r in found["rounds"])
    (tally,) = (r["created"] for r in [*found["rounds"], *found["comparison"]])
    assert tally == {"kept": 1, "dropped": 4}


@pytest.mark.parametrize("name", [name for name in SETS if name != "train"])
@pytest.mark.parametrize("place", ["sources", "seen"])
def test_what_is_held_out_is_never_shown_to_who_makes_tasks(tmp_path: Path, name: str, place: str) -> None:
    run = begun(tmp_path)
    with pytest.raises(DataError, match=f"was handed a task of the {name} set, which is held out"):
        create(run, Template(questions=("x",)), **{place: [run.tasks.held_out()[name][0]]})
    assert decided(run) == []


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (Template(questions=("x",), objective="i1:other"), "for the objective 'i1:other', which was not handed in"),
        (Template(questions=("x",), made_from="i1:other"), "from 'i1:other', which is no source"),
    ],
)
def test_a_task_for_another_objective_or_from_another_source_is_refused(tmp_path: Path, op: Create, said: str) -> None:
    with pytest.raises(StepFailed, match=said):
        create(begun(tmp_path), op)


def test_nothing_is_made_for_an_objective_that_lapsed_and_nothing_made_is_an_error(tmp_path: Path) -> None:
    run = begun(tmp_path)
    lapsed = GOAL.model_copy(update={"expires": 0})
    for objectives, said in (([lapsed], "lapsed after round 0"), ([], "none")):
        with pytest.raises(StepFailed, match=said):
            asyncio.run(run.create(Template(), objectives, run.tasks.train, (), run.models(run.base)))
    with pytest.raises(DataError, match="made no task for the objectives of round 1 that could be kept"):
        create(run, Template())


def test_a_finished_creation_is_replayed_and_a_killed_one_repeats_only_what_was_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = begun(tmp_path / "calm")
    made = create(calm, OneMore())
    again = begun(tmp_path / "calm")
    assert create(again, OneMore()) == made
    assert again.generate_context.asked == 0

    monkeypatch.setattr(OneMore, "breaks_after", 1)
    with pytest.raises(StoreError, match="pulled the plug"):
        create(begun(tmp_path / "killed"), OneMore())
    monkeypatch.setattr(OneMore, "breaks_after", None)
    resumed = begun(tmp_path / "killed")
    assert create(resumed, OneMore()) == made
    assert (resumed.generate_context.replayed, resumed.generate_context.asked) == (1, 1)
    assert resumed.ledger.content_digest() == calm.ledger.content_digest()
    assert verify(resumed.ledger) == []


def test_a_policy_that_learned_from_made_tasks_descends_from_their_sources_and_from_nothing_held_out(
    tmp_path: Path,
) -> None:
    run = begun(tmp_path)

    async def work() -> str:
        models = run.models(run.base)
        made = await run.create(OneMore(), [GOAL], run.tasks.train, (), models)
        return (await run.update(SFT(epochs=1), run.base, await run.solve(SAMPLE, made, models))).id

    reached = run.ledger.ancestors(asyncio.run(work()))
    assert {t.id for t in run.tasks.train} <= reached
    assert not reached & {t.id for tasks in run.tasks.held_out().values() for t in tasks}
    assert verify(run.ledger) == []


class Halting(Create):
    """A task, a proposal that is none, and one whose key was found again; or nothing but refusals."""

    name: ClassVar[str] = "test_halting"
    none: bool = False

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]:
        if self.none:
            return [Refused("it is no task")] * 25
        return [Created(asks("Calculate 7 + 8.", objective=GOAL.id)), Refused("it is no task"),
                Created(asks("Calculate 9 + 9.", objective=GOAL.id), key_again=True)]  # fmt: skip


def test_a_proposal_that_is_no_task_is_a_decision_with_its_reason_and_no_task(tmp_path: Path) -> None:
    run = begun(tmp_path)
    made = create(run, Halting())
    assert [t.question for t in made] == ["Calculate 7 + 8.", "Calculate 9 + 9."]
    assert sorted((d.kept, d.item.startswith("proposal")) for d in decided(run)) == [
        (False, True), (True, False), (True, False)
    ]  # fmt: skip
    assert verify(run.ledger) == []


@pytest.mark.parametrize(
    "told", ["Please answer: seven plus 55", "55 + 7 = ?", "What is 7 + 55? Give the answer only."]
)
def test_what_asks_a_held_out_question_in_other_words_is_dropped_too(tmp_path: Path, told: str) -> None:
    run = begun(tmp_path)
    run.tasks = Sets(run.tasks.train, run.tasks.dev, run.tasks.gate, (asks("Calculate 55 + 7."),))
    with pytest.raises(DataError):
        create(run, Template(questions=(told,)))
    assert [d.reason for d in decided(run)] == [HELD_OUT]


def test_an_appraisal_is_recorded_once_and_again_the_same_and_stops_what_gives_nothing(tmp_path: Path) -> None:
    def appraised() -> tuple[Run, list[Decision]]:
        run = begun(tmp_path)
        create(run, Halting())
        empty = asyncio.run(
            run.create(Halting(none=True), [GOAL], run.tasks.train, (), run.models(run.base), at_least=0)
        )
        assert empty == []
        return run, [run.appraise(Halting()), run.appraise(Halting(none=True))]

    run, decisions = appraised()
    content = run.ledger.content_digest()
    run.ledger.close()
    again, same = appraised()
    assert same == decisions
    assert again.ledger.content_digest() == content
    assert [d.kept for d in decisions] == [True, False]
    assert [d.item for d in decisions] == ["source test_halting"] * 2
    good, bad = (a for a in again.ledger.records("assessment") if isinstance(a, Assessment))
    assert (good.numbers["keys_right"], good.numbers["validity"], good.trusted) == (1.0, pytest.approx(2 / 3), True)
    assert (bad.trusted, bad.reason) == (False, "nothing of 25 proposals could be kept")
    assert bad.counts == {"refused": {"it is no task": 25}}
    with pytest.raises(StepFailed, match="made no tasks yet"):
        again.appraise(Template())
    assert verify(again.ledger) == []
