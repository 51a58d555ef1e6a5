"""Ten wrong uses of the command line and their answers, as docs/guides/wrong-uses.md shows them.

``INSTAR_WRITE_GUIDE=1 pytest tests/cli/test_ten_wrong_uses.py`` writes the page anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.recipes.scripted import instar

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "wrong-uses.md"


class Wrong(NamedTuple):
    """A command, why somebody would type it, and the exit code it ends with."""

    what: str
    command: str
    code: int


TEN = (
    Wrong("A recipe misspelt", "instar run rest_emm", 2),
    Wrong("A setting misspelt", "instar run rest_em --set model=scripted --set solve.sampels=4", 2),
    Wrong("A number that is none", "instar run rest_em --set model=scripted --set rounds=two", 2),
    Wrong("An operator in the wrong place", "instar run rest_em --set model=scripted --set judge=sft", 2),
    Wrong("Too few tasks in the file",
          "instar run rest_em --dry-run --set model=scripted --set 'tasks={op=\"jsonl\", path=\"few.jsonl\"}'", 3),
    Wrong("A run that does not exist", "instar show ghost", 2),
    Wrong("Two runs with different exams", "instar compare one other", 7),
    Wrong("The scripted model has nothing to export", "instar export one my-model", 4),
    Wrong("The gate's tasks used as an exam", "instar evaluate one --on one:gate", 2),
    Wrong("A name that is taken", "instar run rest_em --set model=scripted --name one", 2),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user's: runs/one and runs/other, and a file with too few tasks."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "few.jsonl").write_text(
        "".join(json.dumps({"question": f"What is {i} + 1?", "answer": str(i + 1)}) + "\n" for i in range(40))
    )
    runs = folder / "runs"
    from tests.recipes.scripted import run

    run(runs, "one", "rounds=1", "control=true")
    run(runs, "other", "rounds=1", "sealed_seed=5")
    return folder


def answer(place: Path, wrong: Wrong) -> str:
    done = instar(*shlex.split(wrong.command)[1:], runs=Path("runs"), cwd=place, check=False,
                  INSTAR_HOME=str(place / "home"))  # fmt: skip
    assert done.returncode == wrong.code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return re.sub(r"There are: .*", "There are: ...", done.stderr.rstrip())  # the list grows with each release


def section(wrong: Wrong, said: str) -> str:
    return f"## {wrong.what}\n\n```console\n$ {wrong.command}\n{said}\n```\n\nExit code {wrong.code}.\n"


@pytest.mark.parametrize("wrong", TEN, ids=[w.what for w in TEN])
def test_a_wrong_use_is_answered_as_the_guide_says(place: Path, wrong: Wrong) -> None:
    said = answer(place, wrong)
    assert sum(line.startswith("instar: ") for line in said.splitlines()) == 1  # one sentence
    assert said.splitlines()[-1].startswith("        ")  # and what to do next
    if os.environ.get("INSTAR_WRITE_GUIDE"):
        old = GUIDE.read_text() if GUIDE.exists() and wrong is not TEN[0] else HEAD
        GUIDE.write_text(old + "\n" + section(wrong, said))
    assert section(wrong, said) in GUIDE.read_text(), "stale: INSTAR_WRITE_GUIDE=1 writes the page anew"


def test_the_guide_has_these_ten_and_no_other() -> None:
    assert GUIDE.read_text().count("\n## ") == len(TEN) == 10


HEAD = """# Ten wrong uses, and their answers

Each is run by `tests/cli/test_ten_wrong_uses.py`, which compares every word; where `...` stands, the
answer lists them all. What the codes mean: [exit codes](exit-codes.md).
"""
