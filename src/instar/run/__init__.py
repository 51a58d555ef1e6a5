"""The verbs of a run. The package can also be called: ``instar.run("rest_em", rounds=2)`` starts one.

``instar.run`` is this package, and in a notebook the shortest name for starting a run; a module whose class has
``__call__`` is both, whichever is imported first.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import instar


class _Callable(ModuleType):
    def __call__(self, *args: Any, **settings: Any) -> Any:
        """See ``instar.cli.notebook.run``."""
        return instar._start(*args, **settings)


sys.modules[__name__].__class__ = _Callable
