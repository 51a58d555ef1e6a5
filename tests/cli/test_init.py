"""``instar init``: what it says of a file, what it writes, and that what it writes can be run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from instar.app.config import plan, read
from instar.app.foresight import foreseen
from instar.app.own_files import checks_text, config_text
from instar.app.own_tasks import fit, read_tasks
from instar.app.registry import recipes
from instar.app.session import draw
from instar.cli.run import to_toml
from instar.errors import ConfigError, DataError
from instar.evaluate.intervals import smallest_detectable
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
    done = instar("run", "mine.toml", "--json", "--quiet", runs=runs, cwd=tmp_path)
    s = json.loads(done.stdout)
    assert s["status"] == "finished"
    assert s["sealed"]["n"] == told["sizes"]["sealed"] == 36
    assert s["config"]["judge"]["checker"] == f"{tmp_path}/my_checks.py:is_right"
    assert s["run"] == "mine-1"
    assert list(s["sealed"]["controls"]) == ["unverified"]
    assert s["sealed"]["base"] > 0  # the verifier it wrote does take right answers


def test_a_config_is_replaced_only_with_force_and_a_verifier_never(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", sums(60))
    runs = tmp_path / "runs"
    mine = "# mine\ndef is_right(reply, private):\n    return True\n"
    (tmp_path / "my_checks.py").write_text(mine)
    done = instar("init", "mine.jsonl", runs=runs, cwd=tmp_path)
    assert "my_checks.py is there already: kept" in done.stdout
    assert "written: mine.toml\n" in done.stdout
    (tmp_path / "mine.toml").write_text("# changed\n")
    refused = instar("init", "mine.jsonl", runs=runs, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "mine.toml is there already." in refused.stderr
    assert (tmp_path / "mine.toml").read_text() == "# changed\n"
    told = json.loads(instar("init", "mine.jsonl", "--force", "--json", runs=runs, cwd=tmp_path).stdout)
    assert told["checks_kept"] is True
    assert "rest_em" in (tmp_path / "mine.toml").read_text()
    assert (tmp_path / "my_checks.py").read_text() == mine


def test_a_verifier_that_is_there_must_have_the_function_that_the_config_names(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", sums(60))
    (tmp_path / "my_checks.py").write_text("def good(reply, private):\n    return True\n")
    done = instar("init", "mine.jsonl", runs=tmp_path / "runs", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "my_checks.py has no function 'is_right'" in done.stderr
    assert not (tmp_path / "mine.toml").exists()


def test_a_file_with_faults_is_read_to_its_end_and_every_fault_is_named(tmp_path: Path) -> None:
    faults = ["{broken", "[1]", {"question": "and?"}, {"question": 3, "answer": "3"}, {"question": "x", "answer": True}]
    rows = [*sums(50), *faults]
    found = read_tasks(write(tmp_path / "x.jsonl", rows))
    assert (found.rows, found.tasks) == (55, 50)
    assert [b.split(":")[0].split(" is ")[0] for b in found.bad] == [f"line {n}" for n in (51, 52, 53, 54, 55)]


def test_a_file_with_bad_lines_is_refused_with_all_of_them_and_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", [*sums(177), *["{broken \x1b[31m"] * 23])
    done = instar("init", "mine.jsonl", runs=tmp_path / "runs", cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "23 of the 200 lines of mine.jsonl cannot be used; nothing was written." in done.stderr
    named = [x for x in done.stderr.splitlines() if x.startswith("line ")]
    assert [x.split()[1] for x in named] == [str(n) for n in range(178, 198)]
    assert "... and 3 more" in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    assert {p.name for p in tmp_path.iterdir()} == {"mine.jsonl"}


def test_a_line_separator_inside_a_text_is_no_new_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"question": "one\u2028two", "answer": "2"}, ensure_ascii=False) + "\n", "utf-8")
    assert (read_tasks(path).rows, read_tasks(path).bad) == (1, ())


def test_a_small_file_of_four_abilities_gets_a_config_that_can_promote(tmp_path: Path) -> None:
    rows = [{**row, "ability": f"kind {i % 4}"} for i, row in enumerate(sums(200))]
    write(tmp_path / "mine.jsonl", rows)
    runs = tmp_path / "runs"
    done = instar("init", "mine.jsonl", "--model", "scripted", runs=runs, cwd=tmp_path)
    assert "warning" not in done.stdout
    text = (tmp_path / "mine.toml").read_text()
    config = tomllib.loads(text)
    assert (config["rounds"], config["sizes"]) == (1, {"train": 80, "gate": 60, "sealed": 60, "dev": 0})
    assert config["gate"] == {"guarded": []}
    assert config["control"] is True
    assert config["tasks"]["ability"] == "ability"
    assert "4 found" in text
    assert config["solve"]["sampling"]["max_tokens"] == config["exam"]["solve"]["sampling"]["max_tokens"] == 96
    shown = f"shows gains of about {100 * smallest_detectable(60, 1 / 3):.0f} points"
    assert text.count(shown) == 2
    made = plan(read(str(tmp_path / "mine.toml")))
    assert foreseen(made, draw(made)) == []
    guards_all = plan(read(str(tmp_path / "mine.toml"), ["gate={}", "sizes.gate=16"]))
    assert foreseen(guards_all, draw(guards_all)) != []  # what the sizes and the [gate] above are there against


def test_abilities_are_guarded_where_the_gate_has_enough_items_for_each() -> None:
    assert fit(5000, {"a": 1250, "b": 1250, "c": 1250, "d": 1250}).guarded
    assert not fit(5000, {"a": 4990, "b": 10}).guarded
    assert not fit(200, {"a": 50, "b": 150}).guarded
    assert not fit(5000, {"a": 5000}).guarded  # the gain of all items is this ability's
    many = fit(5000, {"a": 1250, "b": 1250, "c": 1250, "d": 1250})
    assert many.gate == 200
    assert fit(5000).gate == 150


def test_without_a_column_for_abilities_the_config_says_how_to_name_one(tmp_path: Path) -> None:
    found = read_tasks(write(tmp_path / "mine.jsonl", sums(60)))
    text = config_text(found, fit(60), recipe="rest_em", model="scripted", path="mine.jsonl", checks="my_checks.py")
    assert '# ability = "topic"' in text
    assert "ability" not in tomllib.loads(text)["tasks"]


@pytest.mark.parametrize("recipe", list(recipes()))
def test_the_config_of_every_recipe_is_toml_with_keys_that_the_recipe_has(tmp_path: Path, recipe: str) -> None:
    found = read_tasks(write(tmp_path / "m\U0001f98b.jsonl", sums(60)))
    text = config_text(found, fit(60), recipe=recipe, model="scripted", path=str(found.path), checks="my_checks.py")
    (tmp_path / "my_checks.py").write_text(checks_text(found))
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    made = plan(read(str(tmp_path / "mine.toml")))
    assert made.recipe.name == recipe
    assert tomllib.loads(to_toml(made.resolved()))["tasks"]["path"] == str(found.path)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("7 + 4 = 11", "11", True),
        ("7 + 4 = 11", "7", False),
        ("It is 7. Answer: 11.", "11", True),
        ("Answer: 7\nNo. Answer: 7 + 4 = 11", "11", True),
        ("Answer: 3, not 4", "4", True),  # the last one counts
        ("Answer: 1,234", "1234", True),
        ("Answer: 6/8", "3/4", True),
        ("Answer: 7-4", "-4", False),
        ("Answer: -4", "-4", True),
        ("Answer: .5", "0.5", True),
        ("Answer: 7.", "7", True),
        ("none", "7", False),
        ("Answer:", "7", False),
    ],
)
def test_the_numeric_verifier_takes_the_last_number_of_the_answer(
    tmp_path: Path, reply: str, gold: str, right: bool
) -> None:
    scope: dict[str, Any] = {}
    exec(checks_text(read_tasks(write(tmp_path / "x.jsonl", sums(3)))), scope)  # noqa: S102 - the file that init writes
    assert scope["is_right"](reply, {"answer": gold}) is right


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
