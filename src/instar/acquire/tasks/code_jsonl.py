"""Programming tasks with tests from JSONL files: HumanEval's, MBPP's, or your own."""

from __future__ import annotations

import ast
import builtins
import doctest
import gzip
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.table import Rows, Table, Twice, cut, no_file, once
from instar.errors import DataError
from instar.legible import unwarned
from instar.records import Message, Role, Task


class CodeJsonl(Table):
    """One JSON object a line (``.gz`` too), in one of three shapes that are told apart by their columns:

    - HumanEval's: ``prompt``, ``entry_point``, ``test``. The examples in the docstring are the visible tests; ``check``
      is the one hidden test.
    - MBPP's: ``text`` or ``prompt``, ``test_list``. The first ``shown`` tests are visible and stand in the question, as
      in MBPP's own prompt, since the function's name is told nowhere else; the rest and ``challenge_test_list`` are
      hidden.
    - your own: ``question`` and ``tests`` = {"visible": [...], "hidden": [...]}; if you like ``names`` (the functions
      that tests call), ``setup`` (code before each test), ``prompt`` (code before the program), ``ability``.

    Raises:
        ConfigError: no file, or both one to split and one for a set.
        DataError: a file that is missing, empty or malformed, with the line; or holds too few tasks.
    """

    name: ClassVar[str] = "code_jsonl"
    sample: ClassVar[str] = "FILE.jsonl"

    path: str | None = None
    shown: int = Field(default=1, ge=0)

    def own_source(self) -> str:
        return super().own_source() + "".join(
            inspect.getsource(f) for f in (_humaneval, _mbpp, _own, names_in, examples_in)
        )

    def _read(self, table: str) -> Rows:
        path = Path(table).expanduser()
        rows: list[tuple[int, dict[str, Any]]] = []
        try:
            with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as f:
                for number, line in enumerate(f, start=1):
                    if line.strip():
                        rows.append((number, _object(path, number, line)))
        except FileNotFoundError:
            raise no_file(path) from None
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}.", "Give the path of a JSONL file.") from error
        if not rows:
            raise DataError(f"{path} is empty.", "Write one JSON object a line, with a question and tests.")
        return Rows(str(path), path.name.partition(".")[0].lower(), f"code_jsonl/{path.name}", rows, "line")

    def _task(self, table: Rows, number: int, row: Mapping[str, Any], seen: dict[str, int]) -> Task:
        where = f"{table.label}, line {number}"
        try:
            if "entry_point" in row and "test" in row:
                question, private = _humaneval(row)
            elif "test_list" in row:
                question, private = _mbpp(row, self.shown)
            else:
                question, private = _own(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{where}: this is no programming task ({type(error).__name__}: {error}).",
                "Its columns must be HumanEval's, MBPP's, or question and tests = {visible, hidden}.",
            ) from None
        if not question.strip() or not private["tests"]["hidden"]:
            raise DataError(f"{where}: no question, or no hidden tests: {cut(question)!r}.", "Mend this line.")
        ability = row.get(self.ability) if self.ability else None
        return Task(
            messages=(Message(role=Role.user, content=question),),
            ability=str(ability) if ability else table.stem,
            canonical=canonical(question, {}),
            source=f"{table.source}#{row['task_id']}" if "task_id" in row else table.source,
            private=private,
        )


def _humaneval(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    prompt, entry = str(row["prompt"]), str(row["entry_point"])
    question = f"Complete this Python function. Write the whole function.\n```python\n{prompt.rstrip()}\n```"
    return question, {
        "tests": {"visible": examples_in(prompt), "hidden": [f"{row['test']}\ncheck({entry})"]},
        "names": [entry],
        "setup": prompt,  # helpers that tests call; the function itself is a docstring there, and is replaced
        "prompt": prompt,
        "answer": prompt + str(row.get("canonical_solution", "")),
    }


def _mbpp(row: Mapping[str, Any], shown: int) -> tuple[str, dict[str, Any]]:
    tests = [str(t) for t in row["test_list"]]
    text = str(row["text"] if "text" in row else row["prompt"])
    hidden = tests[shown:] + [str(t) for t in row.get("challenge_test_list") or ()]
    setup = "\n".join([*map(str, row.get("test_imports") or ()), str(row.get("test_setup_code") or "")]).strip()
    examples = "\n".join(tests[:shown])
    question = f"{text.strip()}\nYour code should pass this test:\n{examples}" if shown else text
    private = {"tests": {"visible": tests[:shown], "hidden": hidden}, "names": names_in(tests, setup), "setup": setup}
    return question, private | ({"answer": str(row["code"])} if row.get("code") else {})


def _own(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    tests = {kind: [str(t) for t in row["tests"].get(kind, ())] for kind in ("visible", "hidden")}
    setup = str(row.get("setup", ""))
    names = [str(n) for n in row.get("names") or names_in([*tests["visible"], *tests["hidden"]], setup)]
    others = {k: v for k, v in row.items() if k not in ("question", "tests", "names", "setup", "ability", "task_id")}
    return str(row["question"]), {**others, "tests": tests, "names": names, "setup": setup}


def names_in(tests: Sequence[str], setup: str = "") -> list[str]:
    """The functions that tests call and nothing defines. Raises SyntaxError (a ValueError's cousin) as ValueError."""
    try:
        with unwarned():
            trees = [ast.parse(t) for t in (setup, *tests)]
    except SyntaxError as error:
        raise ValueError(f"a test is not Python: {error}") from None
    defined = set(vars(builtins))
    called: dict[str, None] = {}
    for node in (n for t in trees for n in ast.walk(t)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {(a.asname or a.name).partition(".")[0] for a in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called[node.func.id] = None
    return [name for name in called if name not in defined]


def examples_in(prompt: str) -> list[str]:
    """The ``>>>`` examples of a docstring that show a plain value, as assertions."""
    found = []
    try:
        examples = doctest.DocTestParser().get_examples(prompt)
    except ValueError:
        return []
    for example in examples:
        try:
            with unwarned():
                ast.literal_eval(example.want.strip())
                ast.parse(example.source.strip(), mode="eval")
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        found.append(f"assert {example.source.strip()} == {example.want.strip()}")
    return found


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=once)
    except Twice as error:
        raise DataError(f"{path}, line {number}: {error}: {cut(line)}", "Mend this line.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number} is not JSON ({error}): {cut(line)}", "Mend this line.") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}, line {number} is not a JSON object: {cut(line)}", "Mend this line.")
    return value
