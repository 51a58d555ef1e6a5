"""A command line for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.preflight.flying import Flight, flight_in


@pytest.fixture
def fly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flight:
    """``instar run``, with and without ``--dry-run``."""
    return flight_in(tmp_path, monkeypatch, capsys)
