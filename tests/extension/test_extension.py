"""A package by somebody else adds an operator, an engine and a recipe: installed, found by name, and used."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.errors import EngineError
from instar.records import Experience, Finish, Message, Policy, Role, Sampling, Solution, Task, Turn, Weights

SOURCE = Path(__file__).parent / "instar_extra"
GROUPS = {"instar.ops": "even_length", "instar.engines": "echo", "instar.recipes": "one_shot"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed by pip into a folder of its own: this environment stays as it is."""
    tmp = tmp_path_factory.mktemp("extension")
    # a copy, because building leaves files beside the source
    shutil.copytree(SOURCE, tmp / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    flags = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(tmp / "site"), str(tmp / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return tmp / "site"


def python(code: str, site: Path | None, *args: str) -> str:
    """What a fresh process prints, with the package in reach or not."""
    inherited = os.environ.get("PYTHONPATH", "")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (str(site or ""), inherited) if p)}
    command = [sys.executable, "-c", code, *args]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def instar(site: Path | None, *args: str) -> Any:
    """What the command line prints as JSON."""
    return json.loads(python("from instar.cli.main import main\nmain()", site, *args, "--json"))


def test_the_package_declares_one_entry_point_for_each_kind_of_thing(installed: Path) -> None:
    code = "import sys, json; from importlib.metadata import entry_points as e\n"
    code += "ours = lambda g: [p.name for p in e(group=g) if p.value.startswith('instar_extra.')]\n"
    code += "print(json.dumps({g: ours(g) for g in sys.argv[1:]}))"
    assert json.loads(python(code, installed, *GROUPS)) == {group: [name] for group, name in GROUPS.items()}
    assert json.loads(python(code, None, *GROUPS)) == {group: [] for group in GROUPS}


@pytest.mark.parametrize(("command", "name"), [("ops", "even_length"), ("recipes", "one_shot")])
def test_what_it_adds_is_listed_when_it_is_installed_and_not_before(installed: Path, command: str, name: str) -> None:
    before = {row["name"] for row in instar(None, command)}
    after = {row["name"] for row in instar(installed, command)}
    assert after - before == {name}


def test_its_engine_is_found_by_name_and_a_misspelt_one_is_answered_with_the_names_that_exist(installed: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from instar.app.configs.registry import EngineContext, engines, unknown\n"
        "print(engines()['echo'](EngineContext(artefacts=None, scratch=Path(), options={})).name)\n"
        "print(unknown('engine', 'eccho', engines()))\n"
    )
    name, sentence = python(code, installed).splitlines()
    assert name == "echo"
    assert "'eccho'" in sentence
    assert "'echo'" in sentence


def test_its_recipe_runs_on_its_engine_with_its_operator(installed: Path, tmp_path: Path) -> None:
    sets = ["model=scripted", "engine=echo", "sizes={train=8, gate=8, sealed=8}", "rounds=1"]
    options = [o for s in sets for o in ("--set", s)]
    code = "import os\nos.environ['INSTAR_RUNS'] = os.environ['INSTAR_HOME'] = os.environ['HERE']\n"
    code += "from instar.cli.main import main\nmain()"
    os.environ["HERE"] = str(tmp_path)
    found = json.loads(python(code, installed, "run", "one_shot", "--quiet", "--json", *options))
    assert found["status"] == "finished"
    assert found["recipe"] == "one_shot"
    assert "even_length" in found["rounds"][0]["filters"]


# --- its own parts, so that the example is worth copying --------------------------------------------------------------


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(SOURCE / "src"))
    yield importlib.import_module
    for name in [m for m in sys.modules if m.startswith("instar_extra")]:
        del sys.modules[name]


def answer(text: str) -> Experience:
    task = Task(id="i1:t", messages=(Message(role=Role.user, content="?"),), ability="a", canonical="c", source="s")
    solution = Solution(
        id=f"i1:{text}",
        task=task.id,
        turns=(Turn(text=text),),
        policy="i1:p",
        engine="echo",
        precision="exact",
        sampling=Sampling(),
        finish=Finish.stop,
    )
    return Experience(task=task, solution=solution)


def test_even_length_keeps_even_answers_and_drops_odd_and_short_ones_with_their_reason(parts: Any) -> None:
    keep = parts("instar_extra.even_length").EvenLength(least=4)
    decisions = keep([answer("1234"), answer("123"), answer("12")])
    assert [(d.kept, d.reason) for d in decisions] == [
        (True, "even length: 4 characters"),
        (False, "odd length: 3 characters"),
        (False, "too short: 2 characters, at least 4"),
    ]
    assert [d.item for d in decisions] == ["i1:1234", "i1:123", "i1:12"]


def test_echo_keeps_the_promises_of_an_engine(parts: Any) -> None:
    engine = parts("instar_extra.echo").echo(None)
    policy = Policy(weights=Weights(place="scripted", digest="i1:w")).identified()
    asked = (Message(role=Role.user, content="What is 3 + 4?"),)

    def ask(messages: tuple[Message, ...] = asked, max_tokens: int = 16) -> Any:
        sampling = Sampling(max_tokens=max_tokens)
        return asyncio.run(engine.ask(policy, messages, n=3, sampling=sampling, seed=1, precision="exact"))

    replies = ask()
    assert replies[0].text == "The answer is 7."
    assert len({r.text for r in replies}) == 3
    assert replies == ask()
    assert {(r.policy, r.engine, r.precision, r.finish) for r in replies} == {(policy.id, "echo", "exact", Finish.stop)}
    assert {(r.text, r.finish, r.tokens) for r in ask(max_tokens=2)} == {("The answer", Finish.length, 2)}
    with pytest.raises(EngineError, match="empty prompt"):
        ask((Message(role=Role.user, content=" "),))
