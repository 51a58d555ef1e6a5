"""What the pages show as output is what their commands print: they are run again, on the files that the pages show.

When one of these fails because the output has changed for good, run the command and put what it prints into the page.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.recipes.scripted import instar

DOCS = Path(__file__).parents[2] / "docs"
Shown = list[tuple[list[str], list[str]]]
"""Commands of instar, each with the lines of output that the page shows."""


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of this kind."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def shown(page: str) -> Shown:
    """The commands that have output on this page."""
    found: Shown = []
    for block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((shlex.split(line[2:], comments=True), []))
            else:
                found[-1][1].append(line.strip())
    return [(c, lines) for c, lines in found if c[0] == "instar" and lines]


def in_order(wanted: list[str], printed: str) -> list[str]:
    """The lines of a page that the output does not have, in their order; ``...`` stands for any lines."""
    lines = iter([line.strip() for line in printed.splitlines()])
    return [w for w in wanted if w != "..." and w not in lines]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with the tasks that the pages speak of: 200 sums in mine.jsonl and mine.csv, and csv.toml."""
    draw, rows = random.Random(1), {}
    while len(rows) < 200:
        a, b = draw.randint(2, 60), draw.randint(2, 60)
        if (b, a) not in rows:
            rows[a, b] = {"question": f"What is {a} + {b}?", "answer": str(a + b)}
    (tmp_path / "mine.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows.values()))
    cells = "".join(f"{r['question']},{r['answer']}\n" for r in rows.values())
    (tmp_path / "mine.csv").write_text(f"question,answer\n{cells}")
    (tmp_path / "csv.toml").write_text(next(b for b in blocks("guides/tasks.md", "toml") if b.startswith("# csv.toml")))
    for code in blocks("guides/verifier.md", "python"):
        name = code.partition("\n")[0].removeprefix("# ")
        if not (tmp_path / name).exists() and name != "my_checks.py":  # `init` writes that one
            (tmp_path / name).write_text(code)
    return tmp_path


def compare(page: str, work: Path, **env: str) -> int:
    """Run every command with output; how many there were."""
    commands = shown(page)
    for command, wanted in commands:
        done = instar(*command[1:], runs=work / "runs", cwd=work, check=False, **env)
        assert in_order(wanted, done.stdout + done.stderr) == [], f"{page}: {shlex.join(command)}"
    return len(commands)


def test_own_tasks_are_read_and_run_as_the_guide_shows(work: Path) -> None:
    assert (work / "mine.jsonl").read_text().startswith(blocks("guides/tasks.md", "json")[0])
    assert compare("guides/tasks.md", work) == 2


def test_a_verifier_that_fails_its_test_is_refused_as_the_guide_shows(work: Path) -> None:
    assert compare("guides/verifier.md", work) == 1


@pytest.mark.slow
def test_the_five_lines_of_the_guide_are_a_verifier_with_the_weakness_it_names(work: Path) -> None:
    (work / "my_checks.py").write_text(blocks("guides/verifier.md", "python")[0])
    checker = "judge.checker=my_checks.py:is_right"
    done = instar("run", "csv.toml", "--set", checker, "--quiet", runs=work / "runs", cwd=work)
    assert in_order([x.strip() for x in blocks("guides/verifier.md", "text")[0].splitlines()], done.stdout) == []
    assert "a real gain" in done.stdout


@pytest.mark.slow
def test_the_operator_of_the_guide_can_be_named_and_does_what_is_shown(work: Path) -> None:
    package = blocks("guides/operator.md", "python")[0]
    points = tomllib.loads(blocks("guides/operator.md", "toml")[0])["project"]["entry-points"]
    about = work / "site" / "instar_short-0.1.0.dist-info"  # as pip would install it
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: instar-short\nVersion: 0.1.0\n")
    named = [f"[{group}]\n{k} = {v}\n" for group, points in points.items() for k, v in points.items()]
    (about / "entry_points.txt").write_text("".join(named))
    (work / "site" / "instar_short.py").write_text(package)
    path = os.pathsep.join(filter(None, [str(work / "site"), os.environ.get("PYTHONPATH", "")]))
    assert compare("guides/operator.md", work, PYTHONPATH=path) == 2


@pytest.mark.slow
def test_the_first_run_of_the_start_page_and_the_gates_words_are_as_shown(work: Path) -> None:
    assert compare("index.md", work) == 1
    printed = instar("show", "first", "--full", runs=work / "runs").stdout
    assert in_order([x.strip() for x in blocks("guides/gate.md", "text")[0].splitlines()], printed) == []


def test_a_line_that_is_not_printed_is_found() -> None:
    assert in_order(["a", "...", "c"], "a\nb\nc\n") == []
    assert in_order(["a", "x", "c"], "a\nb\nc\n") == ["x", "c"]
