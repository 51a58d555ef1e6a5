"""Environments of Gymnasium: played in a program of their own, behind walls, whatever they do there."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from instar.acquire.environments import program
from instar.acquire.environments.floor import best_constant, floor
from instar.acquire.environments.gymnasium import Gymnasium
from instar.acquire.environments.playing import Spoiled, played
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.solutions.play import SPOILED, Play
from instar.acquire.tasks.sets import prove_disjoint
from instar.acquire.tools.mcp_server import close_all
from instar.app.configs.build import build_op
from instar.app.configs.config import plan
from instar.app.configs.relative_paths import from_beside
from instar.app.preflight.strangers import strangers
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, DataError, StoreError
from instar.protocols import Source
from instar.records import Mark, Reply, Task, mint
from instar.store.ledger import Ledger
from tests.acquire.asked import Told
from tests.run.test_run import run_in, solve

ICE = {
    "id": "FrozenLake-v1", "make": {"is_slippery": False}, "asks": "Cross the ice.",
    "actions": ("left", "down", "right", "up"),
}  # fmt: skip
SLIPPERY = {**ICE, "make": {}, "distinct": "seed"}
ACROSS = ("down", "down", "right", "right", "down", "right")
OWN = """
import os, socket, time
import gymnasium

class Door(gymnasium.Env):
    action_space = gymnasium.spaces.Discrete(11)
    observation_space = gymnasium.spaces.Text(9)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = 0
        return f"A door, {seed % 3}.", {}
    def step(self, action):
        self.n += 1
        if action == 0: time.sleep(60)
        if action == 1: os._exit(3)
        if action == 2: return "x" * 1_000_000, 0.0, False, False, {}
        if action == 3: raise KeyError("key")
        if action == 4: return str(time.time_ns()), 0.0, False, False, {}
        if action == 5:
            print("printed")
            try:
                socket.create_connection(("1.1.1.1", 53), 1)
                return "connected", 0.0, False, False, {}
            except OSError:
                return "no network", 0.0, False, False, {}
        if action == 6: return "y" * 2_000, 0.1, False, False, {}
        if action == 8: return "Gold.", 5.0, True, False, {}
        if action == 9: return "\\ud800", 0.0, False, False, {}
        if action == 10: return input(), 0.0, False, False, {}
        return "Open.", 3.0, True, False, {}

