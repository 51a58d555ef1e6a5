"""Games of TextArena, the real library, in a virtual environment of its own (120 MB, half a minute)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from instar.acquire.environments.textarena import TextArena
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.solutions.play import Play
from instar.acquire.tasks.sets import prove_disjoint
from instar.acquire.tools.mcp_server import close_all
from instar.errors import ConfigError, DataError
from instar.records import Mark, Task, mint
from tests.acquire.asked import Told
from tests.acquire.interpreters import with_library

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def guess(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextArena]:
    folder = tmp_path_factory.mktemp("textarena")
    python = with_library("textarena==0.7.4", folder)
    yield TextArena(id="GuessTheNumber-v0", python=python)
    close_all()


def drawn(environment: TextArena, n: int = 1) -> list[Task]:
    tasks = environment({"train": n}, {"train": 1})["train"]
    return [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)}) for i, t in enumerate(tasks)]


class Halving:
    """Halves the range, as one who has understood."""

    def __init__(self) -> None:
        self.low, self.high = 1, 20

    def say(self, seen: str) -> str:
        if "higher." in seen:
            self.low = self.middle + 1
        if "lower." in seen:
            self.high = self.middle - 1
        return f"I say [{self.middle}]"

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2


def test_a_game_is_won_and_lost_and_only_what_is_new_is_said_in_a_turn(guess: TextArena) -> None:
    (task,) = drawn(guess)
    assert "between 1 and 20 within 10 turns" in task.question
    model = Told(Halving().say)
    (made,) = asyncio.run(Play(environment=guess, samples=1)(task, {"self": model}))
    assert model.prompts[0][-1].content == task.question
    seen = [t.text for t in made.turns[1::2]]
    assert seen[-1] == "Congratulations! You guessed the correct number."
    assert set(seen[:-1]) <= {"[GAME] The target number is higher.", "[GAME] The target number is lower."}
    (judged,) = asyncio.run(Outcome(environment=guess)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.right, 1.0)
    (made,) = asyncio.run(Play(environment=guess, samples=1)(task, {"self": Told(lambda _: "no idea")}))
    (judged,) = asyncio.run(Outcome(environment=guess)(task, [made], {}))
    assert judged.mark is Mark.wrong


def test_two_seeds_that_hide_the_same_number_are_one_task(guess: TextArena) -> None:
    sets = guess({"train": 8, "gate": 8}, {"train": 1, "gate": 1})
    assert prove_disjoint(sets) == {"train": 8, "gate": 8}
    assert guess({"train": 8, "gate": 8}, {"train": 1, "gate": 1}) == sets
    with pytest.raises(DataError, match=r"GuessTheNumber-v0 begins in 20 ways that differ.*21 tasks are wanted"):
        drawn(guess, 21)


@pytest.mark.parametrize(("id", "why"), [("Nope-v0", "not found in registry"), ("KuhnPoker-v0", "player")])
def test_a_game_that_is_none_or_of_several_players_is_refused(guess: TextArena, id: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        drawn(guess.model_copy(update={"id": id}))
