"""Words of a model or a data set in a terminal, in a spreadsheet, and in a file that no run can hold."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from instar.cli.show import write_rows
from instar.run.progress import SafeConsole, Screen
from tests.recipes.scripted import content, instar

ABILITIES = ["\x1b[31mred\x1b[0m", "=cmd|' /C calc'!A0", "x\u202egnp", "bell\x07 \x9b31m [bold]"]
CONFIG = """recipe = "rest_em"
model = "scripted"
rounds = 1
tasks = { op = "jsonl", path = "odd.jsonl" }
sizes = { train = 24, gate = 20, sealed = 20 }
"""
RAW = set(map(chr, [*range(32), *range(127, 160)])) - {"\n", "\t"} | {"\u202e"}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with a run of tasks whose abilities are orders to a terminal and to a spreadsheet."""
    place = tmp_path_factory.mktemp("odd")
    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1), "ability": ABILITIES[i % 4]} for i in range(80)]
    (place / "odd.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (place / "odd.toml").write_text(CONFIG)
    done = instar("run", "odd.toml", "--name", "odd", runs=place / "runs")
    harmless(done.stdout + done.stderr)
    assert "\\x1b[31mred" in done.stdout
    return place / "runs"


def harmless(text: str) -> None:
    assert not RAW & set(text), sorted(RAW & set(text))


@pytest.mark.parametrize("command", [
    ["show", "odd"], ["compare", "odd"], ["why", "--run", "odd"], ["verify", "odd"],
    ["run", "../odd.toml", "--dry-run"],
    ["init", "../odd.jsonl", "--folder", "made", "--model", "scripted", "--force"],
], ids=lambda c: c[0])  # fmt: skip
def test_no_command_prints_an_ability_as_an_order_to_the_terminal(odd: Path, command: list[str]) -> None:
    done = instar(*command, runs=odd, cwd=odd)
    harmless(done.stdout + done.stderr)
    if command[0] in ("show", "compare", "init"):
        assert "x\\u202egnp" in done.stdout


def test_an_error_quotes_nothing_raw(odd: Path) -> None:
    done = instar("run", "rest_em", "--set", "model=scripted", "--set", "judge=\x1b[2J\u202e", runs=odd, check=False)
    assert done.returncode == 2
    harmless(done.stderr)
    done = instar("show", "no\x1b[31m", runs=odd, check=False)
    assert done.returncode == 2
    harmless(done.stderr)


def test_the_dry_runs_toml_holds_any_text_as_toml(odd: Path) -> None:
    import tomllib

    done = instar("run", "rest_em", "--dry-run", "--set", "model=scripted", "--set", "system=a\x9b31m\u202e", runs=odd)
    harmless(done.stdout)
    assert tomllib.loads(done.stdout)["system"] == "a\x9b31m\u202e"


def test_everything_that_is_drawn_is_escaped_even_what_its_writer_forgot() -> None:
    console = SafeConsole(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
    table = Table("name")
    table.add_row("\x1b[31mred\x9b")
    for drawn in ("\x1b]0;title\x07", Text("\x1b[2J", style="bold"), table):
        console.print(drawn, markup=False)
    said = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "\x1b[1m" in said  # rich's own are orders still
    for order in ("\x1b]0;", "\x1b[2J", "\x1b[31m", "\x07", "\x9b"):
        assert order not in said
    assert "\\x1b[2J" in said
    assert "│ \\x1b[31" in said  # rich had measured the cell as it was: it is cut, and cannot break out


def test_progress_and_lines_are_escaped_and_no_markup() -> None:
    screen = Screen("plain", SafeConsole(file=io.StringIO(), width=200))
    screen.line("round [bold]1[/bold] \x1b[31m\u202e half \ud83d")
    with screen.phase("exam [red]x[/red]\x1b[2J", 1) as phase:
        phase.advance(1)
    said = screen.console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "round [bold]1[/bold] \\x1b[31m\\u202e half \\ud83d" in said
    assert "exam [red]x[/red]\\x1b[2J: 1/1" in said
    live = Screen("live", SafeConsole(file=io.StringIO(), force_terminal=True, width=200, color_system=None))
    with live.shown(), live.phase("exam [red]x[/red]\x1b[2J", 1):
        assert isinstance(live.live, Progress)
        live.live.refresh()
    assert "exam [red]x[/red]\\x1b[2J" in live.console.file.getvalue()  # type: ignore[attr-defined]


def test_a_cell_that_a_spreadsheet_would_run_is_text_and_numbers_stay_numbers(tmp_path: Path) -> None:
    dangerous = ["=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1", "-"]
    fine = ["-5", "+3", "-0.5", "-1,234.5", "-1/2", "-3e-7", "-5%", "5-3", "a=b", "", "'=", "\U0001f600"]
    rows = [{"gold": g, "score": -1.5, "tokens": [1, 2]} for g in [*dangerous, *fine]]
    rows += [{"gold": None, "score": 0.5, "tokens": ["-5", "-3"]}, {"gold": "x", "score": 0, "tokens": ["-5", "-x"]}]
    write_rows(rows, tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [r["gold"] for r in read] == [*(f"'{d}" for d in dangerous), *fine, "", "x"]
    assert {r["score"] for r in read} == {"-1.5", "0.5", "0"}
    assert [r["tokens"] for r in read[-3:]] == ["1|2", "-5|-3", "'-5|-x"]
    write_rows(rows, tmp_path / "cells.jsonl")
    assert json.loads((tmp_path / "cells.jsonl").read_text().splitlines()[0])["gold"] == "=1+1"


@pytest.mark.slow
def test_half_an_emoji_in_the_data_is_named_and_the_run_goes_on_when_it_is_mended(tmp_path: Path) -> None:
    runs, data = tmp_path / "runs", tmp_path / "odd.jsonl"
    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(80)]
    lines = [json.dumps(r) + "\n" for r in rows]
    data.write_text("".join([*lines[:70], lines[70].replace("?", "? \\ud83d"), *lines[71:]]))
    (tmp_path / "odd.toml").write_text(CONFIG)
    init = instar("init", "odd.jsonl", "--folder", "made", runs=runs, check=False)
    assert init.returncode == 3
    assert "line 71: the column 'question' holds half a character, \\ud83d (at character 17)" in init.stderr
    for command in (["run", "odd.toml", "--dry-run"], ["run", "odd.toml", "--name", "half"]):
        done = instar(*command, runs=runs, check=False)
        assert done.returncode == 3, done.stderr
        assert "line 71, column 'question'" in done.stderr
        assert "Traceback" not in done.stderr
    nothing = instar("resume", "half", runs=runs, check=False)  # it is found before there is a run
    assert "there is no run 'half'" in nothing.stderr
    data.write_text("".join(lines))
    instar("run", "odd.toml", "--name", "half", "--quiet", runs=runs)
    instar("run", "odd.toml", "--name", "calm", "--quiet", runs=runs)
    assert content(runs, "half") == content(runs, "calm")


@pytest.mark.slow
def test_a_question_with_two_answers_is_told_by_init_and_by_run(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(80)]
    rows.append({"question": "What is 3 + 1?", "answer": "5"})
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "odd.toml").write_text(CONFIG)
    runs = tmp_path / "runs"
    for command in (["run", "odd.toml", "--dry-run"], ["init", "odd.jsonl", "--folder", "made", "--model", "scripted"]):
        assert "lines 4 and 81 ask the same ('What is 3 + 1?')" in instar(*command, runs=runs).stdout
    stopped = instar("run", "odd.toml", "--name", "two", "--set", "budget.calls=1", runs=runs, check=False)
    assert "warning: " in stopped.stderr
    assert "lines 4 and 81 ask the same" in stopped.stderr
    again = instar("resume", "two", "--set", "budget.calls=2", runs=runs, check=False)
    assert "ask the same" not in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("audit", ["audit_with=none", "verifier_stress=warn"])
def test_a_filter_that_calls_exit_stops_the_run_with_exit_code_8(tmp_path: Path, audit: str) -> None:
    (tmp_path / "mine.py").write_text("import sys\ndef f(e):\n    sys.exit(0)\n")
    done = instar("run", "rest_em", "--set", "model=scripted", "--set", "right=mine.py:f", "--set", audit,
                  "--set", "sizes={train=6, gate=6, sealed=6}", runs=tmp_path / "runs", check=False)  # fmt: skip
    assert done.returncode == 8, done.stderr
    assert "SystemExit: 0" in done.stderr
    assert "Traceback" not in done.stderr
