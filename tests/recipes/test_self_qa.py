"""Self-QA and from_documents on the scripted model: what is read is learned, a kill changes nothing."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any, cast

import pytest

from instar.records import Assessment, Decision, Task
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, instar

COMMON = ("model=scripted", "write.writer=rule", "audit_with=none", "rounds=2")


def _documents(at: Path) -> None:
    """Books of sums, which the scripted model can learn to do, and questions about others."""
    luck = random.Random(3)
    pairs = [(a, b) for a in range(11, 99) for b in range(11, 99)]
    luck.shuffle(pairs)
    (at / "books").mkdir()
    for n in range(10):
        own = pairs[6 * n : 6 * n + 6]
        text = " ".join(f"The sum {a} + {b} is {a + b}." for a, b in own)
        (at / "books" / f"book_{n}.txt").write_text(f"Book {n}\n\n{text}\n")
    (at / "books" / "cover.png").write_bytes(b"\x89PNG")
    rows = [{"question": f"Calculate {a} + {b}.", "answer": str(a + b)} for a, b in pairs[100:260]]
    (at / "asked.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def sets_of(runs: Path, recipe: str) -> tuple[str, ...]:
    books = json.dumps(str(runs.parent / "books"))
    if recipe == "self_qa":
        asked = json.dumps(str(runs.parent / "asked.jsonl"))
        return (*COMMON, f'tasks={{op="documents", folder={books}, questions={asked}}}', "suites={}", "sizes.train=5",
                "sizes.gate=60", "sizes.sealed=40", "train.epochs=2")  # fmt: skip
    return (*COMMON, f'tasks={{op="documents", folder={books}, shows="texts"}}', "sizes.train=3", "sizes.gate=15",
            "sizes.sealed=20", "train.epochs=1", "solve.samples=2")  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("work")
    _documents(at)
    return at / "runs"


def run(runs: Path, name: str, recipe: str) -> dict[str, Any]:
    options = [o for s in sets_of(runs, recipe) for o in ("--set", s)]
    done = instar("run", recipe, "--name", name, "--json", "--quiet", *options, runs=runs)
    return cast(dict[str, Any], json.loads(done.stdout))


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", "self_qa")


@pytest.fixture(scope="module")
def cited(runs: Path) -> dict[str, Any]:
    return run(runs, "cited", "from_documents")


def records(runs: Path, name: str, kind: str) -> list[Any]:
    ledger = Ledger.read(runs / name / "ledger.db")
    found = list(ledger.records(kind))
    ledger.close()
    return found


def test_what_was_read_is_answered_without_the_text_and_the_bare_text_teaches_it_nothing(
    undisturbed: dict[str, Any],
) -> None:
    sealed = undisturbed["sealed"]
    assert sealed["final"] - sealed["base"] > 0.2
    assert sealed["controls"]["bare_text"]["score"] == sealed["base"]


def test_only_questions_that_need_their_text_are_learned_and_each_decision_says_why(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    reasons = {d.reason for d in cast(list[Decision], records(runs, "undisturbed", "decision"))}
    for begin in ("right with the passage", "known without the passage", "answered without the passage: only measured"):
        assert any(r.startswith(begin) for r in reasons), begin
    made = [t for t in cast(list[Task], records(runs, "undisturbed", "task")) if t.source == "passage_questions"]
    assert made
    assert all(t.private["grounded_in"]["name"].startswith("book_") for t in made)
    said = " ".join(instar("why", made[0].id, "--run", "undisturbed", runs=runs).stdout.split())
    assert re.search(r"It is grounded in characters \d+ to \d+ of book_\d\.txt \(document [0-9a-f]{12}\)", said)
    qualities = [a for a in cast(list[Assessment], records(runs, "undisturbed", "assessment")) if a.verb == "create"]
    assert [a.name for a in qualities] == ["passage_questions"] * 2
    assert content(runs, "undisturbed")  # it verifies


def test_files_that_were_not_read_are_named_in_the_run(runs: Path, undisturbed: dict[str, Any]) -> None:
    (first, *_) = [t for t in cast(list[Task], records(runs, "undisturbed", "task")) if "unread" in t.private]
    assert first.private["unread"] == ["cover.png was not read: .png is no kind that is read (.txt, .text, .md, "
                                       ".markdown, .rst, .html, .htm, .xhtml, .pdf)"]  # fmt: skip


def test_from_documents_makes_tasks_with_texts_and_keeps_what_is_right_and_cited(
    runs: Path, cited: dict[str, Any]
) -> None:
    made = [t for t in cast(list[Task], records(runs, "cited", "task")) if t.source == "passage_questions"]
    assert made
    assert all(t.private["cite"] and "<<<passage" in t.question for t in made)
    found = [f for f in records(runs, "cited", "feedback") if f.source == "verifier"]
    precise = [f.evidence["citation_precision"] for f in found if "citation_precision" in f.evidence]
    assert {0.0, 1.0} == set(precise)
    comments = {f.comment for f in found}
    assert "citation precision 0.00, recall 0.00" in comments
    assert 0 < cited["sealed"]["base"] < 1
    assert content(runs, "cited")


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "at"), [("self_qa", (30, 90)), ("from_documents", (20, 40))])
def test_killed_in_the_middle_it_ends_the_same(
    runs: Path, undisturbed: dict[str, Any], cited: dict[str, Any], recipe: str, at: tuple[int, int], tmp_path: Path
) -> None:
    calm = undisturbed if recipe == "self_qa" else cited
    other = runs if recipe == "self_qa" else runs.parent / "runs_cited"
    if recipe == "from_documents":
        other.mkdir()
        (runs / "cited").rename(other / "undisturbed")
    ends_the_same_when_killed(other, recipe, sets_of(runs, recipe), calm, at=at, common=())
