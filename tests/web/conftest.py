"""Two finished runs that are only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.scripted import run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs ``first`` and ``second``."""
    folder = tmp_path_factory.mktemp("web") / "runs"
    run(folder, "first")
    run(folder, "second", "rounds=1", "sizes.train=20")
    return folder
