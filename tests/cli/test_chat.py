"""``instar chat``: answers, remembers, and lets nothing a model wrote reach the terminal as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from instar.acquire.solutions.recalling import Recalling
from instar.app.review.chat import Talk, recalling
from instar.cli.chat import Speech
from instar.cli.plain import plain
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, EngineError
from instar.memory import kept, value
from instar.memory.library import Library
from instar.memory.value import Memory
from instar.records import Finish, Message, Note, Policy, Reply, Sampling
from instar.scripted_world import base_policy
from instar.store.artefacts import Artefacts
from tests.recipes.scripted import instar


def test_said_once_it_answers_as_the_policy_does_and_leaves(made: Path) -> None:
    args = ("chat", "one", "--once", "What is 3 + 4?", "--once", "What is 40 + 2?", "--json")
    said = json.loads(instar(*args, runs=made).stdout)
    assert [s["said"] for s in said] == ["What is 3 + 4?", "What is 40 + 2?"]
    final = json.loads(instar("show", "one", "--json", runs=made).stdout)["final"]
    assert {s["policy"] for s in said} == {final}
    assert said == json.loads(instar(*args, runs=made).stdout)  # greedy: the same again


def test_a_conversation_is_read_from_a_pipe_line_by_line_until_an_empty_line(made: Path) -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-m", "instar.cli", "chat", "one:base", "--json", "--quiet"], text=True, capture_output=True,
        input="What is 3 + 4?\n/new\nWhat is 5 + 6?\n\nnever read\n", timeout=120,
        env={**os.environ, "INSTAR_RUNS": str(made), "INSTAR_HOME": str(made.parent / "home")}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [json.loads(x)["said"] for x in done.stdout.splitlines()] == ["What is 3 + 4?", "What is 5 + 6?"]


class Echo(ScriptedEngine):
    """Keeps what it was shown, fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[list[Message]] = []
        self.broken = False

    async def ask(self, policy: Policy, messages, **more) -> list[Reply]:  # type: ignore[no-untyped-def, override]
        if self.broken:
            raise EngineError("no room")
        self.shown.append(list(messages))
        return [Reply(text="yes", finish=Finish.stop, policy=policy.id, engine="echo", precision="exact")]


def test_a_turn_that_fails_is_not_remembered_and_the_policys_own_prompt_comes_first() -> None:
    engine = Echo()
    with Talk(engine, base_policy("Be brief."), Sampling(temperature=0), 1) as talk:
        talk.say("one")
        engine.broken = True
        with pytest.raises(EngineError):
            talk.say("lost")
        engine.broken = False
        talk.say("two")
        assert [m.content for m in engine.shown[-1]] == ["Be brief.", "one", "yes", "two"]
        talk.forget()
        talk.say("three")
        assert [m.content for m in engine.shown[-1]] == ["Be brief.", "three"]


def test_control_characters_are_written_out_and_lines_stay_lines() -> None:
    assert plain("a\x1b[31mb\nc\u202e\x07", lines=True) == "a\\x1b[31mb\nc\\u202e\\x07"
    assert plain("a\nb") == "a\\x0ab"


def test_a_reply_is_heard_while_it_is_written_and_is_the_one_that_would_be_asked_for() -> None:
    policy = base_policy("Be brief.")
    sampling = Sampling(temperature=0)
    with Talk(ScriptedEngine(), policy, sampling, 1) as talk, Talk(ScriptedEngine(), policy, sampling, 1) as silent:
        heard: list[str] = []
        reply = talk.say("What is 30 + 4?", heard.append)
        assert len(heard) > 1
        assert "".join(heard) == reply.text == silent.say("What is 30 + 4?").text


def test_an_engine_that_cannot_tell_is_heard_at_the_end() -> None:
    class Plain:
        """Delegates all but streaming."""

        def __init__(self) -> None:
            self.inner = Echo()

        def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
            if name == "stream":
                raise AttributeError(name)
            return getattr(self.inner, name)

    heard: list[str] = []
    with Talk(Plain(), base_policy(), Sampling(temperature=0), 1) as talk:  # type: ignore[arg-type]
        talk.say("one", heard.append)
    assert heard == ["yes"]


@pytest.mark.parametrize("cuts", [(), (1,), (3, 4), (5, 6, 9), tuple(range(1, 20))])
def test_what_is_shown_does_not_depend_on_where_the_pieces_are_cut_and_is_escaped(cuts: tuple[int, ...]) -> None:
    text = " \n a\x1b[31m b\n\n c\u202e d \n"
    shown: list[str] = []
    speech = Speech(shown.append, before=lambda: shown.append("<begins>"))
    for a, b in zip((0, *cuts), (*cuts, len(text)), strict=True):
        speech(text[a:b])
    assert "".join(shown) == "<begins>" + plain(text.strip(), lines=True)
    assert "\x1b" not in "".join(shown)


def test_in_the_terminal_replies_stand_on_lines_of_their_own(made: Path) -> None:
    args = ("chat", "one", "--once", "What is 3 + 4?", "--once", "What is 40 + 2?")
    said = json.loads(instar(*args, "--json", runs=made).stdout)
    assert instar(*args, runs=made).stdout.splitlines() == [s["reply"] for s in said]


NOTES = [
    Note(text="My cat is called Miso.", who="anna", when=1.0).identified(),
    Note(text="My cat is called Rex.", who="ben", when=1.0).identified(),
]


def remembering(place: Path) -> tuple[Policy, Library]:
    store = Artefacts(place / "artefacts")
    root = kept.keep(value.insert(Memory(), NOTES), store, place)
    return base_policy().model_copy(update={"memory": root, "id": ""}).identified(), Library(store)


def test_a_policy_with_a_memory_recalls_what_this_person_told_it_and_says_so(tmp_path: Path) -> None:
    policy, library = remembering(tmp_path)
    with Talk(Echo(), policy, Sampling(temperature=0), 1, library=library, who="anna", now=3.0) as talk:
        talk.say("What is my cat called?")
        assert [n.text for n in talk.recalled] == ["My cat is called Miso."]
        engine = cast(Echo, talk.engine)
        assert "Day 1: My cat is called Miso.\n<<<end note" in engine.shown[-1][-1].content
        talk.say("Good morning!")
        assert talk.recalled == ()  # nothing fits
        # what was recalled before is no part of the conversation
        assert [m.content for m in engine.shown[-1]] == ["What is my cat called?", "yes", "Good morning!"]
    with Talk(Echo(), policy, Sampling(temperature=0), 1, library=library) as nobody:
        nobody.say("What is my cat called?")
        assert nobody.recalled == ()


def test_it_recalls_as_the_exam_of_its_run_does(tmp_path: Path) -> None:
    policy, library = remembering(tmp_path)
    exam = Recalling(k=2, mine=False, floor=0.0)
    with Talk(Echo(), policy, Sampling(temperature=0), 1, library=library, solve=exam) as talk:
        talk.say("What is the cat called?")
        assert {n.who for n in talk.recalled} == {"anna", "ben"}


def test_who_speaks_is_refused_where_there_is_nothing_to_recall() -> None:
    with pytest.raises(ConfigError, match="has no memory"):
        recalling(base_policy(), None, who="anna", now=None)
