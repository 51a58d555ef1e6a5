"""A real Chromium, and ``instar ui`` as a user starts it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path() -> str:
    """Where the browser is. AssertionError with what to do when there is none."""
    found = [shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")]
    path = next((f for f in found if f), None)
    assert path, "no Chromium is installed: make browser"
    return path


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def ui(runs: Path) -> Iterator[str]:
    """``instar ui`` over a folder of runs; its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "instar.cli", "ui", "--port", "0"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "INSTAR_RUNS": str(runs)},
    )  # fmt: skip
    try:
        assert server.stdout
        line = server.stdout.readline()
        address = re.search(r"http://[^ ]+", line)
        assert address, line
        yield address[0]
    finally:
        server.terminate()
        server.wait(20)


class Watched:
    """A page that notes what went wrong on it and what it asked for."""

    def __init__(self, browser: Any, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("dialog", lambda d: (self.errors.append(f"dialog {d.message}"), d.dismiss()))
        self.page.on("request", lambda r: self.asked.append(r.url))

    def open(self, url: str) -> Any:
        """Load a page and wait until its charts stand: they are drawn as it loads, and laid out in the next frames."""
        self.page.goto(url, wait_until="load")
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.page

    def press(self, selector: str) -> None:
        """Click what stands still: rows are laid out as they come into view, and a button that moves between press and
        release is not clicked."""
        place = self.page.locator(selector)
        place.scroll_into_view_if_needed()
        self.page.wait_for_function(
            "(s) => { const y = Math.round(document.querySelector(s).getBoundingClientRect().top), o = window.stood;"
            " window.stood = { y, frames: o && o.y === y ? o.frames + 1 : 0 }; return window.stood.frames >= 10; }",
            arg=selector,
        )
        place.click()

    def shows(self, selector: str, count: int) -> None:
        """Wait until so many elements fit a selector. AssertionError with how many do."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_count(count, timeout=20_000)

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than the screen."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
