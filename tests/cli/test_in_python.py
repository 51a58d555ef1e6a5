"""From Python: a function as checker, a list as tasks, a recipe of a file; any exam that init and run would take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import instar
from instar.acquire.feedback import pool
from instar.app.configs.config_file import read
from instar.app.configs.in_python import as_config, function_named
from instar.app.configs.registry import recipe_of
from instar.app.review.examine import suite_of_config, suite_of_file
from instar.app.scaffold.tasks import read_tasks
from instar.cli.export import export_items
from instar.errors import ConfigError, DataError
from instar.recipes.rest_em import RECIPE as REST_EM

ROWS = [{"question": f"What is {i} + {i + 1}?", "answer": 2 * i + 1} for i in range(10, 50)]
RECIPE_FILE = '''
"""A recipe of a user's own: it samples once and goes home."""
from instar.recipes.recipe import Recipe
from instar.recipes.rest_em import RestEM


async def once(run, cfg):
    for _ in run.rounds(cfg.rounds):
        models = run.models(run.base)
        await run.judge(cfg.judge, await run.solve(cfg.solve, run.train_tasks(), models), models)
    return run.base


MINE = Recipe("once", "sample once", "none", RestEM, once)
'''


SHOT = {
    "messages": [
        {"role": "user", "content": "3 + 4 = ?"},
        {"role": "assistant", "calls": [{"name": "calculator", "arguments": {"expression": "3 + 4"}}]},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "Answer: 7"},
    ]
}


def is_right(reply: str, private: dict[str, Any]) -> bool:
    return reply.rstrip(".").endswith(str(private["answer"]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, instar.OpenRun]]:
    """One run, of a recipe of a file, on a list of rows, checked by the function above."""
    folder = tmp_path_factory.mktemp("in_python")
    (folder / "my_recipe.py").write_text(RECIPE_FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTAR_RUNS", str(folder / "runs"))
        patch.setenv("INSTAR_HOME", str(folder / "home"))
        patch.chdir(folder)
        yield (
            folder,
            instar.run(
                "my_recipe.py", model="scripted", rounds=1, tasks=ROWS, judge=is_right, quiet=True, audit_with=None,
                sizes={"train": 6, "gate": 4, "sealed": 8}, gate={"guarded": []}, name="mine", shots=[SHOT],
            ),
        )  # fmt: skip
    pool.shared().close()


def test_a_run_of_rows_a_function_and_a_recipe_of_a_file_is_a_run_like_any_other(
    made: tuple[Path, instar.OpenRun],
) -> None:
    folder, run = made
    assert run.status == "finished"
    config = run.summary["config"]
    assert config["recipe"] == f"{folder}/my_recipe.py:MINE"
    assert config["judge"]["checker"] == config["exam"]["judge"]["checker"] == f"{Path(__file__)}:is_right"
    assert (config["tasks"]["op"], Path(config["tasks"]["path"]).parent) == ("jsonl", folder / "home" / "tasks")
    assert recipe_of(config["recipe"]).name == "once"


def test_a_runs_sealed_items_are_written_with_their_questions_and_can_be_asked_again(
    made: tuple[Path, instar.OpenRun], tmp_path: Path
) -> None:
    assert made[1].name == "mine"
    out = tmp_path / "sealed.jsonl"
    export_items("mine", out, other=None, force=False, as_json=False, quiet=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 8
    assert rows[0]["prompt"][-1] == {"role": "user", "content": rows[0]["question"]}
    shots = ["3 + 4 = ?", "calculator[3 + 4]", "Observation: 7", "Answer: 7"]
    assert [m["content"] for m in rows[0]["prompt"][1:-1]] == shots
    assert [m["role"] for m in rows[0]["prompt"]] == ["system", *["user", "assistant"] * 2, "user"]
    suite = suite_of_file(out, judge=None, samples=1, max_tokens=48, at_most=None)
    assert [t.question for t in suite.tasks] == [r["question"] for r in rows]
    assert [t.messages[0].content for t in suite.tasks] == [r["prompt"][0]["content"] for r in rows]
    again = instar.examine("scripted", out, quiet=True)
    assert len(again.outcomes) == 8
    with pytest.raises(ConfigError, match="is there already"):
        export_items("mine", out, other=None, force=False, as_json=False, quiet=True)


def test_a_config_is_an_exam_with_its_own_tasks_judge_and_lengths(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("frage,antwort\n" + "".join(f"{r['question']},{r['answer']}\n" for r in ROWS))
    (tmp_path / "x.toml").write_text(
        'recipe = "rest_em"\nmodel = "scripted"\nsystem = "Say it."\nrounds = 1\n'
        '[tasks]\nop = "rows"\npath = "x.csv"\nquestion = "frage"\nanswer = "antwort"\n'
        "[sizes]\ntrain = 5\ngate = 5\nsealed = 7\n[exam.solve.sampling]\ntemperature = 0.0\nmax_tokens = 9\n"
    )
    suite = suite_of_config(tmp_path / "x.toml")
    assert (len(suite.tasks), suite.config.system) == (7, "Say it.")
    assert suite.exam.solve.model_dump()["sampling"]["max_tokens"] == 9
    rows = suite_of_file(tmp_path / "x.csv", judge="numeric", samples=1, max_tokens=5, at_most=3)
    assert len(rows.tasks) == 3
    swapped = suite_of_file(
        tmp_path / "x.csv", judge=None, samples=1, max_tokens=5, at_most=1, question="frage", answer="frage"
    )
    assert swapped.tasks[0].private["answer"] == swapped.tasks[0].question


def test_a_function_of_a_notebook_is_written_out_with_what_it_refers_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    source = tmp_path / "cell.py"
    source.write_text(
        "import re\nLIMIT = 3\ndef number(text):\n    return re.findall(r'[0-9]+', text)[-1]\n"
        "def check(reply, private):\n    return len(reply) > LIMIT and number(reply) == private['answer']\n"
    )
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source.read_text(), str(source), "exec"), scope)  # noqa: S102 - as a cell is
    file, _, name = function_named(scope["check"], "judge").rpartition(":")
    again: dict[str, Any] = {}
    exec(Path(file).read_text(), again)  # noqa: S102 - what was written
    assert again[name]("it is 42", {"answer": "42"}) is True
    assert again[name]("42", {"answer": "42"}) is False


def test_what_could_not_be_found_again_is_refused() -> None:
    with pytest.raises(ConfigError, match="judge is a lambda"):
        as_config({"judge": lambda reply, private: True})
    with pytest.raises(DataError, match="a list of dictionaries is wanted"):
        as_config({"tasks": [1]})
    with pytest.raises(ConfigError, match=r"there is no file nowhere\.py"):
        read("nowhere.py")


def test_a_file_without_a_recipe_and_one_with_two_say_what_to_do(tmp_path: Path) -> None:
    none, two = tmp_path / "none.py", tmp_path / "two.py"
    none.write_text("x = 1\n")
    two.write_text(RECIPE_FILE + 'OTHER = Recipe("other", "o", "none", RestEM, once)\n')
    with pytest.raises(ConfigError, match="holds no recipe"):
        read(str(none))
    with pytest.raises(ConfigError, match="holds several recipes"):
        read(str(two))
    assert read(f"{two}:OTHER")["recipe"] == f"{two}:OTHER"


def test_a_recipe_object_is_named_as_a_config_names_it() -> None:
    from instar.app.configs.in_python import recipe_named

    assert recipe_named(REST_EM) == "rest_em"


def test_rows_from_python_may_have_any_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    made = as_config({"tasks": [{"question": "q", "choices": ["a", "b"], "answer": 1}]})["tasks"]
    assert (made["op"], made["layout"]) == ("rows", "choices")
    assert read_tasks(Path(made["path"])).tasks == 1
