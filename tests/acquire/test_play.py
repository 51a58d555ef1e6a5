"""Environments: episodes over turns, what ends them, how they are judged, and what a killed run does of them again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.environments.floor import floor
from instar.acquire.environments.guess_number import GuessNumber
from instar.acquire.environments.playing import Spoiled, played
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.feedback.pool import shared
from instar.acquire.solutions.play import SPOILED, Play
from instar.acquire.tasks.sets import prove_disjoint
from instar.app.configs.build import build_op
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, DataError, StepFailed, StoreError
from instar.protocols import Environment, Source
from instar.records import Finish, Mark, Reply, Solution, Task, TurnKind, mint
from instar.store.ledger import Ledger
from instar.store.verify import verify
from tests.acquire.asked import Told
from tests.run.test_run import run_in, solve

OWN = '''
import os, time
from typing import ClassVar

from instar.protocols import Environment, Moved


class Course:
    def reset(self, task):
        if task.get("broken"):
            raise ValueError("no door")
        return f"A door. {os.environ.get('INSTAR_TEST_DOOR', '')}".strip()

    def step(self, action):
        if action == "hang":
            time.sleep(60)
        if action == "die":
            os._exit(3)
        if action == "flood":
            return Moved("x" * 1_000_000)
        if action == "raise":
            raise KeyError("key")
        if action == "paid":
            return Moved("", True, 7)
        if action == "list":
            return Moved(["no text"])
        if action == "stop":
            raise KeyboardInterrupt
        if action == "text":
            return "no"
        if action == "gym":
            return "A room.", 0.0, True, False, {}
        if action == "clock":
            return Moved(str(time.time_ns()))
        print("printed")
        return Moved("Open.", True, 0.5) if action == "knock" else Moved("y" * 2_000)


class Door(Environment):
    """A door."""

    name: ClassVar[str] = "door"

    def episode(self):
        return Course()

    def __call__(self, wanted, seeds):
        return {}
'''


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    path = tmp_path_factory.mktemp("own") / "my_door.py"
    path.write_text(OWN)
    made = build_op(Environment, f"{path}:Door", where="environment")
    assert isinstance(made, Environment)
    return made


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    shared().close()


def drawn(environment: Environment | None = None, n: int = 1) -> list[Task]:
    tasks = (environment or GuessNumber())({"train": n}, {"train": 1})["train"]
    return [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)}) for i, t in enumerate(tasks)]


class Halving:
    """Halves the range, as one who has understood."""

    def __init__(self, task: Task, most: int = 8) -> None:
        self.low, self.high = task.private["low"], task.private["low"] + most - 1

    def say(self, seen: str) -> str:
        if self.low < self.high and seen.startswith(("Higher", "Lower")):
            middle = (self.low + self.high) // 2
            self.low, self.high = (middle + 1, self.high) if seen.startswith("Higher") else (self.low, middle - 1)
        return f"I say {(self.low + self.high) // 2}"


def test_an_episode_is_played_over_turns_and_judged_by_what_comes_of_it() -> None:
    environment = GuessNumber(guesses=4)
    (task,) = drawn(environment)
    model = Told(Halving(task).say)
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": model}))
    assert made.turns[-1].text == "Right."
    assert {t.kind: t.train for t in made.turns} == {TurnKind.assistant: True, TurnKind.tool_result: False}
    assert model.prompts[0][-1].content.endswith("Say one number at a time.\n\nYou have 4 guesses.")
    assert [m.content for m in model.prompts[-1]][1:] == [t.text for t in made.turns[:-2]]
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert (judged.mark, judged.score, judged.source) == (Mark.right, 1.0, "environment")
    lost = Told(lambda _: "I do not know")
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": lost}))
    assert [t.text for t in made.turns[1::2]] == [
        *(f"That is no number. {n} left." for n in (3, 2, 1)),
        "That is no number.",
    ]
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert (judged.mark, judged.score, judged.comment) == (Mark.wrong, 0.0, "")


def test_an_episode_that_is_not_over_in_its_turns_was_cut_and_is_not_right() -> None:
    environment = GuessNumber(guesses=4)
    (task,) = drawn(environment)
    (made,) = asyncio.run(Play(environment=environment, samples=1, turns=2)(task, {"self": Told(lambda _: "-1")}))
    assert (len(made.turns), made.finish) == (4, Finish.length)
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert (judged.mark, judged.score, judged.comment) == (Mark.wrong, 0.0, "not over in its turns")


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("hang", "timed out after 0.5 s"),
        ("die", "the environment's process died (exit code 3)"),
        ("flood", "observation has 1,000,000 characters"),
        ("raise", "the environment's step raised KeyError: 'key'"),
        ("paid", "the environment's score is 7, not a number from 0 to 1"),
        ("list", "observation is a list, not a text"),
        ("stop", "the environment's process failed (KeyboardInterrupt: )"),
        ("text", "the environment's step gave a str, not Moved(observation, done, score)"),
        ("gym", "the environment's step gave a tuple of 5, not Moved(observation, done, score)"),
        ("clock", "answers the same actions otherwise than it did"),
    ],
)
def test_what_an_environment_does_to_an_episode_is_its_reason(door: Environment, action: str, why: str) -> None:
    said = iter([action, "knock"])
    (task,) = drawn()
    op = Play(environment=door, samples=1, seconds=0.5)
    (made,) = asyncio.run(op(task, {"self": Told(lambda _: next(said))}))
    assert made.flags == (SPOILED,)
    assert why in made.turns[-1].text
    (judged,) = asyncio.run(Outcome(environment=door)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.invalid, None)
    assert why in judged.comment


def test_an_environment_of_ones_own_is_named_by_its_file_and_its_observations_are_bounded(door: Environment) -> None:
    said = iter(["wait", "knock"])
    (task,) = drawn()
    (made,) = asyncio.run(Play(environment=door, samples=1)(task, {"self": Told(lambda _: next(said))}))
    assert [len(t.text) for t in made.turns] == [4, 1_000, 5, 5]
    (judged,) = asyncio.run(Outcome(environment=door)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.wrong, 0.5)
    broken = task.model_copy(update={"private": {"broken": True}})
    with pytest.raises(StepFailed, match="no episode could begin: the environment's reset raised ValueError: no door"):
        asyncio.run(Play(environment=door, samples=1)(broken, {"self": Told(lambda _: "knock")}))


def test_an_observation_may_be_of_an_enumeration_or_odd_and_a_score_a_number_of_numpy(tmp_path: Path) -> None:
    (tmp_path / "my_house.py").write_text(
        "import enum\nimport numpy as np\nfrom instar.protocols import Environment, Moved\n"
        "class Room(enum.StrEnum):\n    hall = 'A hall.'\n"
        "class Course:\n    def reset(self, task):\n        return '\\ud83d'\n"
        "    def step(self, action):\n        return Moved(Room.hall, np.bool_(True), np.float32(0.5))\n"
        "class House(Environment):\n    name = 'house'\n    def episode(self):\n        return Course()\n"
        "    def __call__(self, wanted, seeds):\n        return {}\n"
    )
    house = build_op(Environment, f"{tmp_path / 'my_house.py'}:House", where="environment")
    assert isinstance(house, Environment)
    first, last = asyncio.run(played(house, {}, ["go"], ["\\ud83d"], 5.0))
    assert (first.observation, type(last.observation), last) == ("\\ud83d", str, ("A hall.", True, 0.5))


def test_an_episode_that_goes_otherwise_when_it_is_judged_is_invalid() -> None:
    environment = GuessNumber(guesses=4)
    (task,) = drawn(environment)
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": Told(Halving(task).say)}))
    other = task.model_copy(update={"private": {**task.private, "secret": task.private["low"] - 5}})
    (judged,) = asyncio.run(Outcome(environment=environment)(other, [made], {}))
    assert judged.mark is Mark.invalid


def test_its_tasks_are_disjoint_the_same_again_and_a_source_like_any() -> None:
    environment = build_op(Source, {"op": "guess_number", "most": 4}, where="tasks")
    assert isinstance(environment, GuessNumber)
    wanted, seeds = {"train": 40, "gate": 20, "sealed": 20}, {"train": 1, "gate": 1, "sealed": 2}
    sets = environment(wanted, seeds)
    assert prove_disjoint(sets) == wanted
    assert environment(wanted, seeds) == sets
    assert str(sets["train"][0].private["secret"]) in environment.choices(sets["train"][0].private)
    with pytest.raises(DataError, match="4,000 tasks of 4 numbers"):
        environment({"train": 2_001}, {})
    with pytest.raises(ConfigError, match="environment operator"):
        build_op(Environment, "jsonl", where="environment")


def test_the_floor_is_what_actions_at_random_get() -> None:
    environment = GuessNumber(most=4, guesses=2)
    tasks = drawn(environment, 40)
    found = asyncio.run(floor(environment, tasks))
    assert found == asyncio.run(floor(environment, tasks))
    assert found is not None
    assert abs(found - 7 / 16) < 0.2


class Plays(ScriptedEngine):
    """Halves; may break when it is asked for the third time."""

    breaks = False

    async def ask(self, policy: Any, messages: Any, **more: Any) -> list[Reply]:
        if Plays.breaks and len(messages) > 2:
            raise StoreError("pulled the plug")
        texts = [m.content for m in messages if m.content.startswith(("Higher", "Lower"))]
        low = int(messages[0].content.split("from ")[1].split(" to ")[0])
        own = Halving(Task(messages=(), ability="", canonical="", source="", private={"low": low}))
        said = [own.say(t) for t in ["", *texts]][-1]
        return [r.model_copy(update={"text": said}) for r in await super().ask(policy, messages, **more)]


def borders(folder: Path) -> list[tuple[str, str]]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert [w for w in verify(ledger) if "which is not there" not in w] == []
        return [(r["kind"], r["said"]) for r in ledger.rows("borders")]


def hard() -> list[Task]:
    """One whose number is not found at once."""
    return [t for t in drawn(GuessNumber(guesses=4), 9) if t.private["secret"] - t.private["low"] not in (3,)][:1]


def broken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    folder.mkdir(exist_ok=True)
    op = Play(environment=GuessNumber(guesses=4), samples=1)
    monkeypatch.setattr(Plays, "breaks", True)
    run = run_in(folder, Plays())
    with pytest.raises(StoreError, match="pulled the plug"):
        solve(run, op, hard())
    run.ledger.close()
    monkeypatch.setattr(Plays, "breaks", False)
    return op


def test_killed_between_a_step_and_the_next_ask_the_episode_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = broken(tmp_path / "killed", monkeypatch)
    before = borders(tmp_path / "killed")
    assert [kind for kind, _ in before] == ["reset", "step"]
    (made,) = solve(run_in(tmp_path / "killed", Plays()), op, hard())
    assert made.turns[-1].text == "Right."
    assert borders(tmp_path / "killed")[:2] == before
    (tmp_path / "whole").mkdir()
    solve(run_in(tmp_path / "whole", Plays()), op, hard())
    digests = []
    for name in ("killed", "whole"):
        with closing(Ledger.read(tmp_path / name / "ledger.db")) as ledger:
            digests.append(ledger.content_digest())
    assert digests[0] == digests[1]


def test_an_environment_that_was_changed_meanwhile_ends_the_episode_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = broken(tmp_path, monkeypatch)

    async def otherwise(environment: Environment, private: Any, actions: Any, known: Any, seconds: float) -> Any:
        secret = private["low"] + (7 if private["secret"] < private["low"] + 3 else 0)
        return await played(environment, {**private, "secret": secret}, actions, known, seconds)

    monkeypatch.setattr("instar.acquire.solutions.play.played", otherwise)
    (made,) = solve(run_in(tmp_path, Plays()), op, hard())
    assert isinstance(made, Solution)
    assert made.flags == (SPOILED,)
    assert "otherwise than it did" in made.turns[-1].text


def test_an_episode_is_known_by_what_was_seen() -> None:
    (task,) = drawn()
    with pytest.raises(Spoiled, match="otherwise"):
        asyncio.run(played(GuessNumber(), task.private, ["1"], ["You have 9 guesses."], 10.0))
