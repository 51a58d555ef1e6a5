"""instar: language models that improve themselves by experience, with evidence.

    run = instar.run("rest_em", model="scripted", rounds=2)
    run.sealed, run.show()

The names below are loaded when they are first used: ``import instar`` itself is light.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

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
