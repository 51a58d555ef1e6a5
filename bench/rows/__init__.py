"""The benchmarks: every module here holds a list ``ROWS`` (see ``bench.pairs.Row``); a new file is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

from bench.pairs import Row


def rows() -> dict[str, Row]:
    """All rows by key, in the order of their files' names."""
    found: dict[str, Row] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        for row in importlib.import_module(f"{__name__}.{module}").ROWS:
            if row.key in found:
                raise ValueError(f"two rows are called {row.key}")
            found[row.key] = row
    return found
