"""What a Python user hands over in place of names and files: a function that checks, a list of rows, a recipe.

A run is stored and resumed by its config, so each of them gets a place on the disk that the config can name. A function
of a file is named where it is; one of a notebook or of the script that is running is written out, with what it refers
to. Rows are written as they are. What is equal is written once.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from instar.app.scaffold.tasks import read_tasks, source_of
from instar.app.storage.paths import home
from instar.errors import ConfigError, DataError
from instar.protocols import identity
from instar.recipes.recipe import Recipe as Recipe
from instar.records import hash_of

_PLAIN = (str, int, float, bool, type(None))


def as_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which every function is named, and ``tasks`` that are rows are a file. Raises ConfigError."""
    made = {k: _named(v, k) for k, v in settings.items()}
    tasks = made.get("tasks")
    if isinstance(tasks, (list, tuple)):
        made["tasks"] = rows_as_source(tasks)
    return made


def _named(value: Any, where: str) -> Any:
    if isinstance(value, FunctionType):
        return function_named(value, where)
    if isinstance(value, Mapping):
        return {k: _named(v, f"{where}.{k}") for k, v in value.items()}
    return value


def rows_as_source(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of rows as the table of a source: written to a file, and read in the layout that they have."""
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            "tasks: a list of dictionaries is wanted.", 'For example: [{"question": "...", "answer": "..."}]'
        )
    try:
        text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
    except (TypeError, ValueError) as e:
        raise DataError(f"tasks: a row holds what is no plain data: {e}.", "Give texts, numbers and lists.") from None
    path = _written("tasks", text, ".jsonl")
    found = read_tasks(path)
    if found.bad:
        raise DataError(
            f"tasks: {len(found.bad)} of the {len(rows)} rows cannot be used: {found.bad[0]}.", "Mend them."
        )
    fields = identity(source_of(found))
    return {k: v for k, v in fields.items() if k != "version" and v is not None}


def function_named(function: FunctionType, where: str) -> str:
    """A function as a config names it: ``/path/file.py:name``. Raises ConfigError for one that cannot be written."""
    if function.__name__ == "<lambda>" or function.__closure__:
        what = "a lambda" if function.__name__ == "<lambda>" else "a function that is made inside another"
        raise ConfigError(
            f"{where} is {what}: a run that is resumed could not find it again.",
            "Define it with def, at the top level.",
        )
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file and function.__module__ != "__main__" and getattr(module, function.__name__, None) is function:
        return f"{Path(file).resolve()}:{function.__name__}"
    text = "\n\n".join(dict.fromkeys(_sources(function, where)))
    return f"{_written('functions', text, '.py')}:{function.__name__}"


def _sources(function: Callable[..., Any], where: str, seen: tuple[Any, ...] = ()) -> list[str]:
    """The source of a function after that of all it refers to."""
    try:
        own = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise ConfigError(f"{where}: the source of {function.__name__} is nowhere.", "Put it into a file.") from None
    found: list[str] = []
    names = {n.id for n in ast.walk(ast.parse(own)) if isinstance(n, ast.Name)}
    known = getattr(function, "__globals__", {})
    for name in sorted(names & known.keys()):
        value = known[name]
        if value is function or value in seen:
            continue
        if isinstance(value, ModuleType):
            found.append(f"import {value.__name__} as {name}")
        elif isinstance(value, _PLAIN) or (isinstance(value, (list, tuple, dict, set)) and _is_literal(value)):
            found.append(f"{name} = {value!r}")
        elif isinstance(value, type) or callable(value):
            home_of = getattr(value, "__module__", "")
            if home_of not in ("__main__", getattr(function, "__module__", "")) and hasattr(value, "__name__"):
                found.append(f"from {home_of} import {value.__name__} as {name}")
            else:
                found += _sources(value, where, (*seen, function))
    return [*found, own]


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _written(folder: str, text: str, suffix: str) -> Path:
    path = home() / folder / f"{hash_of('written', text).rpartition(':')[2][:16]}{suffix}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return path.resolve()


def recipe_named(recipe: Recipe) -> str:
    """A recipe as a config names it. Raises ConfigError for one that stands in no file: its runs could not resume."""
    from instar.app.configs.registry import recipes

    if recipes().get(recipe.name) is recipe:
        return recipe.name
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py"):
            continue
        for name, value in list(vars(module).items()):
            if value is recipe and module.__name__ != "__main__":
                return f"{Path(file).resolve()}:{name}"
    raise ConfigError(
        f"the recipe {recipe.name} stands in no file that can be imported: a run of it could not be resumed.",
        "Put it into my_recipe.py and import it, or run that file: instar run my_recipe.py.",
    )
