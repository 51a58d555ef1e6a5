"""Where the relative paths of a config file lead, wherever instar is called from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.configs.relative_paths import from_beside, from_here
from instar.app.storage.paths import called_after
from instar.errors import DataError
from tests.recipes.scripted import instar

CHECKS = "def is_right(reply, private):\n    return reply.split()[-1] == private['answer']\n"
CONFIG = """recipe = "rest_em"
model = "scripted"
rounds = 1
judge = { op = "verify", checker = "my_checks.py:is_right" }
tasks = { op = "jsonl", path = "data/mine.jsonl" }
sizes = { train = 30, gate = 20, sealed = 20 }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a config, its tasks and its verifier."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "mine.toml").write_text(CONFIG)
    (folder / "my_checks.py").write_text(CHECKS)
    rows = [{"question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(70)]
    (folder / "data" / "mine.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "elsewhere").mkdir()
    return folder


def test_a_run_of_a_config_elsewhere_finds_its_files_and_is_resumed_from_a_third_folder(
    tmp_path: Path, project: Path
) -> None:
    runs = tmp_path / "runs"
    begun = instar(
        "run", str(project / "mine.toml"), "--quiet", "--set", "budget.calls=40",
        runs=runs, cwd=tmp_path / "elsewhere", check=False,
    )  # fmt: skip
    assert begun.returncode == 9, begun.stderr
    done = instar("resume", "mine-1", "--quiet", "--json", "--set", "budget.calls=9999", runs=runs, cwd=tmp_path)
    said = json.loads(done.stdout)
    assert (said["status"], said["sealed"]["n"]) == ("finished", 20)


def test_what_is_beside_the_config_comes_first_then_what_is_in_the_current_folder(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "elsewhere"
    monkeypatch.chdir(here)
    (here / "my_checks.py").write_text(CHECKS)
    (here / "only_here.jsonl").write_text("{}\n")
    raw = read("../project/mine.toml")
    assert Path(raw["judge"]["checker"].removesuffix(":is_right")).resolve() == project / "my_checks.py"
    assert Path(raw["tasks"]["path"]).resolve() == project / "data" / "mine.jsonl"
    found = from_beside({"tasks": {"op": "jsonl", "train": "only_here.jsonl"}}, project)
    assert found["tasks"]["train"] == str(here / "only_here.jsonl")


def test_paths_in_set_lead_from_the_current_folder_and_mean_the_same_as_in_a_file(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    in_file = plan(read("mine.toml"))
    in_set = plan(read("mine.toml", ['judge={op="verify", checker="my_checks.py:is_right"}']))
    assert in_set.digest() == in_file.digest()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert plan(read("../project/mine.toml")).digest() == in_file.digest()
    (tmp_path / "elsewhere" / "other.py").write_text(CHECKS)
    made = plan(read(str(project / "mine.toml"), ["judge.checker=other.py:is_right"]))
    assert made.resolved()["judge"]["checker"] == f"{tmp_path}/elsewhere/other.py:is_right"
    assert from_here({"keep": ["gone.py:f", 1], "path": "other.py"}) == {"keep": ["gone.py:f", 1], "path": "other.py"}


def test_a_file_that_is_nowhere_is_wanted_beside_the_config(project: Path) -> None:
    (project / "data" / "mine.jsonl").rename(project / "data" / "mein.jsonl")
    made = plan(read(str(project / "mine.toml")))
    with pytest.raises(DataError, match=r"no file .*/project/data/mine\.jsonl\. Did you mean .*/data/mein\.jsonl\?"):
        made.run.tasks({"train": 1}, {})


def test_names_that_are_no_paths_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2-135m").mkdir()  # the built-in model wins, as it does in `--set model=`
    (tmp_path / "rows").mkdir()
    raw = {
        "recipe": "rest_em", "model": "smollm2-135m", "system": "Answer.", "keep": ["finished", {"op": "distinct"}],
        "tasks": {"op": "hf_dataset", "dataset": "openai/gsm8k", "train": "train"}, "judge_model": None,
    }  # fmt: skip
    assert from_beside(raw, tmp_path) == raw
    moved = from_beside({"model": "smollm2", "tasks": {"op": "hf_dataset", "dataset": "rows"}}, tmp_path)
    assert moved == {"model": f"{tmp_path}/smollm2", "tasks": {"op": "hf_dataset", "dataset": f"{tmp_path}/rows"}}
    books = from_beside({"tasks": {"op": "documents", "folder": "rows", "questions": "q.jsonl"}}, tmp_path)
    assert books["tasks"] == {"op": "documents", "folder": f"{tmp_path}/rows", "questions": f"{tmp_path}/q.jsonl"}
    assert from_beside({"keep": ["my.py:short"], "judge": "my.py:f"}, tmp_path) == {
        "keep": [f"{tmp_path}/my.py:short"],
        "judge": f"{tmp_path}/my.py:f",
    }


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("x/mine.toml", "mine"),
        ("my sums.toml", "my-sums"),
        ("demo", "demo"),
        ("rest_em", "rest_em"),
        ("--.toml", "rest_em"),
    ],
)
def test_a_run_is_called_after_its_config_file_the_demo_or_its_recipe(target: str, name: str) -> None:
    assert called_after(target, "rest_em") == name


def test_the_same_project_in_another_folder_has_the_same_run(tmp_path: Path, project: Path) -> None:
    moved = tmp_path / "moved" / "far"
    shutil.copytree(project, moved)
    digests = []
    for folder in (project, moved):
        runs = tmp_path / f"runs-{folder.name}"
        instar("run", str(folder / "mine.toml"), "--quiet", runs=runs, cwd=tmp_path)
        digests.append(json.loads(instar("verify", "mine-1", "--json", runs=runs).stdout)["content"])
    assert digests[0] == digests[1]
