"""One finished run on the scripted model, made once, for the commands that read or use a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.scripted import run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with ``one`` (two rounds, with a control) and ``two`` (one round, the same sealed tasks)."""
    runs = tmp_path_factory.mktemp("made") / "runs"
    run(runs, "one", "control=true", "sizes.dev=12")
    run(runs, "two", "rounds=1")
    return runs
