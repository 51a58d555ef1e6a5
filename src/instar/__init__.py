"""instar: language models that improve themselves by experience, with evidence.

    run = instar.run("rest_em", model="scripted", rounds=2)
    run.sealed, run.show()

The names below are loaded when they are first used: ``import instar`` itself is light.
"""

import importlib
import os
import sys
from typing import Any

__version__ = "0.1.0"

# Threads of a matrix product meet at barriers, thousands a training step, and spin there. Beside any other busy program
# they so take the time of those they wait for: training was 9 times slower beside one busy process. Spinning briefly,
# then sleeping, costs 5 % alone and makes that a factor of 2 (docs/log/2026-11-22-waiting-threads.md). libgomp reads it
# when torch is loaded; what the user has set stands.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "4000")


class _FormerNames:
    """Asked by the import system for modules that no one else finds: those that go by another name now."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> Any:
        """``instar.former``'s answer for a module of instar; None for any other."""
        if not fullname.startswith("instar."):
            return None
        return importlib.import_module("instar.former").Former().find_spec(fullname, path, target)


if _FormerNames not in sys.meta_path:
    sys.meta_path.append(_FormerNames)

_NOTEBOOK = "instar.cli.notebook"
_PUBLIC = {
    "run": ("instar.run", ""),  # the package of the verbs, which can be called
    "open_run": (_NOTEBOOK, "open_run"),
    "compare": (_NOTEBOOK, "compare"),
    "examine": (_NOTEBOOK, "examine"),
    "OpenRun": (_NOTEBOOK, "OpenRun"),
    "Compared": (_NOTEBOOK, "Compared"),
    "InstarError": ("instar.errors", "InstarError"),
    "_start": (_NOTEBOOK, "run"),  # what calling instar.run does
}
__all__ = ["__version__", *(name for name in _PUBLIC if name != "_start")]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'instar' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
