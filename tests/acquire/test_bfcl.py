"""BFCL: what calls a reply makes, whether they are the right ones as BFCL says, and its tasks out of its wheel."""

from __future__ import annotations

import importlib.machinery
import json
import re
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.feedback.checkers import Unchecked, check_all, function_call
from instar.acquire.feedback.function_calls import calls_of, right_answer, why_wrong
from instar.acquire.tasks import bfcl
from instar.acquire.tasks.bfcl import Bfcl, task_of
from instar.errors import ConfigError, DataError
from tests.recipes.scripted import instar

VERDICTS = json.loads((Path(__file__).parent / "bfcl_verdicts.json").read_text(encoding="utf-8"))
AREA = {
    "name": "geometry.area",
    "description": "The area of a triangle.",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "integer"}, "height": {"type": "float"}, "unit": {"type": "string"},
            "sides": {"type": "array", "items": {"type": "integer"}}, "given": {"type": "dict"},
        },
        "required": ["base"],
    },
}  # fmt: skip
CALLS = [
    {"geometry.area": {"base": [10], "height": [5.0, ""], "unit": ["cm", "centi metre", ""], "sides": [[1, 2], ""]}}
]


def python(calls: list[dict[str, Any]]) -> str:
    said = [f"{n}({', '.join(f'{p}={v!r}' for p, v in g.items())})" for c in calls for n, g in c.items()]
    return f"[{', '.join(said)}]"


def test_its_verdicts_are_those_of_bfcl_s_own_checker() -> None:
    assert {r["valid"] for r in VERDICTS} == {True, False}
    other = [
        (r["id"], r["how"])
        for r in VERDICTS
        if (why_wrong(python(r["made"]), r["functions"], r["calls"]) == "") != r["valid"]
    ]
    assert other == []


def test_the_gold_answer_is_right() -> None:
    for r in VERDICTS:
        assert why_wrong(right_answer(r["functions"], r["calls"]), r["functions"], r["calls"]) == ""


@pytest.mark.parametrize(
    "said",
    [
        "[geometry.area(base=10)]",
        "geometry.area(base=10, height=5)",
        "[geometry_area(base=10, unit='Centi-Metre')]",
        "Sure! Here it is:\n```python\ngeometry.area(base=10, sides=[1, 2])\n```\nThis gives the area (in cm).",
        "The call is [geometry.area(base=10)], I think.",
        '{"name": "geometry.area", "arguments": {"base": 10}}',
        '[{"name": "geometry_area", "parameters": {"base": 10, "unit": "cm"}}]',
        'It is this:\n```json\n{"name": "geometry.area", "arguments": {"base": 10}}\n```',
        "I will use geometry.area() here, with (don't) care:\n[geometry.area(base=10)];",
        "<think>[geometry.area(base=11)]?</think>[geometry.area(base=10)]",
        "result = geometry.area(base=10)",
        '<tool_call>\n{"name": "geometry.area", "arguments": {"base": 10, "height": 5.0}}\n</tool_call>',
    ],
)
def test_a_right_call_is_right_in_each_form_that_models_are_taught(said: str) -> None:
    assert why_wrong(said, [AREA], CALLS) == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("The area is 25.", "no call that can be read"),
        ("", "no call that can be read"),
        ("[geometry.area(10)]", "no call that can be read"),
        ("[geometry.area(base=10", "no call that can be read"),
        ("[geometry.area(base=__import__('os').getcwd())]", "no call that can be read"),
        ("[geometry.area(**{'base': 10})]", "no call that can be read"),
        ("[geometry.area(base=11), geometry.area(base=10), geometry.area(ba", "no call that can be read"),
        ("[geometry.area(base=1 1), geometry.area(base=10)]", "no call that can be read"),
        ("print(geometry.area(base=10))", "no call that can be read"),
        ("def geometry_area(base=10): pass", "no call that can be read"),
        ("geometry.area(base=11, base=10)", "no call that can be read"),
        ("geometry.area(base={[1]})", "no call that can be read"),
        ("geometry.area(base=0x" + "F" * 5_000 + ")", "no call that can be read"),
        ("my-geometry.area(base=10)", "no call that can be read"),
        ('{"name": "geometry.area", "arguments": "geometry.area(base=10)"}', "no call that can be read"),
        ("geometry.area(base=10)\ngeometry.area(base=11)", "2 call(s), not 1"),
        ("[geometry.area(base=10)]\n[geometry.area(base=11)]", "2 call(s), not 1"),
        ("<think>[geometry.area(base=10)]?</think>[geometry.area(base=11)]", "base is 11"),
        ('{"name": "geometry.area", "arguments": {"base": 10, "unit": "c()m"}}', "unit is 'c()m'"),
        ("[geometry.area(base=10), geometry.area(base=10)]", "2 call(s), not 1"),
        ("[area(base=10)]", "area is called, not geometry.area"),
        ("[geometry.area(height=5)]", "base is not given"),
        ("[geometry.area(base=11)]", "base is 11"),
        ("[geometry.area(base=True)]", "base is True, not of the kind integer"),
        ("[geometry.area(base='10')]", "base is '10', not of the kind integer"),
        ("[geometry.area(base=10, colour='red')]", "colour is given, which it does not take"),
        ("[geometry.area(base=10, sides=[2, 1])]", "sides is [2, 1]"),
        ("[geometry.area(base=10, given={})]", "given is given, which it does not take"),
    ],
)
def test_a_wrong_call_is_wrong_and_says_why(said: str, why: str) -> None:
    assert why_wrong(said, [AREA], CALLS) == why


