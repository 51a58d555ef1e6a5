"""Every policy of a run is named as what it is: base, result, control, judge, candidate; before the run is over too."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from instar.records import Policy, Solution, Verdict, hash_of
from instar.scripted_world import base_policy, weights_of
from instar.store.ledger import Ledger, Made
from instar.store.roles import Roles, roles_of, unmoved
from tests.fixtures.ledgers.old import LEDGERS, unpack


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    ledger = Ledger.read(folder / "ledger.db")
    try:
        yield ledger
    finally:
        ledger.close()


def of(name: str, place: Path) -> Roles:
    with opened(unpack(name, place)) as ledger:
        return roles_of(ledger)


def not_over(folder: Path) -> Path:
    """As if the run had been killed in its last exam: all is made, and no result noted."""
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute("delete from about where key = 'result'")
    return folder


@pytest.mark.parametrize("name", LEDGERS)
def test_each_policy_of_a_run_has_its_roles_and_each_but_the_first_a_making(name: str, tmp_path: Path) -> None:
    with opened(unpack(name, tmp_path)) as ledger:
        r, result = roles_of(ledger), json.loads(ledger.about().get("result", "{}"))
        ids = {p.id for p in ledger.records("policy")}
    assert r.over == name.endswith("-finished")
    assert (r.result == result["final"]) if r.over else r.result is not None
    assert r.of(r.base or "")[0] == "base"
    assert ids == {r.base, *r.judges, *r.updates}
    assert {n: i for i, n in r.controls.items()} == result.get("controls", {})
    for id in ids:
        roles = r.of(id)
        assert ("final" in roles) == (r.over and id == r.result)
        assert any(x.startswith("control") for x in roles) == (id in r.controls)
        if not roles:
            assert id in {u.policy for u in r.candidates}


@pytest.mark.parametrize("name", ["rest_em-finished", "star-finished", "refused-finished"])
def test_a_control_is_called_one_before_the_run_is_over_too(name: str, tmp_path: Path) -> None:
    over = of(name, tmp_path / "over")
    with opened(not_over(unpack(name, tmp_path / "killed"))) as ledger:
        killed = roles_of(ledger)
    assert not killed.over
    assert killed.controls.keys() == over.controls.keys() != set()
    assert [killed.of(c) for c in killed.controls] == [["control"]]
    assert killed.result == over.result  # what a gate let pass last, or the base: never the control, the newest of all
    assert list(killed.updates)[-1] in killed.controls


def test_the_model_that_judges_is_not_where_the_run_began(tmp_path: Path) -> None:
    for name in ("judged-finished", "judged-killed"):
        r = of(name, tmp_path / name)
        (judge,) = r.judges
        assert r.of(judge) == ["judge"]
        assert r.base != judge


def test_the_answers_of_an_update_are_those_it_was_handed_and_no_draft_that_they_were_made_from(tmp_path: Path) -> None:
    with opened(unpack("self_refine-finished", tmp_path)) as ledger:
        r = roles_of(ledger)
        (update,) = r.line()
        ancestors = ledger.ancestors(update.policy)
        solutions = [s for s in ledger.records(ids=update.solutions) if isinstance(s, Solution)]
        drafts = {s.id for s in ledger.records("solution") if s.id in ancestors} - {s.id for s in solutions}
    assert len(solutions) == len(update.solutions) > 0
    assert drafts  # among its ancestors they are


def test_an_update_that_rolls_out_by_itself_has_tasks_and_no_answers(tmp_path: Path) -> None:
    (update,) = of("grpo-finished", tmp_path).line()
    assert (len(update.tasks), update.solutions, update.op) == (12, (), "grpo")


# --- runs made by hand ------------------------------------------------------------------------------------------------


def policy(skill: float, parent: Policy | None = None) -> Policy:
    made = Policy(weights=weights_of({"add": skill}), parent=parent.id if parent else None, made_by="sft")
    return made.identified()


def solution(n: int) -> Solution:
    fields = {"task": "i1:t", "turns": [{"text": str(n)}], "policy": "i1:p", "engine": "scripted", "precision": "exact"}
    return Solution.model_validate({**fields, "sampling": {}, "finish": "stop", "id": f"i1:s{n}"})


def verdict(old: Policy, new: Policy, promoted: bool) -> Verdict:
    fields = {"incumbent": old.id, "candidate": new.id, "incumbent_report": "i1:a", "candidate_report": "i1:b"}
    said = Verdict(**fields, promoted=promoted, checks=(), reason="")  # type: ignore[arg-type]
    return said.model_copy(update={"id": hash_of("said", new.id, promoted)})


def written(place: Path, rows: list[Made], **about: object) -> Roles:
    place.mkdir(exist_ok=True)
    ledger = Ledger(place / "ledger.db")
    base = base_policy()
    ledger.add_records([Made(base, hash_of("model", "scripted"), 0, 0)])
    for row in rows:  # one after the other, as a run would
        ledger.writer.write_now(lambda c, row=row: _add(c, row))  # type: ignore[misc]
    ledger.set_about(resolved=json.dumps({"rounds": 2}), **{k: json.dumps(v) for k, v in about.items()})
    try:
        return roles_of(ledger)
    finally:
        ledger.close()


def _add(connection: Connection, row: Made) -> None:
    from instar.store import schema as t
    from instar.store.rows import insert_new, link, record_rows

    records, edges = record_rows([row], "a call")
    insert_new(connection, t.records, records)
    link(connection, edges)


def test_an_update_that_goes_on_from_a_promoted_policy_has_both_in_its_line(tmp_path: Path) -> None:
    base = base_policy()
    one, answers = policy(0.5, base), [solution(0), solution(1)]
    two = policy(0.6, one)
    rows = [Made(s, "i1:sample", 1, i) for i, s in enumerate(answers)]
    rows += [Made(one, "i1:sft", 1, 0, (base.id, answers[0].id)), Made(verdict(base, one, True), "i1:gate", 1, 0)]
    rows += [Made(two, "i1:sft", 2, 0, (one.id, answers[1].id)), Made(verdict(one, two, True), "i1:gate", 2, 0)]
    r = written(tmp_path, rows, result={"base": base.id, "final": two.id})
    assert [(u.policy, u.solutions) for u in r.line()] == [(two.id, ("i1:s1",)), (one.id, ("i1:s0",))]
    assert [u.policy for u in r.line(one.id)] == [one.id]
    assert r.line(base.id) == []


def test_a_control_that_came_out_as_the_result_itself_takes_nothing_away_from_it(tmp_path: Path) -> None:
    base = base_policy()
    one, answers = policy(0.5, base), [solution(0), solution(1)]
    rows = [Made(s, "i1:sample", 1, i) for i, s in enumerate(answers)]
    rows += [Made(one, "i1:sft", 1, 0, (base.id, answers[0].id)), Made(verdict(base, one, True), "i1:gate", 1, 0)]
    rows += [Made(one, "i1:sft", 3, 0, (base.id, answers[1].id))]  # the control: the same weights from other answers
    r = written(tmp_path, rows, result={"base": base.id, "final": one.id, "controls": {"unverified": one.id}})
    assert r.of(one.id) == ["final", "control: unverified"]
    assert [u.solutions for u in r.line()] == [("i1:s0",)]  # never the control's
    assert [u.policy for u in r.candidates] == [one.id]


def test_training_that_changed_nothing_made_no_policy_and_is_counted(tmp_path: Path) -> None:
    base, s = base_policy(), solution(0)
    r = written(tmp_path, [Made(s, "i1:sample", 1, 0), Made(base, "i1:sft", 1, 0, (base.id, s.id))])
    assert (r.base, r.result, r.updates, r.line()) == (base.id, base.id, {}, [])
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute("insert into steps values ('k', 0, 'update', 'i1:sft', 1, 1, 1, 0, 0)")
        raw.execute("insert into calls values ('c', 'k', 'i', 'finished', ?, null, 0, 0)", [json.dumps([base.id])])
    with opened(tmp_path) as ledger:
        assert unmoved(ledger, base.id) == 1


def test_what_was_refused_after_it_was_promoted_once_is_what_was_said_of_it_last(tmp_path: Path) -> None:
    base = base_policy()
    one = policy(0.5, base)
    rows = [Made(one, "i1:sft", 1, 0, (base.id,)), Made(verdict(base, one, False), "i1:gate", 1, 0)]
    assert written(tmp_path / "a", rows).result == base.id
    rows += [Made(verdict(base, one, True), "i1:gate", 2, 0)]
    assert written(tmp_path / "b", rows).result == one.id
