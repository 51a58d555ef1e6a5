"""Operators that lack something say so themselves, before a token is spent: ours, and a user's own."""

from __future__ import annotations

import importlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.feedback.execution import Execution
from instar.acquire.solutions.act import Act, UseTools
from instar.app.configs.config import plan
from instar.app.configs.user_files import load
from instar.app.preflight.needs import lacking
from instar.app.sessions.session import execute
from instar.errors import DataError, SandboxError
from instar.protocols import Op
from instar.records import Message, Role, Task
from instar.refine.corrections.critic import Critic
from instar.run.progress import Screen
from instar.store.ledger import Ledger
from tests.app.preflight.flying import Flight

WALLS = ("instar.acquire.feedback.execution", "instar.acquire.solutions.act", "instar.refine.corrections.critic")


def task(**private: Any) -> Task:
    said = Message(role=Role.user, content="Write f.")
    return Task(messages=(said,), ability="code", canonical="f", source="here", private=private)


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can wall nothing in."""

    def none(*_: object, **__: object) -> None:
        raise SandboxError("there is no sandbox here.", "Take another machine.")

    for module in WALLS:
        monkeypatch.setattr(importlib.import_module(module), "open_sandbox", none)


@pytest.mark.usefixtures("no_sandbox")
@pytest.mark.parametrize(
    ("op", "runs_code"),
    [
        (Execution(), True),
        (Execution(tests="visible"), True),
        (UseTools(), True),
        (UseTools(tools=("calculator",)), False),
        (Critic(tool="python"), True),
        (Critic(), False),
        (Act(solve=UseTools(tools=("calculator",))), False),  # what is inside it is asked for itself
    ],
)
def test_whoever_would_run_code_lacks_a_sandbox_and_nobody_else_does(op: Op, runs_code: bool) -> None:
    if not runs_code:
        op.prepare({"train": [task()]})
        return
    with pytest.raises(SandboxError, match="no sandbox here"):
        op.prepare({})


@pytest.mark.usefixtures("no_sandbox")
@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("rest_em", {"judge": "execution", "exam": {"judge": "execution"}}),
        ("rest_em", {"solve": "use_tools"}),
        ("rest_em", {"attempt": {"op": "act"}}),
        ("critic", {"correct": {"tool": "python"}}),
    ],
)
def test_a_wall_that_several_need_is_missing_once_wherever_they_stand(recipe: str, settings: dict[str, Any]) -> None:
    (missing,) = lacking(plan({"recipe": recipe, "model": "scripted", **settings}), {})
    assert isinstance(missing, SandboxError)


@pytest.mark.parametrize(
    ("judge", "exam", "judged"),
    [
        ("execution", "verify", {"train"}),
        ("verify", "execution", {"gate", "sealed"}),
        ("execution", "execution", {"train", "gate", "sealed"}),
    ],
)
def test_a_judge_is_handed_the_tasks_that_it_judges_and_no_others(judge: str, exam: str, judged: set[str]) -> None:
    what = plan({"recipe": "rest_em", "model": "scripted", "judge": judge, "exam": {"judge": exam}})
    for untested in ("train", "gate", "sealed"):
        drawn = {s: [task(tests={} if s == untested else {"hidden": ["f()"]})] for s in ("train", "gate", "sealed")}
        assert [type(e) for e in lacking(what, drawn)] == ([DataError] if untested in judged else [])


@pytest.mark.usefixtures("no_sandbox")
def test_a_run_that_went_past_the_checks_asks_its_operators_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    small = {"train": 5, "dev": 0, "gate": 5, "sealed": 5}
    what = plan({"recipe": "rest_em", "model": "scripted", "rounds": 1, "sizes": small, "solve": "use_tools"})
    (tmp_path / "run").mkdir()
    with pytest.raises(SandboxError, match="no sandbox here"):
        execute(what, tmp_path / "run", Screen("silent"))
    with closing(Ledger.read(tmp_path / "run" / "ledger.db")) as ledger:
        assert ledger.asked()["calls"] == 0


NEEDY = """
from typing import ClassVar
from instar.acquire.feedback.verify import Verify
from instar.errors import DataError

class Needy(Verify):
    \"\"\"Wants large sums.\"\"\"
    name: ClassVar[str] = "needy"

    def prepare(self, tasks):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ('raise DataError(f"{self.name} wants a dictionary.", "Install it.")', 3, "needy wants a dictionary."),
        ('if tasks: raise DataError(f"{self.name}: {sum(map(len, tasks.values()))} of {sorted(tasks)} are small.")', 3,
         "needy: 190 of ['gate', 'sealed', 'train'] are small."),
        ("return 1 / 0", 2, "the operator needy fails in prepare: ZeroDivisionError: division by zero."),
        ("raise SystemExit(0)", 2, "the operator needy fails in prepare: SystemExit: 0."),
    ],
)  # fmt: skip
def test_what_a_users_own_operator_lacks_is_said_by_a_dry_run_and_by_the_run(
    fly: Flight, body: str, code: int, says: str
) -> None:
    (fly.folder / "mine.py").write_text(NEEDY.format(body=body))
    said = fly.refused("rest_em", 'judge="mine.py:Needy"', code=code)
    assert says in said
    assert "things are in the way" not in said


def written(folder: Path, name: str, text: str) -> type[Op]:
    (folder / f"{name}.py").write_text(text)
    made: type[Op] = load(f"{folder / name}.py:Own")
    return made


PLAIN = '''
from instar.protocols import Filter

def free(f):
    return f

class Own(Filter):
    """Mine."""

    name = "own"
    least: int = 1

    def __call__(self, items):
        """
def prepare(a text)
"""
        return []
'''
LOOKS = '''
    def prepare(self, tasks):
        """Looks."""

        if tasks:
            raise ValueError
'''
FREE = LOOKS.replace("    def", "    @free\n    def", 1)


@pytest.mark.parametrize("looks", [LOOKS, FREE], ids=["plain", "decorated"])
@pytest.mark.parametrize("after", ['"""Mine."""\n', "least: int = 1\n", "return []\n"])
def test_what_an_operator_looks_for_beforehand_is_no_part_of_its_source_digest(
    tmp_path: Path, after: str, looks: str
) -> None:
    plain = written(tmp_path, "plain", PLAIN)()
    looking = written(tmp_path, "looking", PLAIN.replace(after, after + looks))()
    assert type(looking).prepare is not Op.prepare
    assert looking.source_digest() == plain.source_digest()
    other = written(tmp_path, "other", PLAIN.replace(after, after + looks).replace("return []", "return [1]"))()
    assert other.source_digest() != plain.source_digest()


@pytest.mark.parametrize(
    ("op", "digest"),
    [
        (Execution(), "91fbf7a6c1701cc221f9f814b5c0bd3a"),
        (UseTools(), "b8476fd85764c32e8a9d09268a62f47f"),
        (Critic(), "8c9c9ec1ee7a687df80c6454adb8d1b3"),
    ],
)
def test_who_came_to_look_for_a_sandbox_by_themselves_kept_the_source_that_old_ledgers_know(
    op: Op, digest: str
) -> None:
    """As before they did. If what the class does changes on purpose, the number here changes with it."""
    assert op.source_digest() == digest
