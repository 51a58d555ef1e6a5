"""Budgets: what a run may spend. Reaching one stops the run cleanly; it can be resumed with a larger one."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from instar.errors import BudgetSpent, StoreError
from instar.store.disk import apart


class Budget(BaseModel):
    """Limits over the whole run, all its sessions together. None is unlimited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int | None = Field(default=None, ge=1, description="generated tokens")
    calls: int | None = Field(default=None, ge=1, description="model calls")
    seconds: float | None = Field(default=None, gt=0, description="wall clock")
    disk_gb: float | None = Field(default=None, gt=0, description="gigabytes the run may add to the disk")
    keep_free_gb: float = Field(default=0.5, ge=0, description="never fill the disk further than this")


@dataclass
class BudgetTracker:
    """What is spent so far, checked before each expense."""

    budget: Budget
    folder: Path
    home: Path | None = None
    """Where the weights go, if that is another place than the run's folder."""
    tokens: int = 0
    calls: int = 0
    seconds_before: float = 0.0
    free_at_start: dict[Path, float] = field(default_factory=dict)
    """Gigabytes that were free on each disk when the run began; a resumed run is told."""
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self._began

    @cached_property
    def places(self) -> list[Path]:
        """A folder on each disk that the run writes to: its own first."""
        return apart([self.folder, *([self.home] if self.home else [])])

    def spend(self, *, calls: int = 0, tokens: int = 0) -> None:
        """Count what was just spent."""
        self.calls += calls
        self.tokens += tokens

    def check(self) -> None:
        """Raises BudgetSpent when nothing more may be spent."""
        b = self.budget
        for what, spent, limit in (
            ("tokens", self.tokens, b.tokens),
            ("calls", self.calls, b.calls),
            ("seconds", self.seconds, b.seconds),
        ):
            if limit is not None and spent >= limit:
                raise BudgetSpent(
                    f"the budget of {limit:g} {what} is used up ({spent:,.0f} spent).",
                    f"Everything finished is kept; raise it with --set budget.{what}=... and resume.",
                )

    def check_disk(self, need_gb: float = 0.0) -> None:
        """Raises BudgetSpent or StoreError before something large is written."""
        free = {place: shutil.disk_usage(place).free / 1e9 for place in self.places}
        used = sum(max(0.0, self.free_at_start.setdefault(place, free[place]) - free[place]) for place in free)
        limit = self.budget.disk_gb
        if limit is not None and used + need_gb > limit:
            raise BudgetSpent(
                f"the next step would write about {need_gb:.1f} GB; {used:.1f} of the budget of {limit:g} GB are used.",
                "Raise it with --set budget.disk_gb=... and resume.",
            )
        for place, left in free.items():
            if left - need_gb < self.budget.keep_free_gb:
                raise StoreError(
                    f"the disk of {place} has {left:.1f} GB free; the next step needs about {need_gb:.1f} GB "
                    f"and {self.budget.keep_free_gb:g} GB are to stay free.",
                    "Free some space and resume; everything finished is kept.",
                )
