"""Games of TextWorld, the real library, in a virtual environment of its own (380 MB, a minute or two)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from instar.acquire.environments.floor import floor
from instar.acquire.environments.playing import played
from instar.acquire.environments.textworld import TextWorld
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.solutions.play import Play
from instar.acquire.tasks.sets import prove_disjoint
from instar.acquire.tools.mcp_server import close_all
from instar.errors import DataError
from instar.records import Mark, Task, mint
from tests.acquire.asked import Told
from tests.acquire.interpreters import with_library

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextWorld]:
    folder = tmp_path_factory.mktemp("textworld")
    python = with_library("textworld==1.7.0", folder)
    yield TextWorld(python=python)
    close_all()


def drawn(environment: TextWorld, n: int = 1) -> list[Task]:
    tasks = environment({"train": n}, {"train": 1})["train"]
    return [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)}) for i, t in enumerate(tasks)]


def test_a_game_is_won_by_its_command_and_lost_by_looking_around(games: TextWorld) -> None:
    (task,) = drawn(games)
    wins = [
        c
        for c in games.choices(task.private)
        if asyncio.run(played(games, task.private, [c], (), 60.0))[-1].score == 1.0
    ]
    assert len(wins) == 1
    model = Told(lambda _: f"{wins[0].upper()}!\nDone.")
    (made,) = asyncio.run(Play(environment=games, samples=1, seconds=60)(task, {"self": model}))
    shown = model.prompts[0][-1].content
    assert shown == task.question
    assert shown.startswith("You are in a text game.")
    assert f"You can: {', '.join(games.choices(task.private))}." in shown
    assert (
        made.turns[-1].text.endswith("You scored 1 out of a possible 1, in 1 turns.")
        or "The End" in made.turns[-1].text
    )
    (judged,) = asyncio.run(Outcome(environment=games, seconds=60)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.right, 1.0)
    looks = Play(environment=games, samples=1, turns=3, seconds=60)
    (made,) = asyncio.run(looks(task, {"self": Told(lambda _: "look")}))
    (judged,) = asyncio.run(Outcome(environment=games, seconds=60)(task, [made], {}))
    assert (judged.mark, judged.score, judged.comment) == (Mark.wrong, 0.0, "not over in its turns")
    for odd in ("", "\n", "💥" * 500, "a" * 2_000, "restart", "quit", "save", "restore", "undo", "script"):
        moves = asyncio.run(played(games, task.private, [odd, "look"], (), 60.0))
        assert moves[-1].score in (0.0, None), odd


def test_what_was_saved_in_one_episode_is_not_there_in_another(games: TextWorld) -> None:
    (task,) = drawn(games)
    saved = asyncio.run(played(games, task.private, ["save", "mine", "look"], (), 60.0))
    assert saved[1].observation == "That is no command here."
    assert asyncio.run(played(games, task.private, ["restore"], (), 60.0))[1].observation == "That is no command here."


def test_a_longer_quest_is_made_and_its_score_counts_what_was_done(games: TextWorld) -> None:
    (task,) = drawn(games.model_copy(update={"rooms": 2, "objects": 6, "quest": 3}))
    moves = asyncio.run(
        played(games.model_copy(update={"quest": 3, "rooms": 2, "objects": 6}), task.private, ["look"], (), 60.0)
    )
    assert not moves[-1].done
    assert moves[-1].score == 0.0


def test_its_games_are_disjoint_the_same_again_and_have_a_floor(games: TextWorld) -> None:
    wanted, seeds = {"train": 6, "gate": 4}, {"train": 1, "gate": 1}
    sets = games(wanted, seeds)
    assert prove_disjoint(sets) == wanted
    assert games(wanted, seeds) == sets
    found = asyncio.run(floor(games, sets["gate"], turns=4, seconds=60))
    assert found is not None
    assert 0 <= found < 1


def test_more_games_than_there_are_are_refused(games: TextWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        TextWorld, "pages", lambda self, what, wanted: [{"seed": 1, "key": "one", "choices": [], "says": ""}]
    )
    with pytest.raises(DataError, match=r"1 rooms, 3 objects, quests of 1 begins in 1 ways that differ"):
        games({"train": 3}, {"train": 1})
