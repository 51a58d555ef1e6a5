"""Where the relative paths of a config file lead: to what lies beside that file, wherever instar is called from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os.path import abspath
from pathlib import Path
from typing import Any

from instar.acquire.environments.gymnasium import Gymnasium
from instar.acquire.environments.textarena import TextArena
from instar.acquire.environments.textworld import TextWorld
from instar.acquire.environments.verifiers import Verifiers
from instar.acquire.tasks.documents import Documents
from instar.acquire.tasks.sets import SETS
from instar.acquire.tasks.table import Table
from instar.acquire.tools.mcp import Mcp
from instar.app.configs.registry import ops
from instar.app.weights.models import models

MODELS = ("model", "judge_model")
_FILES_OF_PROGRAMS = {
    TextArena.name: ("python",),
    Gymnasium.name: ("python",),
    TextWorld.name: ("python",),
    Verifiers.name: ("python", "module"),
}
_PROGRAMS = (Mcp.name, *_FILES_OF_PROGRAMS)
_CODE = re.compile(r"([^:\n]+\.py):(\w+)")


def from_beside(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A config's plain data with its relative paths made absolute: looked up in ``folder``, then in the current one.

    These are paths: what a source of tables reads (``path``, ``train``, ``dev``, ``gate``, ``sealed``), a folder of
    documents and the file of their questions, a data set that is a folder there, ``file.py:name`` wherever it stands,
    a model that is a folder there, a suite that is a file, the files that the command of a tool server names, and what
    it reads; the interpreter of an environment of another library, its files, and what it reads. All else stays.
    """
    folder = folder.resolve()  # one name for one file: its path is part of an operator's identity
    made: dict[str, Any] = _walked(raw, folder)
    for key in MODELS:
        if isinstance(made.get(key), str) and made[key] not in ("", *models()):
            made[key] = _if_there(made[key], folder)
    suites = made.get("suites")
    if isinstance(suites, Mapping):  # one that is a text is the path of its file
        made["suites"] = {k: _led(v, folder) if isinstance(v, str) and v != "bundled" else v for k, v in suites.items()}
    return made


def from_here(value: Any) -> Any:
    """A value of ``--set`` in which your own code (``file.py:name``) that is in the current folder is named absolutely.

    So it is the same operator as in a config file beside it, and a run that was started with it resumes from anywhere.
    """
    if isinstance(value, Mapping):
        return {k: from_here(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_here(v) for v in value]
    if isinstance(value, str) and (code := _CODE.fullmatch(value)) and Path(code[1]).is_file():
        return f"{abspath(code[1])}:{code[2]}"
    return value


def _walked(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        files, folders = _fields_of(value.get("op"))
        of_a_server = (
            {"reads": _led, "command": _if_a_file, "imports": _if_a_file} if value.get("op") in _PROGRAMS else {}
        )
        return {
            k: _led(v, folder) if k in files and isinstance(v, str)
            else _if_a_file(v, folder) if k in _FILES_OF_PROGRAMS.get(str(value.get("op")), ()) and isinstance(v, str)
            else _if_there(v, folder) if k in folders and isinstance(v, str)
            else [of_a_server[k](str(x), folder) for x in v] if k in of_a_server and isinstance(v, list)
            else _walked(v, folder)
            for k, v in value.items()
        }  # fmt: skip
    if isinstance(value, list):
        return [_walked(v, folder) for v in value]
    if isinstance(value, str) and (code := _CODE.fullmatch(value)):
        return f"{_led(code[1], folder)}:{code[2]}"
    return value


def _fields_of(op: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of an operator that name a file, and those that may name a folder or something else."""
    if op == Documents.name:
        return ("questions",), ("folder",)
    found = ops().get(op) if isinstance(op, str) else None
    if found is None or not issubclass(found, Table):
        return (), ()
    if found.whole == "path":
        return ("path", *SETS), ()
    return (), ("dataset",)  # its sets are names of splits


def _led(text: str, folder: Path) -> str:
    """The absolute path: beside the config if it is there or nowhere, so that an error says where it should be."""
    path = _expanded(text)
    here = folder / path
    return abspath(here if _there(here) or not _there(path) else path)


def _if_there(text: str, folder: Path) -> str:
    """The absolute path of a folder; anything else may be a name and stays."""
    path = _expanded(text)
    here = folder / path
    return abspath(here) if _there(here, a_folder=True) else abspath(path) if _there(path, a_folder=True) else text


def _if_a_file(text: str, folder: Path) -> str:
    """The absolute path of a file beside the config; anything else of a command stays as it is."""
    here = folder / _expanded(text)
    return abspath(here) if _there(here) and not _there(here, a_folder=True) else text


def _expanded(text: str) -> Path:
    """``~`` and ``~user`` filled in; a user who is not there has no folder, and so the path leads nowhere."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _there(path: Path, *, a_folder: bool = False) -> bool:
    try:
        return path.is_dir() if a_folder else path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False