gymnasium.register("Door-v0", entry_point=Door, disable_env_checker=True, order_enforce=False)
"""
NO_KEYS = {
    "answer_key": "final answer", "key": "question", "stop_token": "</s>", "pad_token": "[PAD]", "max_tokens": 512,
    "num_keys": 3, "judge_api_key": "OPENAI_API_KEY",
}  # fmt: skip
DEEDS = ("hang", "die", "flood", "raise", "clock", "look", "wait", "knock", "gold", "odd", "ask")


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Gymnasium:
    path = tmp_path_factory.mktemp("own") / "my_door.py"
    path.write_text(OWN)
    return Gymnasium(id="Door-v0", asks="Open it.", imports=(str(path),), actions=DEEDS, shows="observation", highest=4)


def drawn(environment: Gymnasium, n: int = 1) -> list[Task]:
    tasks = environment({"train": n}, {"train": 1})["train"]
    return [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)}) for i, t in enumerate(tasks)]


def test_an_episode_is_seen_in_words_and_ends_with_the_environments_own_reward() -> None:
    environment = Gymnasium(**ICE)
    (task,) = drawn(environment)
    deeds = iter(["hm", *(f"I go {deed}." for deed in ACROSS)])
    model = Told(lambda _: next(deeds))
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": model}))
    seen = [t.text for t in made.turns[1::2]]
    assert model.prompts[0][-1].content == task.question == "Cross the ice.\n\nred(S)FFF\nFHFH\nFFFH\nHFFG"
    assert seen[0] == "That is no action. Choose one of: left, down, right, up."
    assert seen[-1] == "(Right)\nSFFF\nFHFH\nFFFH\nHFFred(G)"
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert (judged.mark, judged.score, judged.comment) == (Mark.right, 1.0, "")
    (lost,) = asyncio.run(Play(environment=environment, samples=1, turns=3)(task, {"self": Told(lambda _: "left")}))
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [lost], {}))
    assert (judged.mark, judged.comment) == (Mark.wrong, "not over in its turns")


def test_an_episode_can_be_played_by_hand() -> None:
    environment = Gymnasium(**ICE)
    course = environment.episode()
    assert course.reset(drawn(environment)[0].private) == ""  # what is seen first stands in the task
    assert [course.step(deed).done for deed in ACROSS] == [False] * 5 + [True]


def test_its_floors_are_those_of_one_who_knows_nothing() -> None:
    environment = Gymnasium(**SLIPPERY)
    tasks = drawn(environment, 8)
    chance = asyncio.run(floor(environment, tasks))
    assert chance is not None
    assert chance < 0.5
    assert asyncio.run(best_constant(Gymnasium(**ICE), drawn(Gymnasium(**ICE)))) == ("left", 0.0)


def test_its_sets_share_no_task_and_none_hangs_on_the_size_or_seed_of_one_drawn_later() -> None:
    taxi = build_op(Source, {"op": "gymnasium", "id": "Taxi-v4", "asks": "Drive.", "lowest": -200}, where="tasks")
    assert isinstance(taxi, Gymnasium)
    wanted, seeds = {"train": 40, "gate": 20, "sealed": 20}, {"train": 1, "gate": 1, "sealed": 2}
    sets = taxi(wanted, seeds)
    assert prove_disjoint(sets) == wanted
    assert taxi(wanted, seeds) == sets
    other = taxi({**wanted, "train": 50, "gate": 21}, {**seeds, "train": 2})
    assert (other["sealed"], other["gate"][:20]) == (sets["sealed"], sets["gate"])
    assert other["train"][:40] != sets["train"]
    assert taxi.choices(sets["train"][0].private) == tuple("012345")
    same = taxi.model_copy(update={"lowest": -300.0, "actions": ("s", "n", "e", "w", "in", "out"), "python": ""})
    assert [t.canonical for t in same(wanted, seeds)["sealed"]] == [t.canonical for t in sets["sealed"]]


def test_the_text_of_taxi_says_who_waits_and_where_to_go() -> None:
    taxi = Gymnasium(id="Taxi-v4", asks="Drive.", lowest=-200)
    tasks = drawn(taxi, 200)
    assert len({t.question for t in tasks}) == 200
    assert "blue(" in tasks[0].question
    assert "magenta(" in tasks[0].question


def test_where_no_luck_differs_seeds_are_no_tasks() -> None:
    with pytest.raises(DataError, match="FrozenLake-v1 goes the same way from every seed"):
        drawn(Gymnasium(**{**ICE, "distinct": "seed"}), 1)
    for rate in (0.4, 0.95):
        drawn(Gymnasium(**{**SLIPPERY, "make": {"success_rate": rate}}), 1)


def test_a_reward_on_the_edge_is_the_edge_and_one_on_the_way_may_lie_outside() -> None:
    spec = importlib.util.spec_from_file_location("serve", Path(program.__file__).parent / "bridges" / "serve.py")
    assert spec is not None
    assert spec.loader is not None
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    assert serve.on_scale(sum([0.1] * 10), (0.0, 1.0), True) == 1.0
    assert serve.on_scale(sum([0.05] * 20), (0.0, 1.0), True) == 1.0
    assert serve.on_scale(-0.1, (0.0, 1.0), False) == 0.0
    for off in (-0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="lies outside 0 to 1"):
            serve.on_scale(off, (0.0, 1.0), True)


def test_more_tasks_than_ways_to_begin_are_refused_with_what_to_say(door: Gymnasium) -> None:
    with pytest.raises(DataError, match=r"Door-v0 begins in 3 ways that differ, of 220 seeds; 4 tasks .*distinct"):
        drawn(door, 4)
    assert len({t.canonical for t in drawn(Gymnasium(**SLIPPERY), 40)}) == 40


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("hang", "timed out after 0.5 s"),
        ("die", "the environment's program: the tool server failed: it ended"),
        ("flood", "observation has 1,000,000 characters"),
        ("raise", "the environment raised KeyError: 'key'"),
        ("gold", "the reward 5 lies outside 0 to 4: set lowest and highest"),
        ("ask", "the environment raised EOFError"),
        ("clock", "answers the same actions otherwise than it did"),
    ],
)
def test_what_it_does_to_an_episode_is_its_reason_and_the_next_one_is_played(
    door: Gymnasium, deed: str, why: str
) -> None:
    (task,) = drawn(door)
    deeds = iter([deed, "knock"])
    (made,) = asyncio.run(Play(environment=door, samples=1, seconds=0.5)(task, {"self": Told(lambda _: next(deeds))}))
    assert made.flags == (SPOILED,)
    assert why in made.turns[-1].text
    (judged,) = asyncio.run(Outcome(environment=door)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.invalid, None)
    asyncio.run(played(door, task.private, ["wait"], (), 20.0))  # one that died or hung is begun anew
    (made,) = asyncio.run(Play(environment=door, samples=1)(task, {"self": Told(lambda _: "knock")}))
    (judged,) = asyncio.run(Outcome(environment=door)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.wrong, 0.75)  # a reward of 3 on a scale to 4


def test_it_has_no_network_its_prints_disturb_nothing_and_long_observations_are_cut(door: Gymnasium) -> None:
    (task,) = drawn(door)
    moves = asyncio.run(played(door, task.private, ["look", *["wait"] * 30], (), 20.0))
    assert moves[1].observation == "no network"
    assert [len(m.observation) for m in moves[2:]] == [1_000] * 30  # more than one answer of the program holds


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"id": "NoSuchWorld-v1"}, "NoSuchWorld"),
        ({"id": "Taxi-v4", "actions": ("left", "right")}, "Taxi-v4 has 6 actions, and 2 are named"),
        ({"id": "CartPole-v1", "shows": "render"}, 'CartPole-v1 renders no text .* say shows = "observation"'),
        ({"id": "Pendulum-v1"}, "only Discrete ones can be named"),
        ({"id": "Taxi-v4", "make": {"wings": 2}}, "wings"),
        ({"id": "Taxi-v4", "imports": ("no_such_module",)}, "No module named 'no_such_module'"),
        ({"id": "Taxi-v4", "python": "/nowhere/bin/python"}, "there is no interpreter '/nowhere/bin/python'"),
    ],
)
def test_one_that_cannot_be_begun_is_refused_before_the_run_with_what_it_said(fields: dict[str, Any], why: str) -> None:
    environment = Gymnasium(**{"asks": "Go.", "shows": "observation", **fields})
    with pytest.raises(ConfigError, match=why):
        drawn(environment)


@pytest.mark.parametrize("fields", [{"imports": ("my_dor.py",)}, {"reads": ("/nowhere/maps",)}, {"reads": ("",)}])
def test_a_file_that_is_not_there_is_named_before_anything_is_begun(fields: dict[str, Any]) -> None:
    ((given,),) = fields.values()
    with pytest.raises(ConfigError, match=f"there is no '{given}' for gymnasium to read"):
        drawn(Gymnasium(id="Taxi-v4", asks="Go.", **fields))


def test_an_interpreter_without_the_library_is_told_so(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    tmp_path.chmod(0o755)
    environment = Gymnasium(**ICE, python=str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(ConfigError, match=r"No module named 'gymnasium'.*The interpreter must have gymnasium"):
        drawn(environment)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"make": {"api_key": "s3cret"}}, "looks like a key"),
        ({"make": {"api_keys": ["s3cret-value"]}}, "looks like a key stands in make.api_keys"),
        ({"make": {"api_key": {"value": "s3cret"}}}, "looks like a key"),
        ({"make": {"password": 12345}}, "looks like a key"),
        ({"make": {"db_pwd": "swordfish"}}, "looks like a key"),
        ({"make": {"accessToken": "s3cret-value"}}, "looks like a key"),
        ({"make": {"to": ["sk-abcdefghijklmnop"]}}, "looks like a key"),
        ({"env": ("MY_KEY",)}, "env needs network = true"),
        ({"env": ("s3cret",), "network": True}, "not what they hold"),
        ({"lowest": 1.0}, "must lie above lowest"),
    ],
)
def test_a_config_that_would_hold_a_key_or_means_nothing_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Gymnasium(id="Taxi-v4", asks="Go.", **fields)


def test_what_only_has_the_name_of_a_key_is_none_and_long_settings_are_no_path() -> None:
    Gymnasium(id="Taxi-v4", asks="Go.", make=NO_KEYS)
    names = tuple(f"{deed} {'very ' * 20}carefully" for deed in ("south", "north", "east", "west", "in", "out"))
    assert len(drawn(Gymnasium(id="Taxi-v4", asks="Go.", actions=names, lowest=-200))) == 1


def test_an_odd_letter_is_shown_and_a_cancelled_episode_leaves_the_next_one_its_time(door: Gymnasium) -> None:
    (task,) = drawn(door)
    assert asyncio.run(played(door, task.private, ["odd"], (), 20.0))[-1].observation == "?"

    async def given_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(played(door, task.private, ["hang"], (), 60.0), 0.5)
        await played(door, task.private, ["wait"], (), 20.0)

    asyncio.run(given_up())


def test_it_is_named_before_it_is_begun_and_its_paths_lead_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    world = {"op": "gymnasium", "id": "Door-v0", "asks": "Open it.", "imports": ["mine.py", "json"]}
    raw = {"recipe": "rest_em", "model": "scripted", "tasks": world}
    raw["solve"] = {"op": "play", "environment": world}
    found = from_beside(raw, tmp_path)
    assert found["solve"]["environment"]["imports"] == [str(tmp_path / "mine.py"), "json"]
    lines = strangers(plan(found))
    assert len(lines) == 1
    assert lines[0].startswith(
        "starts the environment Door-v0 of gymnasium: python (in the sandbox, without network, reading "
    )


class Walks(ScriptedEngine):
    """Goes across; may break when it is asked for the third time."""

    breaks = False

    async def ask(self, policy: Any, messages: Any, **more: Any) -> list[Reply]:
        done = sum(m.role.value == "assistant" for m in messages)
        if Walks.breaks and done == 2:
            raise StoreError("pulled the plug")
        return [r.model_copy(update={"text": ACROSS[done]}) for r in await super().ask(policy, messages, **more)]


def test_a_run_killed_within_an_episode_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    op = Play(environment=Gymnasium(**ICE), samples=1)
    tasks = drawn(Gymnasium(**ICE)) * 1
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    monkeypatch.setattr(Walks, "breaks", True)
    run = run_in(tmp_path / "killed", Walks())
    with pytest.raises(StoreError, match="pulled the plug"):
        solve(run, op, tasks)
    run.ledger.close()
    close_all()  # its program died with it
    monkeypatch.setattr(Walks, "breaks", False)
    made = solve(run_in(tmp_path / "killed", Walks()), op, tasks)
    assert all(m.turns[-1].text.endswith("HFFred(G)") for m in made)
    solve(run_in(tmp_path / "whole", Walks()), op, tasks)
    digests = []
    for name in ("killed", "whole"):
        with closing(Ledger.read(tmp_path / name / "ledger.db")) as ledger:
            digests.append(ledger.content_digest())
    assert digests[0] == digests[1]


def test_an_episode_is_known_by_what_was_seen(door: Gymnasium) -> None:
    (task,) = drawn(door)
    with pytest.raises(Spoiled, match="otherwise"):
        asyncio.run(played(door, task.private, ["knock"], ["Another door."], 20.0))
