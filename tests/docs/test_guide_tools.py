"""The tool, the environment and the shots of the guide are what the guide says."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.acquire.environments.floor import floor
from instar.acquire.environments.gymnasium import Gymnasium
from instar.acquire.environments.verifiers import Verifiers
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.feedback.pool import shared
from instar.acquire.feedback.step_credit import StepCredit
from instar.acquire.solutions.play import Play
from instar.acquire.solutions.reflexion import Reflexion
from instar.acquire.tasks.sets import prove_disjoint
from instar.acquire.tools.calls import answer, first_call
from instar.app.configs.build import build_op
from instar.app.configs.config import plan
from instar.app.configs.relative_paths import from_beside
from instar.app.preflight.strangers import strangers
from instar.protocols import Bench, Environment, Tool

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "tools.md").read_text()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the guide in a folder, each by its first line."""
    folder = tmp_path_factory.mktemp("guide")
    for text in re.findall(r"```python\n(# (?:\w+\.py)\n.*?)```", GUIDE, re.DOTALL):
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)
    yield folder
    shared().close()


def test_the_function_of_the_guide_is_a_tool(files: Path) -> None:
    tool = build_op(Tool, f"{files / 'my_tools.py'}:population", where="tool")
    assert isinstance(tool, Tool)
    found = first_call("population[Oslo]", (tool,))
    assert found is not None
    assert found.call is not None
    assert asyncio.run(answer(tool, found.call, (tool,), Bench())) == "717710"


def test_the_environment_of_the_guide_is_one_and_has_a_floor(files: Path) -> None:
    door = build_op(Environment, f"{files / 'my_door.py'}:Door", where="environment")
    assert isinstance(door, Environment)
    sets = door({"train": 3, "gate": 2}, {})
    assert prove_disjoint(sets) == {"train": 3, "gate": 2}
    found = asyncio.run(floor(door, sets["train"], turns=4))
    assert found is not None
    assert 0 < found <= 1


def test_the_configs_of_the_guide_are_accepted(files: Path) -> None:
    blocks = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)]
    assert len(blocks) == 8
    (files / "my_server.py").touch()
    made = [plan(from_beside({"recipe": "rest_em", "model": "scripted", **b}, files)) for b in blocks]
    assert strangers(made[1]) == [
        f"starts a tool server for search, lookup: python {files}/my_server.py (in the sandbox, without network, "
        f"reading {files}/notes)",
        "asks a tool server for weather: https://tools.example.org/mcp",
    ]
    assert len(made[2].run.shots) == 2
    assert isinstance(getattr(made[3].settings, "solve", None), Play)
    assert isinstance(trials := getattr(made[4].settings, "attempt", None), Reflexion)
    assert (trials.episodes, type(trials.solve)) == (True, Play)
    assert isinstance(credited := getattr(made[5].settings, "judge", None), StepCredit)
    assert isinstance(credited.inner, Outcome)
    assert [type(m.run.tasks) for m in made[6:]] == [Gymnasium, Verifiers]
