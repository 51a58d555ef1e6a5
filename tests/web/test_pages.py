"""The live page answers with what the ledgers hold, to this machine alone, and changes nothing."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.errors import ConfigError
from instar.report.facts import facts
from instar.store.ledger import Ledger
from instar.store.redact import redact
from instar.web.pages import create_app
from instar.web.runs import folder_of
from instar.web.security import hosts_for, name_of, refuse_open_bind
from tests.recipes.scripted import instar
from tests.report.poisoned import ABILITY, PAYLOADS, poison
from tests.web.asking import ask


@pytest.fixture
def app(runs: Path) -> Any:
    return create_app(runs)


def test_the_list_names_every_run_with_its_status_and_gain(app: Any) -> None:
    page = ask(app, "/").text
    assert page.index(">second<") < page.index(">first<")  # the newest first
    assert page.count("finished</span>") == 2
    assert "sealed tasks" in page


def test_a_run_s_page_has_the_report_s_sections_and_its_state_has_the_same(app: Any) -> None:
    page = ask(app, "/runs/first").text
    for section in ("verdict", "gains", "rounds", "compare", "answers", "policies", "cost", "config"):
        assert f'<section id="{section}"' in page
    news = ask(app, "/runs/first/state?seen=old").json()
    assert news["data"]["run"] == "first"
    assert "The model" in news["main"]
    again = ask(app, f"/runs/first/state?seen={news['revision']}")
    assert (again.status, again.body) == (204, b"")


def test_a_run_that_grows_has_news(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    app = create_app(tmp_path / "runs")
    before = ask(app, "/runs/first/state?seen=").json()["revision"]
    ledger = Ledger(tmp_path / "runs" / "first" / "ledger.db")
    ledger.begin_session()
    ledger.close()
    fresh = create_app(tmp_path / "runs")
    assert ask(fresh, f"/runs/first/state?seen={before}").status == 200


@pytest.mark.parametrize("path", ["/", "/compare", "/runs/first", "/runs/nothing"])
def test_every_page_with_the_button_has_the_script_that_switches(app: Any, path: str) -> None:
    page = ask(app, path).text
    assert page.count('id="theme"') == page.count('<script src="/static/theme.js">') == 1
    assert '"#theme"' in ask(app, "/static/theme.js").text
    # what needs the facts of one run is in the other script, and asks for them first
    assert "theme.js" not in ask(app, "/static/page.js").text
    assert "if (data.answers) { drawSealed();" in ask(app, "/static/page.js").text


def test_two_runs_are_compared_with_what_was_set_otherwise(app: Any) -> None:
    page = ask(app, "/compare?a=first&b=second").text
    assert "sizes.train" in page
    assert "On the 60 sealed tasks that both were asked" in page
    assert "against A</b>" not in page  # no interval where nobody handed in who computes it


def test_a_comparison_that_is_handed_in_is_shown_with_its_interval(runs: Path) -> None:
    asked = []

    def paired(a: str, b: str) -> dict[str, Any]:
        asked.append((a, b))
        return {"refusal": None, "gain": -0.1, "low": -0.2, "high": -0.05, "n": 60}

    page = ask(create_app(runs, paired=paired), "/compare?a=first&b=second").text
    assert asked == [("first", "second")]
    assert "B is -10.0 points against A" in page
    assert "-20.0 to -5.0" in page


@pytest.mark.parametrize(
    "path", ["/runs/nothing", "/runs/..", "/runs/%2e%2e", "/runs/first%2f..%2ffirst/report", "/static/../x"]
)
def test_what_is_no_run_is_not_found(app: Any, path: str) -> None:
    assert ask(app, path).status == 404


@pytest.mark.parametrize("name", ["..", "../runs", "/etc", "a/b", "", ".hidden", "a\x00b"])
def test_a_name_never_leads_out_of_the_folder(runs: Path, name: str) -> None:
    assert folder_of(runs, name) is None


@pytest.mark.parametrize(
    "path",
    ["/", "/runs/first", "/runs/first/state", "/runs/first/calls?of=x", "/static/page.js", "/runs/nothing", "/compare"],
)
def test_every_answer_carries_the_security_headers(app: Any, path: str) -> None:
    headers = ask(app, path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "", None]
)
def test_a_name_that_an_attacker_pointed_here_gets_nothing(app: Any, host: str | None) -> None:
    answer = ask(app, "/runs/first/state", host=host)
    assert answer.status == 421
    assert b"revision" not in answer.body
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8765", "LOCALHOST", "[::1]:8765"])
def test_this_machine_s_own_names_are_answered(app: Any, host: str) -> None:
    assert ask(app, "/", host=host).status == 200


def test_a_server_for_others_is_called_by_its_address_but_not_by_a_strange_name(runs: Path) -> None:
    app = create_app(runs, host="0.0.0.0")
    assert ask(app, "/", host="192.168.1.7:8765").status == 200
    assert ask(app, "/", host="evil.example").status == 421
    assert "box.lan" in hosts_for("box.lan")
    assert name_of("[fe80::1]:80") == "fe80::1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_allowed(app: Any, method: str) -> None:
    assert ask(app, "/runs/first", method=method).status == 405


def test_looking_at_a_run_leaves_its_ledger_as_it_was(app: Any, runs: Path) -> None:
    def digests() -> dict[str, str]:
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(runs.rglob("ledger.db"))}

    before = digests()
    for path in ("/", "/runs/first", "/runs/first/state", "/compare?a=first&b=second", "/runs/first/report"):
        assert ask(app, path).status == 200
    assert digests() == before


def test_a_hostile_text_is_text_on_the_live_page_too(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    poison(tmp_path / "runs" / "first" / "ledger.db")
    app = create_app(tmp_path / "runs")
    for path in ("/runs/first", "/compare?a=first&b=second"):
        page = ask(app, path).text
        assert ABILITY not in page
        assert "&lt;b onmouseover" in page
    assert "<b onmouseover" not in ask(app, "/runs/first/state").text
    said = ask(app, f"/runs/first/calls?of={_row(tmp_path / 'runs')['id']}")
    assert "<" not in said.text
    assert said.json()["calls"][0]["messages"][0]["content"] in PAYLOADS


def test_a_ledger_that_cannot_be_read_is_said_and_the_others_are_still_listed(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs" / "first" / "ledger.db").write_bytes(b"this is no database" * 100)
    for tail in ("-wal", "-shm"):
        (tmp_path / "runs" / "first" / f"ledger.db{tail}").unlink(missing_ok=True)
    app = create_app(tmp_path / "runs")
    listed = ask(app, "/")
    assert listed.status == 200
    assert "unreadable" in listed.text
    assert ">second<" in listed.text
    answer = ask(app, "/runs/first")
    assert answer.status == 500
    assert "cannot be opened as a ledger" in answer.text


def test_an_older_run_without_versions_and_result_has_a_page(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    db = sqlite3.connect(tmp_path / "runs" / "first" / "ledger.db")
    db.execute("delete from about where key in ('result', 'versions', 'stress')")
    db.commit()
    db.close()
    page = ask(create_app(tmp_path / "runs"), "/runs/first").text
    assert "Not recorded" in page


def _row(runs: Path, run: str = "first") -> dict[str, Any]:
    found: list[dict[str, Any]] = facts(runs / run)["answers"]["rows"]
    return next(r for r in found if r["feedback"])


def test_the_model_call_behind_an_answer_is_told_word_for_word_and_by_its_own_id(app: Any, runs: Path) -> None:
    row = _row(runs)
    found = ask(app, f"/runs/first/calls?of={row['id']}").json()
    (call,) = found["calls"]
    assert (call["messages"][-1]["content"], call["role"], found["more"]) == (row["question"], "self", 0)
    assert [r["text"] for r in call["replies"] if r["chosen"]] == [row["text"]]
    (again,) = ask(app, f"/runs/first/calls?of={call['id']}").json()["calls"]
    assert {**again, "replies": 0} == {**call, "replies": 0}
    # a checker asked no model
    assert ask(app, f"/runs/first/calls?of={row['feedback'][0]['id']}").json() == {"calls": [], "more": 0}


@pytest.mark.parametrize("of", ["", "x", "i1:", "i1:0", "%00", "../first"])
def test_of_what_is_no_record_and_no_model_call_that_is_said(app: Any, of: str) -> None:
    answer = ask(app, f"/runs/first/calls?of={of}")
    assert (answer.status, "has no record and no model call" in answer.json()["said"]) == (404, True)
    assert ask(app, f"/runs/nothing/calls?of={of}").status == 404


def test_a_model_call_that_was_redacted_says_so_on_the_page(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    app, row = create_app(tmp_path / "runs"), _row(runs)
    (call,) = ask(app, f"/runs/first/calls?of={row['id']}").json()["calls"]
    with closing(Ledger(tmp_path / "runs" / "first" / "ledger.db")) as ledger:
        redact(ledger, [call["id"]], reason="it had to go")
    answer = ask(app, f"/runs/first/calls?of={row['id']}")
    assert (answer.status, "was redacted on" in answer.json()["said"]) == (404, True)
    assert ask(app, "/runs/first").status == 200


def test_other_machines_are_refused_unless_asked_for(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1"):
        refuse_open_bind(host, allowed=False)
    for host in ("0.0.0.0", "::", "192.168.1.7", "box.lan"):
        with pytest.raises(ConfigError, match="can be reached from other machines"):
            refuse_open_bind(host, allowed=False)
        refuse_open_bind(host, allowed=True)
    (tmp_path / "runs").mkdir()
    refused = instar("ui", "--host", "0.0.0.0", runs=tmp_path / "runs", check=False)
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stderr


def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path: Path) -> None:
    import socket

    (tmp_path / "runs").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = instar("ui", "--port", str(taken.getsockname()[1]), runs=tmp_path / "runs", check=False)
    assert refused.returncode == 2
    assert "cannot be listened on" in refused.stderr
    assert "--port" in refused.stderr


def test_a_run_s_name_may_be_in_any_script(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "first", tmp_path / "runs" / "工单-1")
    app = create_app(tmp_path / "runs")
    assert ">工单-1<" in ask(app, "/").text
    page = ask(app, "/runs/工单-1").text
    assert "/runs/%E5%B7%A5%E5%8D%95-1/state" in page
    report = ask(app, "/runs/工单-1/report")
    assert report.headers["content-disposition"] == "attachment; filename*=UTF-8''%E5%B7%A5%E5%8D%95-1.html"
    assert " yet" not in page.split('<section id="config"')[0].split("<script")[0]
