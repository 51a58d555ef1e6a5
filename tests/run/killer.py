"""Kills a run from inside at an instant by number: before or after a write to the ledger, a file put in its place or
forced to the disk. From then on nothing is written any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from instar.store.writer import GroupCommit


class Killed(BaseException):
    """A kill as it looks from inside. Whoever catches it cannot write any more either."""


class Killer:
    """Counts instants, and from the one that it is told on lets nothing be written."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at: int | None = None
        self.passed = 0
        write, write_now = GroupCommit.write, GroupCommit.write_now

        async def written(writer: GroupCommit, what: Any) -> None:
            self._instant()
            await write(writer, what)
            self._instant()

        patch.setattr(GroupCommit, "write", written)
        patch.setattr(GroupCommit, "write_now", self._around(write_now))
        for name in ("fsync", "replace", "rename"):
            patch.setattr(os, name, self._around(getattr(os, name)))

    def _around(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def done(*given: Any, **more: Any) -> Any:
            self._instant()
            made = do(*given, **more)
            self._instant()
            return made

        return done

    def _instant(self) -> None:
        if self.at is not None and self.passed >= self.at:
            raise Killed
        self.passed += 1
