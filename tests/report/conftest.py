"""One small run for all tests of this folder: it is only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.scripted import run


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with a refused candidate, a control and an alarm's worth of health."""
    runs = tmp_path_factory.mktemp("report") / "runs"
    run(runs, "small", "control=true")
    return runs / "small"
