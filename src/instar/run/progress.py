"""Progress a person can read: a live line in a terminal, plain lines elsewhere, silence when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console, ConsoleOptions
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from instar.legible import shown

Style = Literal["auto", "live", "plain", "silent"]
_EVERY = 10.0  # seconds between two plain lines of one phase, and between two looks at what is left of a run


class SafeConsole(Console):
    """A console whose texts cannot move the cursor or colour the screen, whoever wrote them: a model, a data set. What
    the place they are printed to cannot show (a curve where there is ASCII alone) is a question mark.

    The one net under all that is printed: rich takes most control characters in a text for the writer's will."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            safe = segment.text if segment.control else shown(segment.text, lines=True)
            safe = safe.encode(self.encoding, "replace").decode(self.encoding)
            yield segment if safe == segment.text else Segment(safe, segment.style)


class Phase:
    """One phase of a run while it works: a count, tokens, an estimate of what is left."""

    def __init__(self, screen: Screen, title: str, total: int) -> None:
        self.screen, self.title, self.total = screen, title, total
        self.done = 0
        self.tokens = 0
        self.replayed = 0
        self.note = ""
        self.began = time.monotonic()
        self._said = self.began
        self._live: TaskID | None = None
        if screen.live:
            self._live = screen.live.add_task(title, total=total, rate="", whole="")

    def advance(self, n: int = 1, *, tokens: int = 0, replayed: bool = False) -> None:
        """``n`` more items are done, ``tokens`` more were made. Replayed items do not count in the rate."""
        self.done += n
        self.tokens += tokens
        self.replayed += n if replayed else 0
        self._show()

    def at(self, done: int, total: int, *, tokens: int = 0, note: str = "") -> None:
        """Absolute progress, for work that counts by itself (training steps). ``note`` is shown with it (a loss)."""
        self.done, self.total, self.tokens, self.note = done, total, tokens, note
        self._show()

    @property
    def rate(self) -> str:
        """Tokens a second so far, in words; empty when there is nothing to say."""
        seconds = time.monotonic() - self.began
        return f"{self.tokens / seconds:,.0f} tokens/s" if self.tokens and seconds > 0.2 else ""

    @property
    def left(self) -> float | None:
        """Seconds that are left, from the pace of the items really worked on; None before there is a pace."""
        fresh = self.done - self.replayed
        if fresh < max(2, self.total // 20) or self.done >= self.total:
            return None  # too few are done to judge the pace by
        return (time.monotonic() - self.began) / fresh * (self.total - self.done)

    @property
    def eta(self) -> str:
        """What is left of it, in words; empty before there is a pace."""
        return "" if self.left is None else f"about {clock(self.left)} left"

    def _show(self) -> None:
        if self.screen.live and self._live is not None:
            whole = self.screen.whole(self.left)
            self.screen.live.update(
                self._live, completed=self.done, total=self.total, rate=f"{self.rate} {self.note}",
                whole=f"({whole})" if whole else "",
            )  # fmt: skip
        elif self.screen.style == "plain" and time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            parts = [f"{self.done}/{self.total}", self.rate, self.note, self.eta, self.screen.whole(self.left)]
            self.screen.line(f"  {self.title}: {', '.join(p for p in parts if p)}")

    def close(self, finished: bool) -> None:
        """The phase is over: one line with counts, time and rate."""
        if self.screen.live and self._live is not None:
            self.screen.live.remove_task(self._live)
        seconds = time.monotonic() - self.began
        replay = f", {self.replayed} already done" if self.replayed else ""
        rate = f", {self.rate}" if self.rate else ""
        word = "" if finished else " (stopped)"
        self.screen.line(f"  {self.title}: {self.done}/{self.total} in {clock(seconds)}{rate}{replay}{word}")


class Screen:
    """Where a run speaks. ``auto``: live in a terminal, plain lines elsewhere."""

    def __init__(self, style: Style = "auto", console: Console | None = None) -> None:
        self.console = console or SafeConsole(stderr=True, highlight=False)
        if style == "auto":
            style = "live" if self.console.is_terminal else "plain"
        self.style = style
        self.live: Progress | None = None
        self.left: Callable[[], float | None] | None = None
        """Seconds that the whole run may still take, where somebody knows; asked for now and then."""
        self._whole: tuple[float, float | None] = (float("-inf"), None)

    def whole(self, phase: float | None) -> str:
        """What is left of the whole run, in words; empty where nobody knows yet. Never less than what is left of the
        ``phase`` at work: a training was only foreseen when the run was, and its own steps tell better."""
        if self.left is None:
            return ""
        if time.monotonic() - self._whole[0] >= _EVERY:
            self._whole = time.monotonic(), self.left()
        seconds = self._whole[1]
        return "" if seconds is None else f"whole run: about {clock(max(seconds, phase or 0.0))} left"

    @contextmanager
    def shown(self) -> Iterator[Screen]:
        """Keep the live display up while a run works."""
        if self.style != "live":
            yield self
            return
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[whole]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True) as self.live:
            yield self
        self.live = None

    def line(self, text: str) -> None:
        """One line for the reader. Never interpreted as markup: it may quote a model."""
        if self.style != "silent":
            self.console.print(shown(text, lines=True), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Phase]:
        """Show one phase while the block inside works; its last line says how it went."""
        phase = Phase(self, title, total)
        finished = False
        try:
            yield phase
            finished = True
        finally:
            phase.close(finished)


def clock(seconds: float) -> str:
    """Seconds as people say them: 8.3 s, 4 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
