"""The full loop on the scripted model: the written objective moves the split and the difficulty, and a kill changes
nothing. Base policies here have families of different skill, so that there is something to tell apart."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.acquire.solutions.sample import Sample
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, DataError
from instar.evaluate.eval import Eval
from instar.evaluate.health import VitalSigns
from instar.protocols import Judge, Models
from instar.recipes.full_loop import WARM, FullLoop, full_loop
from instar.records import (
    Decision,
    Feedback,
    Health,
    Mark,
    Message,
    Objective,
    Policy,
    Role,
    Solution,
    Task,
    Turn,
    mint,
)
from instar.refine.filters.inverted import Inverted
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.budget import Budget, BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.progress import Screen
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.scripted_world import last_number, weights_of
from instar.store.artefacts import Artefacts
from instar.store.ledger import Ledger, Made
from instar.store.verify import verify
from instar.update.weights.sft import SFT
from tests.recipes.scripted import content, instar, run, start

SKILLS = {"add": 0.75, "subtract": 0.75, "mixed": 0.12, "multiply": 0.4, "other": 0.0}
QUESTIONS = {
    "sum/easy": lambda i: (f"Calculate {i} + {i + 1}.", 2 * i + 1),
    "sum/hard": lambda i: (f"Calculate {2 * i + 9} + 5 - {i}.", i + 14),
    "product": lambda i: (f"Calculate {i} * 3.", 3 * i),
    "riddle": lambda i: (f"Which colour has number {i}?", 1000 + i),
}


class Quick(Judge):
    """Right if the last number is the truth. In this process: these tests are about the loop, not about checkers."""

    name: ClassVar[str] = "quick_judge"

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        out = []
        for s in solutions:
            found = last_number(s.text)
            right = found is not None and str(found) == task.private["answer"]
            out.append(Feedback(solution=s.id, score=float(right), mark=Mark.right if right else Mark.wrong,
                                source="verifier", answer=None if found is None else str(found)))  # fmt: skip
        return out


CFG = FullLoop(
    rounds=3,
    per_round=80,
    train=SFT(epochs=1),
    solve=Sample(samples=4, sampling=WARM),
    judge=Quick(),
    dev_exam=Eval(solve=Sample(samples=4, sampling=WARM), judge=Quick(), samples=4),
    exam=FullLoop().exam.model_copy(update={"judge": Quick()}),
)


def tasks_of(name: str, first: int, each: int) -> list[Task]:
    out = []
    for i in range(first, first + each):
        for ability, ask in QUESTIONS.items():
            question, answer = ask(i)
            out.append(
                Task(messages=(Message(role=Role.user, content=question),), ability=ability, source="test",
                     canonical=question, private={"answer": str(answer)})
            )  # fmt: skip
    return [t.model_copy(update={"id": mint("task", name, (), 0, i)}) for i, t in enumerate(out)]


def new_run(folder: Path, *, train: int = 160, dev: int = 20, skills: Mapping[str, float] = SKILLS) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    ledger, engine = Ledger(folder / "ledger.db"), ScriptedEngine()
    budget_tracker = BudgetTracker(Budget(), folder)
    base = Policy(weights=weights_of(skills), made_by="scripted").identified()
    made = {"train": tasks_of("train", 100, train), "dev": tasks_of("dev", 300, dev) if dev else [],
            "gate": tasks_of("gate", 400, 60)}  # fmt: skip
    ledger.add_records([Made(base, "start", 0, 0)])
    flat = [(name, i, t) for name, own in made.items() for i, t in enumerate(own)]
    ledger.add_sets([Made(t, n, 0, i) for n, i, t in flat], [(n, i, t.id) for n, i, t in flat])
    return Run(
        ledger=ledger, engine=engine, artefacts=Artefacts(folder / "artefacts"),
        generate_context=GenerateContext(engine, ledger, budget_tracker, asyncio.Event()),
        budget_tracker=budget_tracker, screen=Screen("silent"), watch=Stopwatch(), stop=threading.Event(),
        folder=folder, seed=1, base=base, tasks=Sets(tuple(made["train"]), tuple(made["dev"]), tuple(made["gate"]), ()),
    )  # fmt: skip


def play(folder: Path, cfg: FullLoop = CFG, **more: Any) -> tuple[Run, Policy]:
    loop = new_run(folder, **more)
    return loop, asyncio.run(full_loop(loop, cfg))


def objectives(loop: Run) -> dict[int, dict[str, Objective]]:
    """Round to ability to objective."""
    out: dict[int, dict[str, Objective]] = {}
    for o in loop.ledger.records("objective"):
        assert isinstance(o, Objective)
        out.setdefault(loop.ledger.provenance(o.id)["round"], {})[o.ability] = o
    return out


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Policy]:
    return play(tmp_path_factory.mktemp("steered"))


def test_the_written_objective_changes_the_split_and_moves_the_difficulty(steered: tuple[Run, Policy]) -> None:
    by_round = objectives(steered[0])
    first, last = by_round[1], by_round[max(by_round)]
    assert first["sum/easy"].tasks > first["sum/hard"].tasks
    assert "only the floor share" in first["sum/hard"].reason
    assert last["sum/hard"].tasks > last["sum/easy"].tasks
    assert first["riddle"].direction == last["riddle"].direction == "guard"
    assert first["product"].tasks != last["product"].tasks
    assert "to the easiest below" in " ".join(r["sum/hard"].reason for r in by_round.values())
    assert first["sum"].parent == first["*"].id
    assert all(o.tasks == 80 for r in by_round.values() for a, o in r.items() if a == "*")


def test_the_tasks_taken_are_those_the_objective_asked_for_and_each_is_taken_once(steered: tuple[Run, Policy]) -> None:
    loop, by_round = steered[0], objectives(steered[0])
    ability = {t.id: t.ability for t in loop.tasks.train}
    taken: dict[int, Counter[str]] = {}
    chosen = [d for d in loop.ledger.records("decision") if isinstance(d, Decision) and d.item in ability]
    assert len({d.item for d in chosen}) == len(chosen) == 240
    for d in chosen:
        taken.setdefault(loop.ledger.provenance(d.id)["round"], Counter())[ability[d.item]] += 1
    for number, found in taken.items():
        assert found == {a: by_round[number][a].tasks for a in found}
    served = loop.ledger.parents([chosen[0].id])[chosen[0].id]
    assert any(o.id in served for o in by_round[1].values())
    assert loop.ledger.parents([chosen[0].item], "decided_by")[chosen[0].item] == [chosen[0].id]


def test_it_improves_and_a_healthy_run_raises_no_alarm(steered: tuple[Run, Policy]) -> None:
    loop, final = steered
    assert final.weights.skills
    assert loop.base.weights.skills
    assert final.weights.skills["mixed"] > loop.base.weights.skills["mixed"] + 0.1
    healths = loop.ledger.records("health")
    assert len(healths) == 3
    assert [a.reason for h in healths if isinstance(h, Health) for a in h.alarms if a.raised] == []
    assert verify(loop.ledger) == []
    reached = loop.ledger.ancestors(final.id)
    assert not reached & {t.id for t in (*loop.tasks.dev, *loop.tasks.gate)}


def test_uniform_splits_equally_whatever_the_objective_says(tmp_path: Path) -> None:
    loop, _ = play(tmp_path, CFG.model_copy(update={"uniform": True, "rounds": 1}), train=20)
    ability = {t.id: t.ability for t in loop.tasks.train}
    taken = Counter(ability[d.item] for d in loop.ledger.records("decision") if getattr(d, "item", "") in ability)
    assert taken == dict.fromkeys(QUESTIONS, 20)


def test_show_says_what_was_selected_where_that_is_not_what_the_objective_says(runs: Path) -> None:
    found = run(runs, "equal", *SETS, "uniform=true", "rounds=1", recipe="full_loop")
    (first,) = found["rounds"]
    assert max(first["selected_by_ability"].values()) - min(first["selected_by_ability"].values()) <= 1
    assert sum(first["selected_by_ability"].values()) == first["selected"]
    shown = instar("show", "equal", runs=runs).stdout
    assert f"selected: {', '.join(f'{a} {n}' for a, n in first['selected_by_ability'].items())}" in shown


def test_it_does_not_improve_when_its_filter_is_inverted(tmp_path: Path) -> None:
    wrong = Inverted(inner=ScoreAtLeast())
    loop, final = play(tmp_path, CFG.model_copy(update={"right": wrong, "predict": None}), train=60)
    assert final.id == loop.base.id
    last = objectives(loop)[3]["*"]
    assert last.tasks == 0
    assert last.reason.startswith("stop: 2 gates in a row")


def test_a_round_that_cannot_help_is_skipped_before_it_is_paid_for_and_says_why(tmp_path: Path) -> None:
    loop, final = play(tmp_path, CFG.model_copy(update={"right": Inverted(inner=ScoreAtLeast())}))
    assert final.id == loop.base.id
    (said,) = [d for d in loop.ledger.records("decision") if isinstance(d, Decision) and d.item == loop.base.id]
    assert not said.kept
    assert "the round is skipped" in said.reason
    assert len(loop.ledger.records("solution")) == 4 * len(loop.tasks.dev)


def test_where_nothing_can_be_learned_it_stops_at_once(tmp_path: Path) -> None:
    loop, final = play(tmp_path, skills=dict.fromkeys(SKILLS, 0.0))
    assert final.id == loop.base.id
    assert objectives(loop)[1]["*"].reason.startswith("stop: nothing to learn")


def test_no_dev_set_is_refused_before_a_token_is_spent_and_an_empty_pool_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no dev set"):
        play(tmp_path / "a", dev=0, train=1)
    with pytest.raises(DataError, match="no task left"):
        play(tmp_path / "b", CFG.model_copy(update={"rounds": 3, "per_round": 60}), train=5)


def test_a_planted_collapse_raises_an_alarm_in_the_run(tmp_path: Path) -> None:
    loop = new_run(tmp_path)

    async def two_rounds() -> Health:
        models = loop.models(loop.base)
        tries = await loop.judge(CFG.judge, await loop.solve(CFG.solve, loop.tasks.train[:40], models), models)
        for _ in loop.rounds(2):
            found = await loop.health(VitalSigns(), tries, [])
            same = (Turn(text="The answer is 4."),)
            tries = [e.model_copy(update={"solution": e.solution.model_copy(update={"turns": same})}) for e in tries]
        return found

    found = asyncio.run(two_rounds())
    assert [a.name for a in found.alarms if a.raised] == ["diversity_falling"]
    assert loop.healths[-1].id == found.id


# --- as a user starts it ----------------------------------------------------------------------------------------------

SETS = (
    'tasks.families={"chain_sum/two"={min_terms=2,max_terms=2,max_digits=2},'
    '"chain_sum/four"={min_terms=4,max_terms=4,max_digits=2},"products"={max_terms=2,max_digits=2},gcd={}}',
    "sizes.train=100", "sizes.dev=40", "sizes.gate=80", "sizes.sealed=40", "per_round=50", "solve.samples=6",
    "train.epochs=2", "dev_exam.samples=4", "dev_exam.solve.samples=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", *SETS, recipe="full_loop")


def test_it_improves_on_sealed_tasks_and_show_has_objectives_and_health(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    first, second = undisturbed["rounds"]
    assert sum(o["tasks"] for o in first["objectives"] if o["ability"] == "*") == 50
    assert first["selected"] == second["selected"] == 50
    assert first["prediction"]["can_help"]
    assert len(first["health"]["alarms"]) == 5
    shown = instar("show", "undisturbed", runs=runs).stdout
    assert "round 2 objective:" in shown
    assert "pass@" not in shown  # the reasons of the leaves are for --json and why


def test_why_says_which_objective_a_task_served(runs: Path, undisturbed: dict[str, Any]) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    train = set(ledger.sets()["train"])
    task = next(d.item for d in ledger.records("decision") if isinstance(d, Decision) and d.item in train)
    ledger.close()
    told = json.loads(instar("why", task, "--run", "undisturbed", "--json", runs=runs).stdout)
    assert any("In round" in s and "selected for the objective" in s for s in told["sentences"])


@pytest.mark.slow
def test_killed_in_the_second_round_and_resumed_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    process = start(runs, "killed", *SETS, recipe="full_loop")
    deadline = time.monotonic() + 60
    while not _in_round_two(runs / "killed" / "ledger.db"):
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    instar("resume", "killed", "--quiet", runs=runs)
    assert json.loads(instar("show", "killed", "--json", runs=runs).stdout)["final"] == undisturbed["final"]
    assert content(runs, "killed") == content(runs, "undisturbed")


def _in_round_two(ledger: Path) -> bool:
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
            return bool(raw.execute("select 1 from steps where verb = 'solve' and round = 2").fetchall())
    except sqlite3.OperationalError:
        return False
