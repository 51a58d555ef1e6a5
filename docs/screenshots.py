"""The pictures of the report and the live page in ``docs/img``: a real browser on runs of the scripted model.

``python docs/screenshots.py`` makes two runs and, while a third goes on, takes every picture. A test takes them too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.recipes.scripted import run, start, wait_for
from tests.web.browser import Watched, chromium, ui

from instar.report.page import write_report

IMAGES = Path(__file__).parent / "img"
SIZES = {"desktop": (1280, 900), "phone": (390, 844), "low": (1280, 480)}


def take(out: Path, work: Path) -> list[Path]:
    """All pictures, written to ``out``; runs are made in ``work``. Returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    runs = work / "runs"
    run(runs, "arithmetic", "control=true", "sizes.train=60", "sizes.sealed=120")
    run(runs, "guided", "sizes.dev=60", "sizes.train=360", "sizes.sealed=120", recipe="full_loop")
    report = write_report(runs / "guided", work / "report.html").as_uri()
    working = start(runs, "going", "rounds=12", "engine_options.latency=4")
    made: list[Path] = []
    try:
        wait_for(runs / "going" / "started")
        with chromium() as browser, ui(runs) as address:

            def picture(name: str, url: str, size: str, scheme: str, then: str = "", until: str = "") -> None:
                width, height = SIZES[size]
                watched = Watched(browser, width=width, height=height, scheme=scheme)
                page = watched.open(url)
                if until:
                    page.wait_for_selector(until, timeout=240_000)
                if then:
                    page.evaluate(then)
                page.wait_for_timeout(700)
                made.append(out / f"{name}.png")
                page.screenshot(path=made[-1])
                smaller(made[-1])
                watched.context.close()

            rounds = "document.getElementById('round-1').scrollIntoView({behavior: 'instant'})"
            before = "document.getElementById('compare').scrollIntoView({behavior: 'instant'})"
            lineage = f"{before}; document.querySelector('#answers-rows button').click()"
            live, working_on = f"{address}/runs/going", "main:has(#round-1 table) .doing progress"
            picture("report-desktop", report, "desktop", "light")
            picture("report-dark", report, "desktop", "dark", rounds)
            picture("report-phone", report, "phone", "light")
            picture("report-before-after", report, "desktop", "light", before)
            picture("report-lineage", report, "desktop", "light", lineage)
            picture("live-desktop", live, "desktop", "light", until=working_on)
            picture("live-dark", live, "desktop", "dark", until=working_on)
            picture("live-phone", live, "phone", "dark", until=working_on)
            # the folder's name is of the day: the picture should not differ by it
            folder = "document.querySelector('main code').textContent = 'runs'"
            picture("live-runs", f"{address}/", "low", "light", folder, until=".pill.running")
            picture("live-compare", f"{address}/compare?a=arithmetic&b=guided", "desktop", "light")
    finally:
        working.kill()
        working.wait(30)
    return made


def smaller(path: Path) -> None:
    """The picture with a palette: a third of the bytes, and no difference that an eye finds."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of report and live page.")
    parser.add_argument("--out", type=Path, default=IMAGES)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as work:
        for path in take(out, Path(work)):
            print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
