"""Environments of the library verifiers, the real one, in a virtual environment of their own (700 MB, some minutes)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from instar.acquire.environments.playing import Spoiled, played
from instar.acquire.environments.verifiers import Verifiers
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.solutions.play import Play
from instar.acquire.tools.mcp_server import close_all
from instar.errors import ConfigError, DataError
from instar.records import Mark, Role, Task, mint
from tests.acquire.asked import Told
from tests.acquire.interpreters import with_library

pytestmark = pytest.mark.nightly

GAMES = '''
from __future__ import annotations
import dataclasses, random
import verifiers as vf
from datasets import Dataset

@dataclasses.dataclass
class Kept:
    n: int = 0

class Guess(vf.MultiTurnEnv):
    async def setup_state(self, state):
        state["left"] = 3

    async def env_response(self, messages, state, **more):
        said = messages[-1].content.strip()
        state["left"] -= 1
        if said == "raise":
            raise vf.Error("no such guess")
        state["won"] = said == state["answer"]
        told = "Right." if state["won"] else "Higher." if int(said) < int(state["answer"]) else "Lower."
        if state["won"] or not state["left"]:
            state["final_env_response"] = [vf.UserMessage(content=told)]
        return [vf.UserMessage(content=told)]

class Drawn(vf.MultiTurnEnv):
    async def setup_state(self, state):
        a, b = random.randrange(100), random.randrange(100)
        state["sum"] = str(a + b)
        state["prompt"] = [vf.UserMessage(content=f"Add {a} and {b}.")]

    async def env_response(self, messages, state, **more):
        state["won"] = messages[-1].content == state["sum"]
        state["final_env_response"] = [vf.UserMessage(content="Over.")]
        return state["final_env_response"]

def won(state):
    return 2.0 if state.get("won") else 0.0

def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b

def exact(completion, answer):
    return float(completion[-1].content.strip() == answer)

def broken(completion):
    raise OSError("the judge cannot be reached")

def rich(completion):
    return 5.0

def subtract(a: int, b: int) -> int:
    """Subtracts the second of two whole numbers from the first, and gives the difference, which may be negative."""
    return a - b

def load_environment(kind="guess", twice=False):
    asked = [{"question": f"Guess number {i} of 0 to 7.", "answer": str(i % 8)} for i in range(40)]
    data = Dataset.from_list(asked + asked if twice else asked)
    if kind == "guess":
        return Guess(dataset=data, rubric=vf.Rubric(funcs=[won]), system_prompt="Say a number.")
    if kind == "tools":
        return vf.ToolEnv(tools=[add, subtract], dataset=data, rubric=vf.Rubric(funcs=[exact]), max_turns=4)
    if kind == "shuffled":
        rows = list(asked)
        random.SystemRandom().shuffle(rows)
        data = Dataset.from_list(rows)
    if kind == "numpy":
        import numpy
        numpy.random.shuffle(asked)
        data = Dataset.from_list(asked).shuffle()
    if kind == "drawn":
        return Drawn(dataset=data, rubric=vf.Rubric(funcs=[won]))
    if kind == "developer":
        rows = [{"prompt": [{"role": "tool", "tool_call_id": "1", "content": "4"}], "answer": "4"}]
        return vf.SingleTurnEnv(dataset=Dataset.from_list(rows), rubric=vf.Rubric(funcs=[exact]))
    if kind in ("broken", "rich"):
        return vf.SingleTurnEnv(dataset=data, rubric=vf.Rubric(funcs=[broken if kind == "broken" else rich]))
    return vf.SingleTurnEnv(dataset=data, rubric=vf.Rubric(funcs=[exact]))
'''


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifiers]:
    folder = tmp_path_factory.mktemp("verifiers")
    python = with_library("verifiers==0.1.14", folder)
    (folder / "games.py").write_text(GAMES)
    yield Verifiers(module=str(folder / "games.py"), python=python, highest=2.0)
    close_all()


def drawn(environment: Verifiers, n: int = 1) -> list[Task]:
    tasks = environment({"train": n}, {"train": 1})["train"]
    return [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)}) for i, t in enumerate(tasks)]


def number_of(task: Task) -> int:
    return int(task.messages[-1].content.split()[2]) % 8


def test_a_multi_turn_environment_is_solved_and_scored_by_its_own_rubric(games: Verifiers) -> None:
    sets = games({"train": 20, "gate": 20}, {"train": 1, "gate": 1})
    assert len({t.canonical for s in sets.values() for t in s}) == 40
    (task,) = drawn(games)
    assert [m.role for m in task.messages] == [Role.system, Role.user]
    said = iter(["-1", str(number_of(task))])
    (made,) = asyncio.run(Play(environment=games, samples=1)(task, {"self": Told(lambda _: next(said))}))
    assert [t.text for t in made.turns[1::2]] == ["Higher.", "Right."]
    (judged,) = asyncio.run(Outcome(environment=games)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.right, 1.0)
    (lost,) = asyncio.run(Play(environment=games, samples=1)(task, {"self": Told(lambda _: "99")}))
    assert [t.text for t in lost.turns[1::2]] == ["Lower."] * 3
    (judged,) = asyncio.run(Outcome(environment=games)(task, [lost], {}))
    assert (judged.mark, judged.score) == (Mark.wrong, 0.0)


def test_what_its_environment_raises_is_the_episodes_reason(games: Verifiers) -> None:
    (task,) = drawn(games)
    for word, why in (("raise", "no such guess"), ("eleven", "invalid literal for int")):
        (made,) = asyncio.run(Play(environment=games, samples=1)(task, {"self": Told(lambda _, w=word: w)}))
        assert why in made.turns[-1].text


def test_a_tool_environment_tells_its_tools_in_words_and_reads_calls_in_hermes_form(games: Verifiers) -> None:
    environment = games.model_copy(update={"args": {"kind": "tools"}, "highest": 1.0})
    (task,) = drawn(environment)
    n = number_of(task)
    call = f'<tool_call>{{"name": "add", "arguments": {{"a": {n}, "b": 0}}}}</tool_call>'
    said = iter([call, str(n)])
    model = Told(lambda _: next(said))
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": model}))
    assert '"name": "add", "description": "Adds two numbers."' in task.question
    assert model.prompts[0][-1].content.endswith(
        "Call one as <tool_call>" + '{"name": "NAME", "arguments": {}}</tool_call>.'
    )
    assert made.turns[1].text == str(n)
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.right, 1.0)


def test_a_single_turn_environment_is_an_episode_of_one_turn(games: Verifiers) -> None:
    environment = games.model_copy(update={"args": {"kind": "single"}, "highest": 1.0})
    (task,) = drawn(environment)
    model = Told(lambda _: str(number_of(task)))
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": model}))
    assert model.prompts[0][-1].content == task.messages[-1].content
    assert len(made.turns) == 2
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert judged.mark is Mark.right


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("broken", "the rubric failed: Error calling reward function broken: the judge cannot be reached"),
        ("rich", "the reward 5 lies outside 0 to 2: set lowest and highest"),
    ],
)
def test_a_rubric_that_fails_is_a_reason_and_no_zero(games: Verifiers, kind: str, why: str) -> None:
    environment = games.model_copy(update={"args": {"kind": kind}})
    (task,) = drawn(environment)
    (made,) = asyncio.run(Play(environment=environment, samples=1)(task, {"self": Told(lambda _: "1")}))
    assert why in made.turns[-1].text
    (judged,) = asyncio.run(Outcome(environment=environment)(task, [made], {}))
    assert judged.mark is Mark.invalid


def test_a_row_that_is_another_one_now_is_no_task(games: Verifiers) -> None:
    environment = games.model_copy(update={"args": {"kind": "shuffled"}, "highest": 1.0})
    tasks = drawn(environment, 6)
    close_all()  # it is begun anew, as after a hang or on the next day
    said = []
    for task in tasks:
        try:
            said.append(asyncio.run(played(environment, task.private, ["1"], (), 60.0))[-1].observation)
        except Spoiled as e:
            said.append(str(e))
    assert sum("is no longer the task that it was" in s for s in said) >= 3


def test_rows_that_numpy_shuffled_are_the_same_when_it_is_begun_again(games: Verifiers) -> None:
    environment = games.model_copy(update={"args": {"kind": "numpy"}, "highest": 1.0})
    before = drawn(environment, 6)
    close_all()
    assert drawn(environment, 6) == before


def test_what_an_environment_draws_in_its_setup_is_what_the_task_says_and_what_is_scored(games: Verifiers) -> None:
    environment = games.model_copy(update={"args": {"kind": "drawn"}})
    for task in drawn(environment, 5):
        _, a, _, b = task.question.rstrip(".").split()
        moves = asyncio.run(played(environment, task.private, [str(int(a) + int(b))], (), 60.0))
        assert moves[-1].score == 1.0


def test_a_conversation_that_begins_otherwise_than_with_system_and_user_is_refused(games: Verifiers) -> None:
    with pytest.raises(DataError, match="begins with a message of the role 'tool'"):
        drawn(games.model_copy(update={"args": {"kind": "developer"}}))


def test_rows_of_the_same_messages_are_one_task_and_a_module_that_is_none_is_refused(games: Verifiers) -> None:
    with pytest.raises(DataError, match="has 40 tasks in 80 rows; 41 are wanted"):
        drawn(games.model_copy(update={"args": {"twice": True}}), 41)
    sets = games({"train": 10, "gate": 10}, {"train": 1, "gate": 1})
    other = games({"train": 12, "gate": 10}, {"train": 2, "gate": 1})
    assert other["gate"] == sets["gate"]
    with pytest.raises(ConfigError, match="no-such-environment"):
        drawn(games.model_copy(update={"module": "no-such-environment"}))
    with pytest.raises(ConfigError, match="wings"):
        drawn(games.model_copy(update={"args": {"wings": 2}}))
