"""An episode in a real browser: in the report's file and on the live page, turn by turn with who spoke."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.report.facts import facts
from instar.report.page import write_report
from tests.recipes.scripted import run
from tests.web.browser import Watched, chromium, ui

pytestmark = pytest.mark.slow
SMALL = (
    "model=scripted", "audit_with=none", "verifier_stress=off", "sizes.train=4", "sizes.gate=8", "sizes.sealed=6",
    "questions=6", "solve.samples=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("episodes") / "runs"
    run(folder, "group", recipe="autoact", common=SMALL)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def shown(place: Any) -> list[tuple[str, str]]:
    """The turns of an episode as they are read: who, and what."""
    turns = place.locator(".turns").first.locator("li").all()
    return [(t.locator("b").text_content(), t.locator("p").text_content()) for t in turns]


def test_report_and_live_page_show_an_episode_turn_by_turn_with_who_spoke(
    runs: Path, browser: Any, tmp_path: Path
) -> None:
    out = write_report(runs / "group", tmp_path / "group.html")
    rows = [r for r in facts(runs / "group")["answers"]["rows"] if r["turns"]]
    assert rows
    told = [[(t["who"], t["text"]) for t in r["turns"]] for r in rows]
    with ui(runs) as live:
        for address in (out.as_uri(), f"{live}/runs/group"):
            watched = Watched(browser)
            p = watched.open(address)
            p.wait_for_selector("#answers-rows .turns")
            episode = shown(p.locator("#answers-rows"))
            assert episode in told
            assert {"plan", "tool", "seen"} <= {who for who, _ in episode}
            assert shown(p.locator("#exam-rows"))[0][0] == "plan"
            p.click("#answers-rows .row button >> nth=0")
            assert p.locator("#lineage-body .turns li").count() > 3
            assert watched.overflow <= 0
            assert watched.errors == []
            watched.context.close()
