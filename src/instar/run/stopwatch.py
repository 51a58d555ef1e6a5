"""Where the seconds of a session go, by phase, measured from outside: nested phases count once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Exclusive time per phase: a phase inside another takes its seconds out of the outer one.

    Used from the loop's thread and from the training thread, never from both at once for one stack: each thread has
    its own stack, and a thread's first phase is charged against the phase the loop is waiting in.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}
        self._stack: list[str] = []
        self._since = self.began
        self._lock = threading.Lock()

    def _charge(self) -> None:
        now = time.monotonic()
        phase = self._stack[-1] if self._stack else "bookkeeping"
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of the block under this phase."""
        with self._lock:
            self._charge()
            self._stack.append(name)
        try:
            yield
        finally:
            with self._lock:
                self._charge()
                self._stack.pop()

    def count(self, name: str, tokens: int) -> None:
        """Count tokens under a phase."""
        with self._lock:
            self.tokens[name] = self.tokens.get(name, 0) + tokens

    def move(self, source: str, to: str, seconds: float) -> None:
        """Book seconds, known from elsewhere, under another phase."""
        with self._lock:
            self.seconds[source] = self.seconds.get(source, 0.0) - seconds
            self.seconds[to] = self.seconds.get(to, 0.0) + seconds

    def spans(self) -> dict[str, tuple[float, int]]:
        """Phase to (seconds, tokens); the phases add up to the wall clock since the stopwatch was made."""
        with self._lock:
            self._charge()
            names = {*self.seconds, *self.tokens}
            return {n: (round(self.seconds.get(n, 0.0), 3), self.tokens.get(n, 0)) for n in names}
