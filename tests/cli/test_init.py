"""``instar init``: what it says of a file, what it writes, and that what it writes can be run."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.by_name import OWN
from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.configs.registry import recipes
from instar.app.preflight.foreseen import foreseen
from instar.app.scaffold import beginning
from instar.app.scaffold.beginning import for_recipe
from instar.app.scaffold.files import checks_text, config_text
from instar.app.scaffold.kinds import kind_of
from instar.app.scaffold.prompts import Form
from instar.app.scaffold.tasks import fit, read_tasks
from instar.app.sessions.task_sets import draw
from instar.cli.init import begin
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
    done = instar("init", "mine.jsonl", "--no-probe", runs=runs, cwd=tmp_path)
    assert "my_checks.py is there already: kept" in done.stdout
    assert "written: mine.toml\n" in done.stdout
    (tmp_path / "mine.toml").write_text("# changed\n")
    refused = instar("init", "mine.jsonl", "--no-probe", runs=runs, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "mine.toml is there already." in refused.stderr
    assert (tmp_path / "mine.toml").read_text() == "# changed\n"
    told = json.loads(instar("init", "mine.jsonl", "--no-probe", "--force", "--json", runs=runs, cwd=tmp_path).stdout)
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
    faults = ["{broken", "[1]", {"question": "and?"}, {"question": 3, "answer": "3"}, {"question": "x", "answer": None}]
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
    examples = len(config["tasks"].get("shots", ()))  # their rows are in none of the sets
    assert (config["rounds"], config["sizes"]) == (1, {"train": 80 - examples, "gate": 60, "sealed": 60, "dev": 0})
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


def test_a_recipe_that_judges_no_answers_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for recipe in ("memory_bank", "self_qa", "from_documents", "amie"):
        with pytest.raises(ConfigError, match=f"{recipe} has no solve and judge of its own"):
            begin(
                tmp_path / "none.jsonl", tmp_path, recipe=recipe, model="scripted", question=None, answer=None,
                force=False, as_json=False, quiet=True,
            )  # fmt: skip


FIELDS = {name: r.config.model_fields for name, r in recipes().items()}
WRITTEN = [name for name, own in FIELDS.items() if {"solve", "judge"} <= own.keys() and "write" not in own]


@pytest.mark.parametrize("recipe", WRITTEN)
def test_the_config_of_every_recipe_is_toml_with_keys_that_the_recipe_has(tmp_path: Path, recipe: str) -> None:
    found = read_tasks(write(tmp_path / "m\U0001f98b.jsonl", sums(60)))
    sizes = for_recipe(fit(60), recipe)
    text = config_text(found, sizes, recipe=recipe, model="scripted", path=str(found.path), checks="my_checks.py")
    (tmp_path / "my_checks.py").write_text(checks_text(found))
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    made = plan(read(str(tmp_path / "mine.toml")))
    assert made.recipe.name == recipe
    needed = OWN.get(recipe, {}).get("sizes", {}).get("dev", 0)  # what it lacks would stop the run before it begins
    assert bool(made.run.sizes.dev) == bool(needed)
    assert tomllib.loads(to_toml(made.resolved()))["tasks"]["path"] == str(found.path)
    assert {name: len(tasks) for name, tasks in draw(made).items() if tasks}.keys() >= {"train", "gate", "sealed"}


def test_a_recipe_with_a_dev_set_can_be_run_as_written(tmp_path: Path) -> None:
    begin(
        write(tmp_path / "mine.jsonl", sums(60)), tmp_path, recipe="full_loop", model="scripted", question=None,
        answer=None, probing=False, force=False, as_json=False, quiet=True,
    )  # fmt: skip
    made = plan(read(str(tmp_path / "mine.toml")))
    assert len(draw(made)["dev"]) == made.run.sizes.dev > 0


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("7 + 4 = 11", "11", True),
        ("7 + 4 = 11", "7", False),
        ("It is 7. Answer: 11.", "11", True),
        ("Answer: 7\nNo. Answer: 7 + 4 = 11", "11", True),
        ("Answer: 3, not 4", "4", False),
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
def test_the_numeric_verifier_takes_the_number_that_the_answer_comes_to(
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
    odd = write(tmp_path / "y.jsonl", [{**row, "third": "of three"} for row in sums(3, "first", "second")])
    with pytest.raises(ConfigError, match=r"it has first, second, third. Name it: --question COLUMN"):
        read_tasks(odd)
    assert read_tasks(odd, question="first", answer="second").tasks == 3
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
    for rows, says in (([], "holds no rows"), (["no json"], "line 1 is not JSON")):
        with pytest.raises(DataError, match=says):
            read_tasks(write(tmp_path / "x.jsonl", rows))


TICKETS = {
    "billing": "I was charged twice for order",
    "returns": "I want to send back order",
    "technical": "The app fails for",
}


def tickets(n: int = 90) -> list[dict[str, Any]]:
    names = list(TICKETS)
    return [{"text": f"{TICKETS[names[i % 3]]} {i}", "label": names[i % 3]} for i in range(n)]


def test_few_distinct_answers_are_labels_in_the_prompt_with_an_example_of_each(tmp_path: Path) -> None:
    """The whole way of a stranger, on the scripted model, which knows no labels: what is written fits the rows, what
    is shown is what is asked, and it is said that nothing was right."""
    write(tmp_path / "mine.jsonl", tickets())
    done = instar("init", "mine.jsonl", "--model", "scripted", runs=tmp_path / "runs", cwd=tmp_path)
    assert "choosing among 3 labels (billing, returns, technical) (90 rows have 3 distinct answers)" in done.stdout
    assert "the right answer was taken on 8 of 8 rows" in done.stdout
    assert "wrong ones of 11 kinds were all refused" in done.stdout
    assert "an instruction and 3 examples: right at once on 0 of 20 rows" in done.stdout
    assert "warning: none of 300 replies was right" in done.stdout
    config = tomllib.loads((tmp_path / "mine.toml").read_text())
    assert config["system"].startswith("Which of these fits: billing, returns, technical? Answer with one of them")
    assert sorted(s["answer"] for s in config["tasks"]["shots"]) == ["billing", "returns", "technical"]
    sets = draw(plan(read(str(tmp_path / "mine.toml"))))
    asked = {t.question for tasks in sets.values() for t in tasks}
    assert not asked & {s["question"] for s in config["tasks"]["shots"]}
    roles = re.findall(r"^    (system|user|assistant): ", done.stdout, re.MULTILINE)
    assert roles[:8] == ["system", *["user", "assistant"] * 3, "user"]


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("returns", True),
        ("Returns.", True),
        ("Answer: returns", True),
        ("It is about returns, I think", True),
        ("returns or billing", False),
        ("not returns", False),
        ("returnship", False),
        ("technical", False),
        ("", False),
    ],
)
def test_the_verifier_of_labels_wants_exactly_one_of_them(tmp_path: Path, reply: str, right: bool) -> None:
    scope: dict[str, Any] = {}
    exec(checks_text(read_tasks(write(tmp_path / "x.jsonl", tickets()))), scope)  # noqa: S102 - the file that init writes
    assert scope["is_right"](reply, {"answer": "returns"}) is right


@pytest.mark.parametrize(
    ("labels", "reply", "gold", "right"),
    [
        (["urgent", "not urgent"], "not urgent", "not urgent", True),
        (["urgent", "not urgent"], "not urgent", "urgent", False),
        (["yes", "no"], "no", "no", True),
        (["正面", "负面"], "这是正面的", "正面", True),
        (["正面", "负面"], "正面或负面", "正面", False),
        (["正面", "负面"], "不是正面", "正面", False),
        (["C++", "C"], "C++", "C++", True),
        (["0", "1"], "10", "1", False),
        (["0", "1"], "Answer: 1", "1", True),
        (["0", "1"], "-1", "1", False),
        (["0", "1"], "1.5", "1", False),
        (["0", "1"], "\uff11", "1", True),
        (["technical issue", "other"], "Technical_Issue", "technical issue", True),
        (["positive", "negative"], "non-negative", "negative", False),
        (["billing", "other"], "none of billing", "billing", False),
        (["billing", "other"], "I can't say: billing", "billing", False),
        (["yes", "no"], "not yes", "yes", False),
        (["yes", "no"], "No, it is not.", "no", True),
        (["退款", "物流"], "非退款", "退款", False),
        (["退款", "物流"], "没有退款", "退款", False),
        (["退款", "物流"], "答案\uff1a退款。", "退款", True),
    ],
)
def test_labels_that_hold_each_other_are_told_apart(
    tmp_path: Path, labels: list[str], reply: str, gold: str, right: bool
) -> None:
    rows = [{"text": f"row {i}", "label": labels[i % 2]} for i in range(20)]
    found = read_tasks(write(tmp_path / "x.jsonl", rows))
    assert found.found.labels == tuple(sorted(labels))
    scope: dict[str, Any] = {}
    exec(checks_text(found), scope)  # noqa: S102 - the file that init writes
    assert scope["is_right"](reply, {"answer": gold}) is right


def test_a_verifier_of_another_file_is_kept_and_this_file_gets_its_own(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", sums(60))
    write(tmp_path / "two.jsonl", tickets())
    runs = tmp_path / "runs"
    instar("init", "one.jsonl", "--no-probe", runs=runs, cwd=tmp_path)
    first = (tmp_path / "my_checks.py").read_text()
    done = instar("init", "two.jsonl", "--no-probe", runs=runs, cwd=tmp_path)
    assert (
        "my_checks.py is there already and refuses right answers of this file: kept, and two_checks.py" in done.stdout
    )
    assert (tmp_path / "my_checks.py").read_text() == first
    assert tomllib.loads((tmp_path / "two.toml").read_text())["judge"]["checker"] == "two_checks.py:is_right"


@pytest.mark.parametrize(
    ("golds", "column", "kind"),
    [
        (["a", "b"] * 10, "answer", "classify"),
        (["0", "1"] * 10, "answer", "classify"),
        (["1", "2", "3", "4"] * 5, "label", "classify"),
        (["1", "2", "3", "4"] * 5, "answer", "number"),
        ([str(i) for i in range(20)], "label", "number"),
        (["A", "B", "C"] * 5, "answer", "choice"),
        ([f"word{i}" for i in range(20)], "answer", "extract"),
        ([f"{'long text ' * 20}{i}" for i in range(20)], "answer", "free"),
        ([f"def f{i}():\n    return {i}" for i in range(20)], "answer", "code"),
        (["$x^2$", "\\frac{1}{2}"] * 3 + [f"$x^{i}$" for i in range(9)], "answer", "number"),
    ],
)
def test_the_kind_of_answer_is_told_from_the_golds(golds: list[str], column: str, kind: str) -> None:
    questions = [f"q {i}" for i in range(len(golds))]
    assert kind_of(questions, golds, column).kind == kind
    assert kind_of(questions, golds, column, "free").kind == "free"


@pytest.mark.parametrize("answer", ["spam", "5", "B"])
def test_a_file_in_which_every_answer_is_the_same_is_said_to_teach_nothing(tmp_path: Path, answer: str) -> None:
    write(tmp_path / "x.jsonl", [{"question": f"What is {i}?", "answer": answer} for i in range(60)])
    done = instar("init", "x.jsonl", "--no-probe", runs=tmp_path / "runs", cwd=tmp_path)
    assert f"warning: every row has the same answer, '{answer}': there is nothing to learn" in done.stdout


def test_a_label_may_be_called_like_what_is_filled_in(tmp_path: Path) -> None:
    labels = ("SAMPLE", "LABELS_HERE", "def is_right(", "a\x7fb")
    rows = [{"question": f"What is {i}?", "answer": labels[i % 4], "answers": [labels[i % 4]]} for i in range(80)]
    found = replace(read_tasks(write(tmp_path / "x.jsonl", rows)), several=True)
    assert found.checker == "labels"
    scope: dict[str, Any] = {}
    exec(compile(checks_text(found), "my_checks.py", "exec"), scope)  # noqa: S102 - the point
    assert set(scope["LABELS"]) == set(labels)
    form = Form("x", "Say a\x7fb.", shots=({"question": "q\x7f", "answer": "a\x7fb"},))
    written = config_text(found, fit(500), recipe="rest_em", model="scripted", path="x", checks="c.py", form=form)
    assert tomllib.loads(written)["system"] == "Say a\x7fb."


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("there", [(), ("mine.toml", "my_checks.py")])
def test_what_is_stopped_in_the_middle_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException], there: tuple[str, ...]
) -> None:
    def stopped(*_: object) -> None:
        assert (tmp_path / "mine.toml").read_text().startswith("# Written by")
        raise stop

    reading = read_tasks(write(tmp_path / "mine.jsonl", sums(60)))
    for name in there:
        (tmp_path / name).write_text("def is_right(reply, private):\n    return False\n")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    monkeypatch.setattr(beginning, "probe", stopped)
    with pytest.raises(stop):
        beginning.prepare(
            reading, tmp_path, tmp_path / "mine.toml", recipe="rest_em", model="scripted", probing=True,
            seen="mine.jsonl", say=str,
        )  # fmt: skip
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_a_row_that_would_end_the_docstring_does_not_run_as_code(tmp_path: Path) -> None:
    evil = 'q """\nimport os; os.system("touch pwned")\n"""'
    write(tmp_path / "x.jsonl", [{"question": evil, "answer": "1"}, *sums(60)])
    instar("init", "x.jsonl", "--no-probe", runs=tmp_path / "runs", cwd=tmp_path)
    scope: dict[str, Any] = {}
    exec(compile((tmp_path / "my_checks.py").read_text(), "my_checks.py", "exec"), scope)  # noqa: S102 - the point
    assert not (tmp_path / "pwned").exists()
    assert scope["is_right"]("Answer: 1", {"answer": "1"}) is True
