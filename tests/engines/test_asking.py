"""Waiting for an engine's resident ends: when it works, or with a sentence."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tests.engines.asking import working


def test_waiting_for_a_resident_ends_when_it_works_and_when_it_never_does() -> None:
    busy, idle = SimpleNamespace(_active=[1]), SimpleNamespace(_active=[])
    seen = iter([None, idle, busy])
    assert asyncio.run(working(lambda: next(seen))) is busy
    for never in (None, idle):
        with pytest.raises(AssertionError, match=r"no resident began to work in 0\.01 s"):
            asyncio.run(working(lambda never=never: never, 0.01))
