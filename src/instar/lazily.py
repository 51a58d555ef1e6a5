"""Modules of others that are heavy and rarely needed: imported when they are first used.

reasoning-gym imports all its families, one of them cellpylib and with it matplotlib: half a second of processor time in
every process that draws or checks a task. ``importlib.util.LazyLoader`` does not help: an ``import`` of such a module
reads its ``__spec__``, and that loads it.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any


class Lazy(types.ModuleType):
    """Stands in ``sys.modules`` for a module until something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def reasoning_gym() -> types.ModuleType:
    """The package, its families registered, without matplotlib."""
    sys.modules.setdefault("cellpylib", Lazy("cellpylib"))
    return importlib.import_module("reasoning_gym")
