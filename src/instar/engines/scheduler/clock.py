"""How long an engine was at work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Clock:
    """Seconds during which at least one thing was under way, however many went on side by side. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open = 0
        self._since = 0.0
        self._total = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the seconds inside."""
        with self._lock:
            if self._open == 0:
                self._since = time.perf_counter()
            self._open += 1
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1
                if self._open == 0:
                    self._total += time.perf_counter() - self._since

    def seconds(self) -> float:
        """All so far, the span still open included."""
        with self._lock:
            return self._total + (time.perf_counter() - self._since if self._open else 0.0)
