"""A function of a user's own file as a tool: its type hints are the schema, and it is called in a process that can be
killed."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticUserError, create_model

from instar.errors import ConfigError
from instar.legible import said
from instar.records import ToolSpec

_NAMED_ONLY = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
LONGEST = 20_000
"""Characters of a result that come back from the process; what a model is shown of it is far less."""


def parts(named: str) -> tuple[str, str, int]:
    """File, function, and when the file was changed."""
    file, _, function = named.rpartition(":")
    path = Path(file).expanduser()
    if not file.endswith(".py") or not path.is_file():
        raise ConfigError(f"{named!r:.200} names no function of a file.", "Write it as my_tools.py:lookup.")
    return str(path.resolve()), function, path.stat().st_mtime_ns


@lru_cache(maxsize=64)
def described(path: str, function: str, changed: int) -> tuple[type[BaseModel], ToolSpec]:
    """The arguments of a function as a model of pydantic, and what a language model is told of it. Raises ConfigError
    for a function without a schema."""
    found = _loaded(path, function)
    try:
        hints = get_type_hints(found)
        parameters = inspect.signature(found).parameters.values()
        odd = [p.name for p in parameters if p.kind not in _NAMED_ONLY or p.name not in hints]
        if odd:
            raise ConfigError(
                f"{function} in {path}: the argument {odd[0]} has no type, or takes any number of values.",
                "Give each argument a name and a type: def lookup(key: str) -> str.",
            )
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default) for p in parameters
        }
        takes = create_model(function, __config__=ConfigDict(extra="forbid"), **fields)
        about = " ".join((inspect.getdoc(found) or function.replace("_", " ")).split("\n\n")[0].split())
        return takes, ToolSpec.of(function, about, takes)
    except (PydanticUserError, NameError, TypeError, ValueError) as e:
        raise ConfigError(f"{function} in {path} has no schema: {said(e)}.", "Use plain types: str, int, list.") from e


def called(path: str, function: str, given: Mapping[str, Any]) -> str:
    """In the worker: what the user's function gives, as text. Anything that it raises is a sentence."""
    try:
        takes, _ = described(path, function, 0)
        typed = takes.model_validate(given)
        values = {name: getattr(typed, name) for name in takes.model_fields}
        result = _loaded(path, function)(**values)
        return (result if isinstance(result, str) else json.dumps(result, default=str))[:LONGEST]
    except (Exception, SystemExit) as e:
        return f"error: {type(e).__name__}: {said(e)}"[:LONGEST]


@lru_cache(maxsize=64)
def _loaded(path: str, function: str) -> Callable[..., Any]:
    name = f"instar_tools_{Path(path).stem}_{abs(hash(path))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{path} cannot be loaded as Python.")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except (Exception, SystemExit) as e:
            del sys.modules[name]
            raise ConfigError(f"{path} fails when it is loaded: {type(e).__name__}: {said(e)}.") from e
    found = getattr(sys.modules[name], function, None)
    if not inspect.isfunction(found) or inspect.iscoroutinefunction(found):
        own = [n for n, f in vars(sys.modules[name]).items() if inspect.isfunction(f) and not n.startswith("_")]
        raise ConfigError(f"{path} has no plain function {function!r}.", f"It has: {', '.join(own) or 'none'}.")
    return found
