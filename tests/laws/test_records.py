"""The laws of records and identities: what is frozen stays, equal content is found, and an id says what a thing is."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import pytest
from pydantic import BaseModel, Field, ValidationError

import instar.records as records
from instar.protocols import Filter, Op, identity
from instar.records import (
    KINDS,
    Alarm,
    Assessment,
    Check,
    Decision,
    Exam,
    Exchange,
    Experience,
    Feedback,
    Finish,
    Health,
    Interval,
    Likelihood,
    Likely,
    Mark,
    Message,
    Note,
    Objective,
    Outcome,
    Plant,
    Policy,
    Preference,
    Prompt,
    Record,
    Reply,
    Report,
    Result,
    Role,
    Sampling,
    Solution,
    Task,
    Trust,
    Turn,
    Verdict,
    Vitals,
    Weights,
    Worth,
    hash_of,
    mint,
)
from instar.records.pair import Why

EXAM = Exam(suite="sealed", solve="i1:s", judge="i1:j", engine="scripted", precision="exact", items="i1:x", n=2)
INTERVAL = Interval(value=0.5, low=0.1, high=0.9, n=2)
OUTCOME = Outcome(task="i1:t", ability="add", gold="4", marks=(Mark.right,), answers=("4",), tokens=(3,))
SKILLS = Weights(place="scripted", digest="i1:w", name="scripted", skills={"add": 0.3})

EXAMPLES: dict[str, Record] = {
    "task": Task(
        messages=(Message(role=Role.user, content="2+2?"),),
        ability="add",
        canonical="arith:2+2",
        source="jsonl/x",
        private={"answer": "4", "tests": [1, 2.5, None]},
    ),
    "solution": Solution(
        task="i1:t",
        turns=(Turn(text="Answer: 4", token_ids=(1, 2, 3)),),
        policy="i1:p",
        engine="scripted",
        precision="exact",
        sampling=Sampling(temperature=0.7, top_k=40),
        finish=Finish.stop,
        tokens=3,
    ),
    "feedback": Feedback(solution="i1:s", score=1.0, mark=Mark.right, source="verifier", answer="4"),
    "decision": Decision(item="i1:s", kept=False, reason="wrong: score 0"),
    "objective": Objective(ability="add", target=0.5, tasks=10, expires=2),
    "policy": Policy(weights=SKILLS, system="Be brief.", few_shots=(Message(role=Role.user, content="1+1?"),)),
    "exam": EXAM,
    "report": Report(policy="i1:p", exam=EXAM, outcomes=(OUTCOME,), metrics={"mean@1": INTERVAL}),
    "verdict": Verdict(
        incumbent="i1:a",
        candidate="i1:b",
        incumbent_report="i1:c",
        candidate_report="i1:d",
        promoted=False,
        checks=(Check(name="gain", passed=False, numbers={"low": -0.1, "p": None}, reason="below 0"),),
        reason="no gain",
    ),
    "health": Health(
        policy="i1:p",
        train=Vitals(n=8, score=0.5),
        abilities={"add": Vitals(n=8, score=0.5, vendi=0.9)},
        kept=4,
        alarms=(Alarm(name="length_drifting", raised=True, numbers={"length_mean_before": None}, reason="longer"),),
    ),
    "assessment": Assessment(
        verb="judge",
        op="i1:o",
        name="rubric",
        counts={"good": {"right": 3, "invalid": 1}},
        numbers={"precision": 1.0, "kappa": None},
        trusted=True,
        reason="kappa 1",
    ),
}
EXAMPLES["exchange"] = Exchange(
    call="i1:c",
    turn=0,
    ask="i1:a",
    policy="i1:p",
    engine="scripted",
    precision="exact",
    replies=(Reply(text="Answer: 4", finish=Finish.stop, policy="i1:p", engine="scripted", precision="exact"),),
    role="self",
    messages=(Message(role=Role.user, content="2+2?"),),
    sampling=Sampling(temperature=0.7),
    seed=7,
    weights="i1:w",
    prompt=Prompt(reader="i1:r", ids=(1, 2, 3)),
)
EXAMPLES["result"] = Result(
    policies={"base": "i1:p", "final": "i1:q"}, base={"sealed": "i1:r"}, final={"sealed": "i1:s"}, tokens=7, seconds=1.5
)
EXAMPLES["note"] = Note(text="My cat is called Miso.", made_from=("i1:t",), when=3.0, who="anna", trust=Trust.told)
EXAMPLES["preference"] = Preference(
    task="i1:t", chosen="i1:a", rejected="i1:b", why=Why.contrastive, reason="own right answer beside own wrong one"
)
EXAMPLES["likelihood"] = Likelihood(
    policy="i1:p", suite="train", engine="native", precision="f32", texts=(Likely(task="i1:t", tokens=3, nats=-1.5),)
)
EXAMPLES["plant"] = Plant(worth=Worth.bad, solution=cast(Solution, EXAMPLES["solution"]))
EVERY_KIND = pytest.mark.parametrize("record", EXAMPLES.values(), ids=EXAMPLES.keys())


def test_there_is_an_example_here_of_every_kind_of_record() -> None:
    assert {k: type(r) for k, r in EXAMPLES.items()} == KINDS
    concrete = {c for c in vars(records).values() if inspect.isclass(c) and issubclass(c, Record) and c is not Record}
    assert concrete == set(KINDS.values())


def test_every_value_in_the_records_module_is_frozen_and_knows_its_fields() -> None:
    models = [
        c for c in vars(records).values() if inspect.isclass(c) and issubclass(c, BaseModel) and c is not BaseModel
    ]
    assert Experience in models
    assert [c.__name__ for c in models if not c.model_config.get("frozen")] == []
    assert [c.__name__ for c in models if c.model_config.get("extra") != "forbid"] == []


@EVERY_KIND
def test_a_record_cannot_be_changed(record: Record) -> None:
    for field in type(record).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, field, getattr(record, field))


@EVERY_KIND
def test_a_record_refuses_a_field_it_does_not_know(record: Record) -> None:
    fields = json.loads(record.model_dump_json())
    with pytest.raises(ValidationError, match="colour"):
        type(record).model_validate({**fields, "colour": "red"})


@EVERY_KIND
def test_the_digest_leaves_the_id_out(record: Record) -> None:
    assert record.model_copy(update={"id": "i1:other"}).digest == record.digest
    assert "id" not in record.content()


@EVERY_KIND
def test_equal_content_read_back_from_the_ledger_has_an_equal_digest(record: Record) -> None:
    again = type(record).model_validate_json(record.model_dump_json())
    assert again == record
    assert again is not record
    assert again.digest == record.digest


@EVERY_KIND
def test_any_other_content_has_another_digest(record: Record) -> None:
    other: dict[type, Any] = {str: "other", int: 77, float: 0.123, bool: None}
    fields = {name: getattr(record, name) for name in type(record).model_fields}
    for name, field in type(record).model_fields.items():
        value = fields[name]
        if name != "id" and field.annotation in (str, int, float, bool):
            changed = {**fields, name: (not value) if isinstance(value, bool) else other[type(value)]}
            assert type(record)(**changed).digest != record.digest, name


def test_a_copy_with_other_content_does_not_keep_the_digest_of_the_first() -> None:
    decision = Decision(item="i1:s", kept=True, reason="right")
    before = decision.digest  # read before the copy: a cached digest must not travel with it
    assert decision.model_copy(update={"reason": "wrong"}).digest != before
    assert decision.model_copy().digest == before


def test_equal_content_of_different_kinds_has_different_digests() -> None:
    class Ant(Record):
        kind: ClassVar[str] = "ant"
        legs: int

    class Bee(Record):
        kind: ClassVar[str] = "bee"
        legs: int

    assert Ant(legs=6).content() == Bee(legs=6).content()
    assert Ant(legs=6).digest == Ant(legs=6, id="i1:x").digest
    assert Ant(legs=6).digest != Bee(legs=6).digest


def test_no_two_examples_share_a_digest() -> None:
    assert len({r.digest for r in EXAMPLES.values()}) == len(EXAMPLES)


def test_equal_samples_do_not_collide_on_their_ids() -> None:
    base: tuple[Any, ...] = ("solution", "i1:op", ["i1:t"], 0, 0)
    others = [
        ("feedback", "i1:op", ["i1:t"], 0, 0),
        ("solution", "i1:op2", ["i1:t"], 0, 0),
        ("solution", "i1:op", ["i1:u"], 0, 0),
        ("solution", "i1:op", ["i1:t", "i1:t"], 0, 0),
        ("solution", "i1:op", ["i1:t"], 1, 0),
        ("solution", "i1:op", ["i1:t"], 0, 1),
    ]
    assert mint(*base) == mint(*base)
    assert len({mint(*key) for key in [base, *others]}) == len(others) + 1


def test_a_hash_is_of_what_is_said_and_not_of_how_it_is_split() -> None:
    assert hash_of("a", "b", "c") != hash_of("a", "bc")
    assert hash_of("a", {"x": 1, "y": 2}) == hash_of("a", {"y": 2, "x": 1})
    with pytest.raises(ValueError, match="Out of range"):
        hash_of("a", float("nan"))


# --- operators --------------------------------------------------------------------------------------------------------


class Above(Filter):
    """Keeps what is above."""

    name = "law_above"
    least: float = 1.0

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return []


class Below(Filter):
    """Keeps what is below, and has the same fields as Above."""

    name = "law_below"
    least: float = 1.0

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return []


class Both(Filter):
    """Holds filters in every way that a config can."""

    name = "law_both"
    first: Filter
    rest: tuple[Filter, ...] = ()
    by_name: Mapping[str, Filter] = Field(default_factory=dict)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return []


def test_nested_operators_with_equal_fields_but_different_types_hash_differently() -> None:
    assert Above().model_dump() == Below().model_dump()
    assert Above().op_id != Below().op_id
    assert Both(first=Above()).op_id != Both(first=Below()).op_id
    assert Both(first=Above(), rest=(Above(),)).op_id != Both(first=Above(), rest=(Below(),)).op_id
    assert Both(first=Above(), by_name={"x": Above()}).op_id != Both(first=Above(), by_name={"x": Below()}).op_id
    assert Both(first=Above()).op_id == Both(first=Above()).op_id
    assert identity(Both(first=Below()))["first"] == {"op": "law_below", "version": 1, "least": 1.0}


def test_a_nested_operators_settings_are_part_of_the_outer_id() -> None:
    assert Both(first=Above()).op_id != Both(first=Above(least=0.5)).op_id


def moved(module: str, version: int = 1) -> Op:
    """The same operator as it would be if its file lay elsewhere under another class name."""
    space = {
        "__module__": module,
        "__qualname__": f"Class_{module}",
        "name": "law_moved",
        "version": version,
        "__annotations__": {"least": float, "version": ClassVar[int], "name": ClassVar[str]},
        "least": 1.0,
        "__call__": lambda self, items: [],
    }
    cls: type[Op] = types.new_class(f"Class_{module}", (Filter,), exec_body=lambda ns: ns.update(space))
    return cls()


def test_an_operators_id_survives_a_move_of_its_file_and_changes_with_its_version() -> None:
    here, there = moved("here"), moved("there")
    assert type(here).__module__ != type(there).__module__
    assert type(here).__qualname__ != type(there).__qualname__
    assert here.op_id == there.op_id
    assert here.op_id != moved("here", version=2).op_id


def test_an_operator_is_frozen_and_refuses_a_setting_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Above().least = 0.5  # type: ignore[misc]
    with pytest.raises(ValidationError, match="leest"):
        Above(leest=0.5)  # type: ignore[call-arg]


def test_the_source_digest_covers_the_operators_inside() -> None:
    assert Both(first=Above()).source_digest() == Both(first=Above()).source_digest()
    assert Both(first=Above()).source_digest() != Both(first=Below()).source_digest()


# --- policies ---------------------------------------------------------------------------------------------------------


def policy(
    digest: str = "i1:w", place: Literal["artefact", "scripted"] = "artefact", name: str = "a", **more: Any
) -> str:
    return Policy(weights=Weights(place=place, digest=digest, name=name), **more).identified().id


@pytest.mark.parametrize(
    "same",
    [
        {"parent": "i1:p"},
        {"made_by": "sft"},
        {"name": "another name"},
        {"place": "scripted"},
        {"id": "i1:stale"},
    ],
)
def test_a_policys_id_ignores_its_history_and_its_names(same: dict[str, Any]) -> None:
    assert policy(**same) == policy()


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "i1:v"},
        {"system": "Be brief."},
        {"system": ""},
        {"memory": "table@tag"},
        {"adapters": {"judge": "i1:a"}},
        {"few_shots": (Message(role=Role.user, content="1+1?"),)},
    ],
)
def test_a_policys_id_changes_with_what_it_is(other: dict[str, Any]) -> None:
    assert policy(**other) != policy()


def test_identifying_a_policy_twice_changes_nothing() -> None:
    once = Policy(weights=SKILLS, system="x").identified()
    assert once.identified() == once
    assert once.id.startswith("i1:")