def test_calls_in_any_order_each_count_once() -> None:
    two = [{"f": {"x": [1]}}, {"f": {"x": [2]}}]
    f = [{"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}, "required": ["x"]}}]
    for said in ("[f(x=2), f(x=1)]", "f(x=1), f(x=2)", "1. f(x=1)\n2. f(x=2)", "```\nf(x=1)\n```\n```\nf(x=2)\n```"):
        assert why_wrong(said, f, two) == "", said
    json_lines = '{"name": "f", "arguments": {"x": 1}}\n{"name": "f", "arguments": {"x": 2}}'
    assert why_wrong(json_lines, f, two) == ""
    assert why_wrong("[f(x=4), f(x=3)]", f, two) == "no call is the one of f that was wanted: x is 4; x is 3"
    assert why_wrong("[f(x=1), f(x=1)]", f, two) == "x is 1"  # of the second that was wanted


@pytest.mark.parametrize(
    "text",
    ["(" * 30_000, "f(" * 20_000, "[f(x=" * 5_000 + "1", "[" * 20_000, "f(x=" + "-" * 15_000 + "1)", "{" * 9_000],
)
def test_text_made_to_be_slow_is_read_in_bounds(text: str) -> None:
    assert calls_of(text) == []


def test_what_is_wrong_is_the_comment_of_the_feedback_and_data_without_calls_is_no_verdict() -> None:
    task = task_of("How large?", [AREA], CALLS, "simple_python")
    right, wrong = check_all("function_call", [task.private["answer"], "geometry.area(base=9)"], task.private, 0.0)
    assert (right.score, wrong.score, wrong.reason) == (1.0, 0.0, "base is 9")
    for private in ({}, {"functions": [AREA]}, {"functions": [AREA], "calls": [{"other": {"x": [1]}}]},
                    {"functions": [AREA], "calls": [{"geometry.area": {"base": 10}}]},
                    {"functions": [{"name": ["f"]}], "calls": [{"f": {}}]},
                    {"functions": [{"name": "f", "parameters": {"properties": {"x": None}}}], "calls": [{"f": {}}]},
                    {"functions": [{"name": "f", "parameters": {"required": "x"}}], "calls": [{"f": {}}]},
                    {"functions": [{"name": "f", "parameters": []}, 7], "calls": [{"f": {}}]}):  # fmt: skip
        with pytest.raises(Unchecked, match="in the form of BFCL"):
            function_call("geometry.area(base=10)", private)


def test_a_function_without_parameters_a_kind_that_may_be_null_and_a_value_that_is_null_are_read() -> None:
    bare: list[Any] = [{"name": "f", "parameters": None}, {"name": "g", "parameters": {"properties": None}}]
    assert why_wrong("[f()]", bare, [{"f": {}}]) == ""
    some = [{"name": "f", "parameters": {"properties": {"x": {"type": ["null", "integer"]}, "y": {}}}}]
    assert why_wrong("f(x=1, y=null)", some, [{"f": {"x": [1], "y": [None]}}]) == ""
    assert why_wrong("f(x=1.0, y=None)", some, [{"f": {"x": [1], "y": [None]}}]) == "x is 1.0, not of the kind integer"


def test_only_a_checker_of_ours_says_its_score_with_a_reason(tmp_path: Path) -> None:
    own = "from instar.acquire.feedback.checkers import Scored\ndef is_right(reply, private):\n    return Scored(5.0)\n"
    (tmp_path / "own.py").write_text(own)
    (found,) = check_all(f"{tmp_path}/own.py:is_right", ["x"], {}, 0.0)
    assert found.score is None


def test_without_its_wheel_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfcl.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install --no-deps bfcl-eval"):
        Bfcl().validate_config()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows of BFCL in files laid out as its wheel's, where the wheel is looked for."""
    folder = tmp_path / "bfcl_eval" / "data"
    (folder / "possible_answer").mkdir(parents=True)
    for category in ("simple_python", "parallel_multiple"):
        rows = {r["id"]: r for r in VERDICTS if re.fullmatch(rf"{category}_\d+", r["id"])}
        asked = [
            {"id": i, "question": [[{"role": "user", "content": f"Which is {i}?"}]], "function": r["functions"]}
            for i, r in rows.items()
        ]
        right = [{"id": i, "ground_truth": r["calls"]} for i, r in rows.items()]
        for place, lines in ((folder, asked), (folder / "possible_answer", right)):
            text = "\n".join(map(json.dumps, lines))
            (place / f"BFCL_v4_{category}.json").write_text(text, encoding="utf-8")
    spec = importlib.machinery.ModuleSpec("bfcl_eval", None, is_package=True)
    spec.submodule_search_locations = [str(folder.parent)]
    monkeypatch.setattr(bfcl.importlib.util, "find_spec", lambda name: spec)
    return folder


@pytest.mark.usefixtures("data")
def test_its_tasks_are_drawn_into_disjoint_sets_and_their_gold_answers_are_right() -> None:
    source = Bfcl(categories=("simple_python", "parallel_multiple"))
    drawn = source({"train": 40, "sealed": 21}, {"train": 1, "sealed": 1})
    assert drawn == source({"train": 40, "sealed": 21}, {"train": 1, "sealed": 1})
    assert {t.canonical for t in drawn["train"]}.isdisjoint(t.canonical for t in drawn["sealed"])
    assert sum(t.ability == "simple_python" for t in drawn["sealed"]) == 11
    for task in drawn["train"] + drawn["sealed"]:
        assert check_all("function_call", [task.private["answer"]], task.private, 0.0)[0].score == 1.0, task.question


@pytest.mark.usefixtures("data")
def test_more_than_there_are_is_refused_with_their_number() -> None:
    with pytest.raises(DataError, match="BFCL has 60 tasks in simple_python; 61 are wanted"):
        Bfcl()({"train": 61}, {})


def test_files_of_another_version_are_refused_with_the_one_to_install(data: Path) -> None:
    (data / "BFCL_v4_simple_python.json").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        Bfcl()({"train": 5}, {})


def run(folder: Path, rows: list[dict[str, Any]]) -> str:
    (folder / "mine.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    sets = ("tasks.op=jsonl", "tasks.path=mine.jsonl", "model=scripted", "judge.checker=function_call",
            "exam.judge.checker=function_call", "sizes.train=30", "sizes.gate=20", "sizes.sealed=20",
            "rounds=1")  # fmt: skip
    options = [o for s in sets for o in ("--set", s)]
    return instar("run", "rest_em", "--quiet", *options, runs=folder / "runs", cwd=folder, check=False).stderr


def test_a_file_of_one_s_own_in_this_form_is_checked_and_one_without_calls_is_refused_at_once(tmp_path: Path) -> None:
    f = {"name": "add", "parameters": {"type": "dict", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    rows = [{"question": f"Call add with {i}.", "answer": f"[add(a={i})]"} for i in range(90)]
    assert "functions and calls in the form of BFCL" in run(tmp_path, rows)
    assert not list((tmp_path / "runs").glob("*/ledger.db"))
    own = [{**r, "functions": [f], "calls": [{"add": {"a": [i]}}]} for i, r in enumerate(rows)]
    # the scripted model does sums and calls nothing: its answers were read, and said to be wrong
    assert "0 of 240 answers are right" in run(tmp_path, own)
