"""How a task is put to the model: a template, and worked examples as turns of the chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.prompted import Prompted
from instar.app.configs.config import plan
from instar.errors import ConfigError, DataError

SEEDS = {"train": 1, "sealed": 2}


def rows(tmp_path: Path, n: int = 12) -> Jsonl:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(f'{{"question": "Word {i}?", "answer": "w{i}", "topic": "t{i}"}}\n' for i in range(n)))
    return Jsonl(path=str(path))


def test_a_task_is_asked_in_its_template_after_the_shots(tmp_path: Path) -> None:
    shot = {"question": "Word 3?", "answer": "w3", "topic": "t3"}
    source = Prompted(inner=rows(tmp_path), template="On {topic}: {question}", shots=(shot,))
    (task,) = source({"train": 1}, SEEDS)["train"]
    assert [m.role.value for m in task.messages] == ["user", "assistant", "user"]
    assert [m.content for m in task.messages[:2]] == ["On t3: Word 3?", "w3"]
    n = task.private["answer"][1:]
    assert task.messages[2].content == f"On t{n}: Word {n}?"


def test_a_shot_is_in_no_set_and_its_place_is_taken_by_another_row(tmp_path: Path) -> None:
    shots = tuple({"question": f"Word {i}?", "answer": f"w{i}"} for i in (0, 5, 7))
    sets = Prompted(inner=rows(tmp_path), shots=shots)({"train": 5, "sealed": 3}, SEEDS)
    asked = [t.question for tasks in sets.values() for t in tasks]
    assert (len(asked), len(set(asked))) == (8, 8)
    assert not {s["question"] for s in shots} & set(asked)
    with pytest.raises(DataError, match="Ask for fewer tasks"):
        Prompted(inner=rows(tmp_path), shots=shots)({"train": 10}, SEEDS)


def test_without_template_and_shots_the_tasks_are_the_sources_own(tmp_path: Path) -> None:
    inner = rows(tmp_path)
    wanted = {"train": 4, "sealed": 4}
    assert Prompted(inner=inner)(wanted, SEEDS) == inner(wanted, SEEDS)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"template": "Answer this."}, "does not say where the question goes"),
        ({"template": "{question} ({answer})"}, "shows {answer}, the gold answer"),
        ({"shots": ({"question": "q"},)}, "shot 1 has no answer"),
        ({"template": "{topic} {question}", "shots": ({"question": "q", "answer": "a"},)}, "shot 1 has no topic"),
    ],
)
def test_a_template_or_shot_that_cannot_be_meant_is_refused(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Prompted(inner=rows(tmp_path), **fields)


def test_a_row_without_a_column_of_the_template_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the template shows \{tone\}"):
        Prompted(inner=rows(tmp_path), template="{tone} {question}")({"train": 1}, SEEDS)


@pytest.mark.parametrize("op", ["jsonl", "csv", "parquet", "rows"])
def test_every_source_of_tables_takes_a_template_and_shots_in_its_config(op: str) -> None:
    shot = {"question": "q", "answer": "a"}
    tasks = {"op": op, "path": "x", "template": "Q: {question}", "shots": [shot]}
    made = plan({"recipe": "rest_em", "model": "scripted", "tasks": tasks}).run.tasks
    assert isinstance(made, Prompted)
    assert (made.inner.name, made.template, made.shots) == (op, "Q: {question}", (shot,))
    again = plan({"recipe": "rest_em", "model": "scripted", "tasks": made.model_dump() | {"op": "prompted", "inner": {
        "op": op, "path": "x"}}})  # fmt: skip
    assert again.run.tasks.op_id == made.op_id
