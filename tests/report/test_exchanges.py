"""``instar why`` shows what models were asked, word for word, and says where a ledger did not keep it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from instar.records import Exchange, Finish, Message, Reply, Role, Sampling, ToolCall, ToolSpec
from instar.records.exchange import ask_key
from instar.report.exchanges import calls
from instar.report.why import holds, why
from instar.store.ledger import Ledger
from tests.fixtures.ledgers.old import unpack
from tests.recipes.scripted import run

JUDGED = (
    "rounds=1", "sizes.train=4", "sizes.gate=6", "sizes.sealed=4", "solve.samples=2", "audit_with=none",
    'judge={op="rubric", samples=1, sampling={temperature=0.0, max_tokens=60}}', "judge_model=scripted:judge=1.0",
)  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("judged") / "runs"
    run(runs, "one", *JUDGED)
    return runs / "one"


def some(folder: Path, where: str) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.db")) as raw:
        return [id for (id,) in raw.execute(f"select id from records where {where} order by rowid")]


def test_a_judges_word_shows_what_the_judge_was_asked_word_for_word(judged: Path) -> None:
    (id, *_) = some(judged, "kind = 'feedback' and json_extract(body, '$.source') = 'judge'")
    found = why(judged, id)
    (asked,) = found["exchanges"]
    (solution,) = [json.loads(b) for b in bodies(judged, found["record"]["solution"])]
    assert asked["role"] == "judge"
    assert solution["turns"][0]["text"].strip() in asked["messages"][-1]["content"]
    assert any("the judge" in s and repr(asked["messages"][-1]["content"]) in s for s in found["sentences"])
    assert f"It said: {asked['replies'][0]['text']!r}" in found["sentences"]


def bodies(folder: Path, id: str) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.db")) as raw:
        return [body for (body,) in raw.execute("select body from records where id = ?", (id,))]


def test_an_answer_shows_the_prompt_it_was_sampled_under_and_its_model_call_is_found_by_its_own_id(
    judged: Path,
) -> None:
    (id, *_) = some(judged, "kind = 'solution' and round > 0")
    found = why(judged, id)
    (asked,) = found["exchanges"]
    task = json.loads(bodies(judged, found["record"]["task"])[0])
    assert asked["messages"][-1]["content"] == task["messages"][-1]["content"]
    assert holds(judged, asked["id"][3:20])
    assert why(judged, asked["id"][3:20])["record"] == asked


def test_what_an_old_ledger_did_not_keep_is_said_to_be_unknown(tmp_path: Path) -> None:
    folder = unpack("judged-finished", tmp_path)
    (id, *_) = some(folder, "kind = 'feedback' and json_extract(body, '$.source') = 'judge'")
    found = why(folder, id)
    assert any("the judge" in s and "did not keep" in s for s in found["sentences"])
    (id, *_) = some(folder, "kind = 'solution' and round > 0")
    (asked,) = why(folder, id)["exchanges"]
    assert asked["messages"]


def test_the_page_shows_what_tools_a_model_was_told_of_and_what_it_called(judged: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(judged, tmp_path / "one"))
    tool = ToolSpec(name="look_up", about="finds a person", parameters="{}")
    called = ToolCall(name="look_up", arguments='{"name":"Ada"}')
    shown = (
        Message(role=Role.user, content="Who?", tools=(tool,)),
        Message(role=Role.assistant, content="", calls=(called,)),
        Message(role=Role.user, content="a poet", result_of="look_up"),
    )
    reply = Reply(text="no", finish=Finish.stop, policy="p", engine="e", precision="f32", prompt_tokens=1, tokens=1)
    asked = Exchange(
        id=ask_key("i1:c", 0), call="i1:c", turn=0, role="self", ask="i1:a", policy="p", engine="e", precision="f32",
        replies=(reply,), messages=shown, sampling=Sampling(), seed=0, weights="i1:w", prompt=None,
    )  # fmt: skip
    with closing(Ledger(folder / "ledger.db")) as ledger:
        asyncio.run(ledger.add_exchange(asked, "i1:s", 0.1))
    ((call,),) = [calls(folder, asked.id)["calls"]]
    first, second, third = (m["content"] for m in call["messages"])
    assert "finds a person" in first
    assert (second, third) == ("look_up[Ada]", "Observation: a poet")
