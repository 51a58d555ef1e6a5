"""A user's own file wherever an operator's name does: ``my_checks.py:is_right``.

A class there is used as it is. A function becomes an operator of the slot it stands in: a checker for a judge, a
predicate over one experience for a filter (``app.configs.build`` makes it).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from instar.errors import ConfigError, InstarError
from instar.legible import said
from instar.neighbours import with_neighbours
from instar.protocols import Filter
from instar.recipes.recipe import Recipe
from instar.records import Decision, Experience


def is_local(name: str) -> bool:
    """Whether a name is of the form ``file.py:attribute``."""
    return name.rpartition(":")[0].endswith(".py")


def load(name: str) -> Any:
    """The object that ``file.py:attribute`` names. Raises ConfigError saying what the file offers."""
    file, _, attribute = name.rpartition(":")  # the folder may have a colon in its name
    path = Path(file).resolve()
    if not path.is_file():
        raise ConfigError(f"there is no file {file} (looked in {Path.cwd()}).")
    module = _module(path)
    if not hasattr(module, attribute):
        own = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise ConfigError(f"{file} has no {attribute!r}.", f"It has: {', '.join(own) or 'nothing that can be called'}.")
    return getattr(module, attribute)


def recipe_in(target: str) -> str:
    """The recipe that a file holds, as a config names it: ``/path/my.py:NAME``. Raises ConfigError where the file
    has none, or several and none was named."""
    file, _, attribute = target.rpartition(":") if is_local(target) else (target, "", "")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"there is no file {file} (looked in {Path.cwd()}).")
    if not attribute:
        of = {n: v for n, v in vars(_module(path)).items() if isinstance(v, Recipe)}
        own = {n: v for n, v in of.items() if getattr(v.function, "__module__", "") == _key(path)} or of
        if len({id(v) for v in own.values()}) != 1:
            raise ConfigError(
                f"{file} holds {'no recipe' if not own else 'several recipes'}.",
                f"Name one: {file}:NAME. It has: {', '.join(own)}." if own
                else "Give it one: RECIPE = Recipe(name, title, paper, Settings, function) (instar.recipes.recipe).",
            )  # fmt: skip
        attribute = next(iter(own))
    return f"{path}:{attribute}"


class LocalFilter(Filter):
    """Keeps the experiences for which a user's function ``f(experience) -> bool`` says True."""

    name: ClassVar[str] = "local_filter"

    function: str

    def __call__(self, items: Sequence[Experience]) -> list[Decision]:
        f: Callable[[Experience], Any] = load(self.function)
        decisions = []
        for e in items:
            said = f(e)
            if not isinstance(said, bool):
                raise InstarError(f"the filter {self.function} answered {said!r:.100} instead of True or False.")
            decisions.append(Decision(item=e.id, kept=said, reason=f"{self.function} said {said}"))
        return decisions

    def own_source(self) -> str:
        """The user's function and what it calls are part of what this operator is."""
        return with_neighbours(Path(self.function.rpartition(":")[0]).resolve())


def _key(path: Path) -> str:
    return f"instar_local_{path.stem}_{abs(hash(str(path)))}"


def _module(path: Path) -> ModuleType:
    key = _key(path)
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:  # sys.exit() when it is loaded would end the run as if all were well
        del sys.modules[key]
        raise ConfigError(f"{path} fails when it is loaded: {type(e).__name__}: {said(e)}.") from e
    return module
