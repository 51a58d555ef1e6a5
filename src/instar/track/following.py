"""Follows a run for its trackers: a thread that reads the ledger now and then and sends what is new.

The run never waits for it while it works. What was sent is noted in ``track.json`` in the run's folder, before and
after each sending, so that a run that was killed and resumed sends no point twice.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.track.points import Training, news, points, settings
from instar.track.settings import Tracking, opened
from instar.track.tracker import Point, Told, Tracker

EVERY = 3.0
"""Seconds between two looks at the ledger."""
PATIENCE = 30.0
"""Seconds that the end of a session waits for its trackers; what was not sent is sent when the run is resumed."""
NOTES = "track.json"


class Following:
    """From ``start`` to ``close`` the trackers hear of the run. ``say`` prints one line."""

    def __init__(
        self, folder: Path, track: Sequence[str], tracking: Tracking, training: Training, say: Callable[[str], None]
    ) -> None:
        self.folder, self.track, self.tracking, self.training, self.say = folder, track, tracking, training, say
        self._over = threading.Event()
        self._open: dict[str, Tracker] = {}
        self._notes: dict[str, Any] = {}
        self._seen: tuple[Any, ...] = ()
        self._thread = threading.Thread(target=self._follow, name="instar-track", daemon=True)

    def start(self) -> None:
        """Begin to follow; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Send what is left and close the trackers; gives up after ``PATIENCE`` seconds, with a line."""
        self._over.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.say(f"tracking: {', '.join(self._open) or 'a tracker'} did not answer within {PATIENCE:.0f} s")

    def _follow(self) -> None:
        try:
            ledger = open_ledger(self.folder / "ledger.db")
        except Exception as e:
            self.say(f"tracking: {type(e).__name__}: {e}")
            return
        try:
            self._begin(ledger)
            while not self._over.wait(EVERY) and self._open:
                self._look(ledger)
            self._look(ledger)
        except Exception as e:  # the ledger, or the notes: of the trackers' own errors each ends one tracker
            self.say(f"tracking stopped, the run goes on: {type(e).__name__}: {e}"[:300])
        finally:
            for name in list(self._open):
                self._guarded(name, self._open[name].close)
            ledger.close()

    def _begin(self, ledger: Ledger) -> None:
        about = ledger.about()
        file = self.folder / NOTES
        self._notes = json.loads(file.read_text("utf-8")) if file.exists() else {}
        self._notes.setdefault("id", uuid.uuid4().hex[:10])
        config = dict(settings(json.loads(about.get("resolved", "{}"))))
        sessions = json.loads(about.get("versions", "{}"))
        versions: dict[str, str] = next(reversed(sessions.values()), {})
        trackers = self._notes.setdefault("trackers", {})
        for name in self.track:
            told = Told(
                self.folder.resolve().name, self._notes["id"], self.tracking.project, self.tracking.place(self.folder),
                config, versions,
            )  # fmt: skip
            trackers.setdefault(name, {"sent": {}, "before": 0})
            self._note()
            self._guarded(name, partial(self._join, name, told))

    def _join(self, name: str, told: Told) -> None:
        tracker = opened(name, told, self.tracking)
        self._open[name] = tracker
        own = self._notes["trackers"][name]
        if "sending" in own:  # killed while these were on their way
            left = [Point(*p) for p in own["sending"]]
            if tracker.replaces:
                tracker.send(left, own["before"])
            else:
                many = f"{len(left)} figures were being sent to {name} when the run was cut short"
                self.say(f"tracking: {many}: some may be missing there")
            self._sent(own, left)

    def _look(self, ledger: Ledger) -> None:
        seen = news(ledger)
        if seen == self._seen:
            return
        self._seen = seen
        known = points(ledger, self.training)
        for name in list(self._open):
            own = self._notes["trackers"][name]
            sent = {k: set(steps) for k, steps in own["sent"].items()}
            fresh = [p for p in known if p.step not in sent.get(p.name, ())]
            if fresh:
                self._guarded(name, partial(self._send, name, own, fresh))

    def _send(self, name: str, own: dict[str, Any], fresh: Sequence[Point]) -> None:
        own["sending"] = [list(p) for p in fresh]
        self._note()
        self._open[name].send(fresh, own["before"])
        self._sent(own, fresh)

    def _sent(self, own: dict[str, Any], done: Sequence[Point]) -> None:
        for p in done:
            own["sent"].setdefault(p.name, []).append(p.step)
        own["before"] += len(done)
        own.pop("sending", None)
        self._note()

    def _note(self) -> None:
        file = self.folder / NOTES
        new = file.with_name(f".{file.name}.new")
        with new.open("w", encoding="utf-8") as f:
            json.dump(self._notes, f)
            f.flush()
            os.fsync(f.fileno())
        new.replace(file)

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        """A tracker that fails is one line, and out until the run is resumed."""
        try:
            work()
        except (Exception, SystemExit) as e:
            self._open.pop(name, None)
            said = " ".join(f"{type(e).__name__}: {e}".split())
            self.say(f"the tracker {name} stopped, the run goes on: {said}"[:300])
