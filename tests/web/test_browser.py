"""Report and live page in a real browser: clicks, keys, filters, a run that goes on, text that would be code."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.report.facts import facts
from instar.report.page import write_report
from tests.recipes.scripted import instar, start, wait_for
from tests.report.poisoned import ABILITY, PAYLOADS, poison
from tests.web.browser import Watched, chromium, ui

pytestmark = pytest.mark.slow
SLOW = ("rounds=1", "sizes.train=40", "engine_options.latency=8")
"""A run that lasts long enough to be watched."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with ui(runs) as found:
        yield found


@pytest.fixture(scope="module")
def report_file(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(runs / "first", tmp_path_factory.mktemp("file") / "r.html").as_uri()


@pytest.fixture(scope="module")
def grpo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of GRPO that learned, and one whose rewards are all alike."""
    folder = tmp_path_factory.mktemp("grpo") / "runs"
    (folder.parent / "flat.py").write_text("def half(reply, private):\n    return 0.5\n")
    sets = ("rounds=1", "sizes.train=30", "sizes.gate=20", "sizes.sealed=20", "solve.samples=4", "train.prompts=10")
    options = [o for s in ("model=scripted", *sets) for o in ("--set", s)]
    flat = ("judge.checker=flat.py:half", "exam.judge.checker=auto", "verifier_stress=off", "keep_going=true")
    instar("run", "grpo", "--name", "learning", "--quiet", *options, runs=folder)
    instar("run", "grpo", "--name", "idle", "--quiet", *options, *(o for s in flat for o in ("--set", s)), runs=folder)
    return folder


@pytest.fixture(params=["report", "live"])
def page(request: pytest.FixtureRequest, browser: Any, address: str, report_file: str) -> Iterator[Watched]:
    """The run ``first`` as a file and as a live page: what can be done on one can be done on the other."""
    watched = Watched(browser)
    watched.open(report_file if request.param == "report" else f"{address}/runs/first")
    yield watched
    assert watched.errors == []
    watched.context.close()


def rows(page: Any, name: str) -> list[str]:
    return [str(t) for t in page.locator(f"#{name}-rows .row").all_text_contents()]


def count(page: Any, name: str) -> int:
    """How many rows fit the filters, as the page says."""
    said = page.inner_text(f"#{name}-count")
    return 0 if said.startswith("Nothing") else int(said.split(" of ")[1].split()[0].replace(",", ""))


def test_charts_are_drawn_with_the_figures_of_the_run(page: Watched, runs: Path) -> None:
    for chart in ("sealed", "rounds", "funnel", "time"):
        assert page.page.locator(f"#chart-{chart} .main-svg").count() > 0, chart
    drawn = page.page.evaluate("document.getElementById('chart-sealed').data[2].x")
    sealed = facts(runs / "first")["sealed"]
    wanted = [100 * sealed["final"], *(100 * a["final"] for a in sealed["abilities"].values())]
    assert sorted(drawn) == pytest.approx(sorted(wanted))


def test_the_exam_is_filtered_by_what_changed_ability_and_text(page: Watched, runs: Path) -> None:
    p, exam = page.page, facts(runs / "first")["exam"]
    right = [r for r in exam["rows"] if r["change"] == "newly right"]
    assert count(p, "exam") == len(exam["rows"]) > len(right) > 0
    p.click("#exam-change button:has-text('newly right')")
    assert count(p, "exam") == len(right)
    assert all(t.lower().startswith("newly right") for t in rows(p, "exam"))
    ability = right[0]["ability"]
    p.select_option("#exam-ability", ability)
    own = [r for r in right if r["ability"] == ability]
    assert count(p, "exam") == len(own)
    p.fill("#exam-text", own[0]["question"])
    assert count(p, "exam") == sum(own[0]["question"].lower() in r["question"].lower() for r in own)
    p.fill("#exam-text", "no such text anywhere")
    assert rows(p, "exam") == []
    assert p.inner_text("#exam-count") == "Nothing fits these filters."


def test_the_answers_are_filtered_and_more_are_shown_on_demand(page: Watched, runs: Path) -> None:
    p, found = page.page, facts(runs / "first")["answers"]["rows"]
    assert len(rows(p, "answers")) == 40
    page.press("#answers-more")
    page.shows("#answers-rows .row", min(200, len(found)))
    p.select_option("#answers-fate", "trained on")
    p.select_option("#answers-round", "1")
    assert count(p, "answers") == sum(r["fate"] == "trained on" and r["round"] == 1 for r in found) > 0
    p.select_option("#answers-mark", "wrong")
    assert count(p, "answers") == 0


def test_the_lineage_of_an_answer_opens_with_the_keyboard_and_closes_with_escape(page: Watched) -> None:
    p = page.page
    p.select_option("#answers-fate", "trained on")
    opener = p.locator("#answers-rows .row button").first
    opener.focus()
    p.keyboard.press("Enter")
    said = p.inner_text("#lineage-body")
    by = ("Answered by sample in round", "Marked right by a verifier", "score_at_least kept it")
    for part in ("task of the train set", *by, "Trained policy"):
        assert part in said
    assert p.evaluate("document.querySelector('#lineage').contains(document.activeElement)")
    p.keyboard.press("Escape")
    assert not p.evaluate("document.querySelector('#lineage').open")
    assert p.evaluate("document.activeElement.dataset.answer") == opener.get_attribute("data-answer")


def test_a_filter_s_reason_leads_to_an_answer_that_it_dropped(page: Watched) -> None:
    p = page.page
    p.click("#round-1 details summary:has-text('score_at_least')")
    p.click("#round-1 details[open] .reasons li:has-text('dropped') button")
    assert "score_at_least dropped it" in p.inner_text("#lineage-body")
    p.click("#lineage [data-close]")
    assert not p.evaluate("document.querySelector('#lineage').open")


def test_the_lineage_of_an_exam_s_task_leads_back_to_the_base(page: Watched) -> None:
    page.page.click("#exam-rows .row button >> nth=0")
    said = page.page.inner_text("#lineage-body")
    assert "task of the sealed set" in said
    assert "Before:" in said
    assert "Where the run began" in said


def test_an_answer_and_its_judge_lead_to_what_models_were_asked(page: Watched) -> None:
    p = page.page
    p.click("#answers-rows .row button >> nth=0")
    question = p.inner_text("#answers-rows .row .q >> nth=0")
    p.click("#lineage button:has-text('what the judge was asked')")
    live = p.evaluate("document.body.dataset.state !== undefined")
    p.wait_for_selector("#lineage :text('No model was asked')" if live else "#lineage :text('Not in this file')")
    p.keyboard.press("Escape")
    p.click("#answers-rows .row button >> nth=0")
    p.click("#lineage button:has-text('what was asked')")
    if not live:
        assert "instar why i1:" in p.inner_text("#lineage-body")
        return
    p.wait_for_selector("#lineage h3:has-text('The model was asked')")
    said = p.inner_text("#lineage-body")
    assert question in said
    assert said.lower().count("this answer") == 1
    call = p.inner_text("#lineage a[href^='#call-']")
    p.click("#lineage a[href^='#call-']")
    p.keyboard.press("Escape")
    p.reload()  # a link to the call opens it, by its id
    p.wait_for_selector(f"#lineage a:has-text('{call}')")


def test_a_link_to_a_call_that_was_cut_says_that_nothing_is_there(browser: Any, address: str) -> None:
    watched = Watched(browser)
    watched.open(f"{address}/runs/first#call-%").wait_for_selector("#lineage :text('Nothing to show')")
    assert [e for e in watched.errors if "status of 404" not in e] == []
    watched.context.close()


def test_dark_follows_the_system_and_the_switch_is_remembered(browser: Any, report_file: str) -> None:
    watched = Watched(browser, scheme="dark")
    p = watched.open(report_file)
    dark = p.evaluate("getComputedStyle(document.body).backgroundColor")
    assert p.evaluate("document.documentElement.dataset.theme") == "dark"
    p.click("#theme")
    light = p.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    p.reload()
    assert p.evaluate("document.documentElement.dataset.theme") == "light"
    assert p.evaluate("getComputedStyle(document.body).backgroundColor") == light
    assert watched.errors == []
    watched.context.close()


@pytest.mark.parametrize("path", ["/", "/compare", "/compare?a=first&b=second", "/runs/first", "/runs/nothing"])
def test_light_and_dark_can_be_switched_on_every_page_of_the_live_page(browser: Any, address: str, path: str) -> None:
    watched = Watched(browser)
    p = watched.open(f"{address}{path}")
    for wanted in ("dark", "light"):
        p.click("#theme")
        assert p.evaluate("document.documentElement.dataset.theme") == wanted
    p.click("#theme")
    p.reload()
    assert p.evaluate("document.documentElement.dataset.theme") == "dark"
    # the browser itself notes that a page was answered with 404
    assert [e for e in watched.errors if "status of 404" not in e] == []
    watched.context.close()


def test_the_button_of_the_comparison_leads_to_it(browser: Any, address: str) -> None:
    watched = Watched(browser)
    p = watched.open(f"{address}/compare")
    p.select_option("#run-a", "first")
    p.select_option("#run-b", "second")
    p.click("button:has-text('Compare')")
    p.wait_for_url("**/compare?a=first&b=second")
    assert "On the 60 sealed tasks that both were asked" in p.inner_text("main")
    assert watched.errors == []
    watched.context.close()


def test_the_keyboard_reaches_the_content_first_and_every_control_has_a_name(page: Watched) -> None:
    p = page.page
    p.keyboard.press("Tab")
    assert p.evaluate("document.activeElement.className") == "skip"
    nameless = p.evaluate(
        """[...document.querySelectorAll('button, a[href], select, input, [role=region], [role=img]')].filter(e =>
          !(e.textContent || '').trim() && !e.getAttribute('aria-label') && !(e.labels && e.labels.length)
          && !e.closest('.modebar')).map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    levels = p.evaluate("[...document.querySelectorAll('h1')].length")
    assert levels == 1


@pytest.mark.parametrize("path", ["/", "/runs/first", "/compare?a=first&b=second"])
def test_a_phone_shows_every_page_without_sideways_scrolling(browser: Any, address: str, path: str) -> None:
    watched = Watched(browser, width=360, height=780)
    p = watched.open(f"{address}{path}")
    p.wait_for_timeout(500)
    assert watched.overflow <= 0
    assert watched.errors == []
    watched.context.close()


def test_the_report_asks_the_network_for_nothing(browser: Any, report_file: str) -> None:
    watched = Watched(browser)
    watched.open(report_file).wait_for_timeout(500)
    assert [u for u in watched.asked if not u.startswith(("data:", "blob:"))] == [report_file]
    watched.context.close()


def test_the_payloads_do_run_where_nothing_escapes_them(browser: Any) -> None:
    watched = Watched(browser)
    watched.page.set_content(f"<p>{PAYLOADS[1]}</p>")
    watched.page.wait_for_function("window.pwned === 2")  # else the next test could not fail
    watched.context.close()


def test_text_that_would_like_to_be_code_is_shown_and_does_not_run(browser: Any, runs: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "runs"
    shutil.copytree(runs, hostile)
    poison(hostile / "first" / "ledger.db")
    file = write_report(hostile / "first", tmp_path / "hostile.html").as_uri()
    with ui(hostile) as address:
        for url in (file, f"{address}/runs/first", f"{address}/", f"{address}/compare?a=first&b=second"):
            watched = Watched(browser)
            p = watched.open(url)
            if "runs/first" in url or url == file:
                assert PAYLOADS[0] in p.text_content("#answers-rows")
                assert ABILITY in p.text_content("#gains")
                p.click("#answers-rows .row button >> nth=0")
                assert "window.pwned" in p.inner_text("#lineage-body")
                p.click("#lineage button:has-text('what was asked')")
                if url != file:
                    p.wait_for_selector("#lineage h3:has-text('The model was asked')")
                    assert "window.pwned" in p.inner_text("#lineage-body")
                p.keyboard.press("Escape")
                p.hover("#chart-sealed .main-svg >> nth=0")
                p.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            p.wait_for_timeout(500)
            assert p.evaluate("window.pwned") is None, url
            assert watched.errors == [], url
            watched.context.close()


@pytest.mark.parametrize("where", ["report", "live"])
def test_a_run_of_grpo_shows_its_curves_its_gate_and_that_it_learned_nothing_where_it_did_not(
    where: str, browser: Any, grpo: Path, tmp_path: Path
) -> None:
    with ui(grpo) as live:
        watched = Watched(browser)
        page = watched.open(
            write_report(grpo / "learning", tmp_path / "r.html").as_uri()
            if where == "report"
            else f"{live}/runs/learning"
        )
        curves = page.locator("#round-1 .curve")
        captions = " ".join(curves.locator("figcaption").all_inner_texts())
        assert "reward" in captions
        assert "answers with signal" in captions
        series = facts(grpo / "learning")["rounds"][0]["training"][0]["series"]
        told = series["rollout"]
        assert "loss" in captions
        assert curves.count() == len(told) + len(series["step"]) == 5
        box = curves.first.locator("path").bounding_box()
        assert box["width"] > 100  # it is drawn, over the whole width
        assert box["height"] > 20
        assert page.evaluate("getComputedStyle(document.querySelector('.curve path')).fill") == "none"
        first, last = told["reward"][0][1], told["reward"][-1][1]
        assert f"from {first:.4g} to {last:.4g}" in curves.first.locator("svg").get_attribute("aria-label")
        assert watched.overflow <= 0
        assert watched.errors == []
        phone = Watched(browser, width=390, height=844, scheme="dark")
        phone.open(page.url)
        assert phone.overflow <= 0
        phone.context.close()
        page = watched.open(f"{live}/runs/idle")
        assert "nothing was learned: no group had two rewards" in page.inner_text("#round-1")
        watched.context.close()


def test_a_run_in_progress_is_followed_to_its_verdict_without_a_reload(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    working = start(folder, "going", *SLOW)
    try:
        wait_for(folder / "going" / "started")
        with ui(folder) as address:
            watched = Watched(browser)
            p = watched.open(f"{address}/")
            p.wait_for_selector(".pill.running")
            p.click("text=going")
            p.wait_for_selector("#verdict .pill.running")
            p.evaluate("window.same = true")
            p.wait_for_selector(".doing progress")
            p.wait_for_selector("#answers-rows .row")  # a function would be evaluated, which the page forbids
            p.wait_for_selector("#f-1-1")  # by its name: others may come to stand before it
            p.click("#f-1-1 summary")
            p.fill("#answers-text", "what")
            p.wait_for_selector("#verdict .pill.finished", timeout=180_000)
            assert "The model" in p.inner_text("#headline")
            assert p.evaluate("window.same") is True  # never reloaded
            assert p.evaluate("document.querySelector('#f-1-1').open")  # what was opened stays open
            assert p.input_value("#answers-text") == "what"  # and what was typed stays typed
            p.wait_for_selector("#chart-sealed .main-svg")
            assert watched.errors == []
            watched.context.close()
    finally:
        working.kill()
        working.wait(30)


def test_a_run_that_is_killed_is_soon_called_killed(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    working = start(folder, "dying", *SLOW, "engine_options.latency=60")
    try:
        wait_for(folder / "dying" / "started")
        with ui(folder) as address:
            watched = Watched(browser)
            p = watched.open(f"{address}/runs/dying")
            p.wait_for_selector("#verdict .pill.running")
            working.send_signal(signal.SIGKILL)
            working.wait(30)
            p.wait_for_selector("#verdict .pill.killed")
            assert "instar resume dying" in p.inner_text("#verdict")
            watched.context.close()
    finally:
        working.kill()
        working.wait(30)


def test_a_server_that_is_gone_is_said(browser: Any, runs: Path) -> None:
    watched = Watched(browser)
    with ui(runs) as address:
        p = watched.open(f"{address}/runs/first")
        assert not p.is_visible("#connection")
    p.wait_for_selector("#connection:visible")
    watched.context.close()
