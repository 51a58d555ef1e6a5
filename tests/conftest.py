"""Tests with the marker ``cuda`` need a GPU: they are chosen where there is one, and by ``pytest -m cuda``."""

from __future__ import annotations

import pytest

from instar.engines.causal import gpu_driver


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if gpu_driver() or "cuda" in (config.option.markexpr or ""):
        return
    out = [i for i in items if i.get_closest_marker("cuda")]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if not i.get_closest_marker("cuda")]
