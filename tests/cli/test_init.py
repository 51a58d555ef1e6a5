"""``instar init``: what it says of a file, what it writes, and that what it writes can be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instar.app.own_tasks import fit, read_tasks
from instar.errors import ConfigError, DataError
from tests.recipes.scripted import instar


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def sums(n: int, question: str = "question", answer: str = "answer") -> list[dict[str, Any]]:
    return [{question: f"What is {i} + {i}?", answer: str(2 * i)} for i in range(n)]


def test_a_fresh_config_runs_to_its_end_with_the_verifier_it_wrote(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", [*sums(120), *sums(5)])
    runs = tmp_path / "runs"
    told = json.loads(instar("init", "mine.jsonl", "--model", "scripted", "--json", runs=runs, cwd=tmp_path).stdout)
    assert (told["rows"], told["tasks"], told["duplicates"], told["checker"]) == (125, 120, 5, "numeric")
    assert told["next"] == "instar run mine.toml"
    done = instar("run", "mine.toml", "--name", "mine", "--json", "--quiet", runs=runs, cwd=tmp_path)
    s = json.loads(done.stdout)
    assert s["status"] == "finished"
    assert s["sealed"]["n"] == told["sizes"]["sealed"] == 40
    assert s["config"]["judge"]["checker"] == "my_checks.py:is_right"
    assert s["sealed"]["base"] > 0  # the verifier it wrote does take right answers


def test_nothing_is_written_over_without_being_told(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", sums(60))
    runs = tmp_path / "runs"
    instar("init", "mine.jsonl", runs=runs, cwd=tmp_path)
    (tmp_path / "my_checks.py").write_text("# mine\n")
    done = instar("init", "mine.jsonl", runs=runs, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert (tmp_path / "my_checks.py").read_text() == "# mine\n"
    instar("init", "mine.jsonl", "--force", runs=runs, cwd=tmp_path)
    assert "is_right" in (tmp_path / "my_checks.py").read_text()


def test_a_file_with_faults_is_read_to_its_end_and_every_fault_is_named(tmp_path: Path) -> None:
    faults = ["{broken", "[1]", {"question": "and?"}, {"question": 3, "answer": "3"}, {"question": "x", "answer": True}]
    rows = [*sums(50), *faults]
    found = read_tasks(write(tmp_path / "x.jsonl", rows))
    assert (found.rows, found.tasks) == (53, 50)
    assert [b.split(":")[0].split(" is ")[0] for b in found.bad] == [f"line {n}" for n in (51, 52, 53, 54, 55)]


@pytest.mark.parametrize(
    ("golds", "checker"),
    [
        (["1", "-2.5", "1,000", "3/4"], "numeric"),
        (["A", "(B)", "c."], "exact"),
        (["A", "(B)", "C"], "choice"),
        (["$x^2$", "\\frac{1}{2}", "3"], "math"),
        (["Paris", "12"], "exact"),
    ],
)
def test_the_verifier_that_fits_the_gold_answers_is_suggested(tmp_path: Path, golds: list[str], checker: str) -> None:
    rows = [{"question": f"q {i}", "answer": g} for i, g in enumerate(golds)]
    assert read_tasks(write(tmp_path / "x.jsonl", rows)).checker == checker


def test_the_columns_are_found_or_asked_for_by_name(tmp_path: Path) -> None:
    found = read_tasks(write(tmp_path / "x.jsonl", sums(3, "problem", "target")))
    assert (found.question, found.answer) == ("problem", "target")
    odd = write(tmp_path / "y.jsonl", sums(3, "frage", "antwort"))
    with pytest.raises(ConfigError, match=r"it has frage, antwort. Name it: --question COLUMN"):
        read_tasks(odd)
    assert read_tasks(odd, question="frage", answer="antwort").tasks == 3
    with pytest.raises(ConfigError, match=r"no row of .* has a column 'x'"):
        read_tasks(odd, question="x")


def test_sizes_fit_the_file_and_too_few_tasks_are_refused() -> None:
    for n in (40, 99, 100, 200, 1000, 5000):
        f = fit(n)
        assert f.rounds * (f.train + f.gate) + f.sealed <= n
        assert min(f.train, f.gate, f.sealed) >= 1
    assert fit(5000).sealed == 330
    assert fit(200).detects > fit(1000).detects
    with pytest.raises(DataError, match="39 distinct tasks are too few"):
        fit(39)


def test_a_file_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    for rows, says in (([], "holds no JSON object"), (["no json"], "line 1 is not JSON")):
        with pytest.raises(DataError, match=says):
            read_tasks(write(tmp_path / "x.jsonl", rows))


def test_a_row_that_would_end_the_docstring_does_not_run_as_code(tmp_path: Path) -> None:
    evil = 'q """\nimport os; os.system("touch pwned")\n"""'
    write(tmp_path / "x.jsonl", [{"question": evil, "answer": "1"}, *sums(60)])
    instar("init", "x.jsonl", runs=tmp_path / "runs", cwd=tmp_path)
    scope: dict[str, Any] = {}
    exec(compile((tmp_path / "my_checks.py").read_text(), "my_checks.py", "exec"), scope)  # noqa: S102 - the point
    assert not (tmp_path / "pwned").exists()
    assert scope["is_right"]("Answer: 1", {"answer": "1"}) is True
