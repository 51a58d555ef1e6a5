"""Which artefacts a record needs: by its fields, however deep, and for every kind of record."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import BaseModel

from instar.records import KINDS, Message, Plant, Policy, Record, Role, Solution, Weights, Worth
from instar.store.door import open_ledger
from instar.store.ledger import Made
from instar.store.reach import TEXTS, holds_weights, reach, reach_of, reaching
from instar.store.verify import verify
from tests.laws.test_records import EXAMPLES


def digest(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()


def weights(of: str) -> Weights:
    return Weights(place="artefact", digest=digest(of), name=of)


class Duel(Record):
    """A record of tomorrow, which names weights in every way that a field can."""

    kind: typing.ClassVar[str] = "duel"

    prize: Weights
    reserve: Weights | None = None
    rounds: tuple[Weights, ...] = ()
    by_role: Mapping[str, Weights] = {}
    opponent: Policy | None = None
    sides: tuple[tuple[str, Policy], ...] = ()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_record_of_each_kind_reaches_what_its_fields_name_and_no_more(kind: str) -> None:
    record = EXAMPLES[kind]
    assert reach(record) == frozenset()  # the example's weights are scripted: they lie nowhere
    assert (kind in reaching()) == (kind == "policy")


def test_a_policy_reaches_its_weights_its_adapters_and_its_memory() -> None:
    policy = Policy(
        weights=weights("w"), adapters={"judge": digest("j"), "partner": digest("p")}, memory=f"table@{digest('m')}"
    )
    assert reach(policy) == {digest(x) for x in "wjpm"}
    assert reach(policy.model_copy(update={"memory": digest("m")})) == {digest(x) for x in "wjpm"}


def test_a_digest_that_a_text_mentions_is_not_needed() -> None:
    said = Message(role=Role.user, content=f"what is {digest('x')}?")
    policy = Policy(weights=weights("w"), system=f"Say {digest('y')}.", few_shots=(said,))
    assert reach(policy) == {digest("w")}
    solution = EXAMPLES["solution"]
    assert isinstance(solution, Solution)
    shown = solution.model_copy(update={"turns": (solution.turns[0].model_copy(update={"text": digest("x")}),)})
    assert reach(Plant(worth=Worth.good, solution=shown)) == frozenset()


def test_a_digest_is_found_wherever_weights_and_policies_can_stand() -> None:
    whole = Duel(
        prize=weights("a"), reserve=weights("b"), rounds=(weights("c"), weights("d")), by_role={"judge": weights("e")},
        opponent=Policy(weights=weights("f"), adapters={"judge": digest("g")}),
        sides=(("left", Policy(weights=weights("h"), memory=digest("i"))),),
    )  # fmt: skip
    assert reach(whole) == {digest(x) for x in "abcdefghi"}
    assert reach(Duel(prize=Weights(place="scripted", digest=digest("a"), skills={}))) == frozenset()


class Deep(BaseModel):
    """Weights two models down, behind a list of unions."""

    parts: list[Mapping[str, Duel | str] | None]


class Circle(BaseModel):
    """A type that holds itself."""

    next: Circle | None = None
    text: str = ""


@pytest.mark.parametrize(
    ("annotation", "holds"),
    [
        (Weights, True), (Weights | None, True), (Mapping[str, tuple[Weights, ...]], True), (Policy, True),
        (Duel, True), (Deep, True), (Circle, False), (str, False), (Mapping[str, typing.Any], False),
    ],
)  # fmt: skip
def test_a_kind_of_record_that_can_name_an_artefact_is_known_by_its_types(annotation: object, holds: bool) -> None:
    assert holds_weights(annotation) is holds


def test_law_every_field_that_is_called_as_if_it_named_an_artefact_is_known_to_reach() -> None:
    models: set[type[BaseModel]] = set()
    left: list[object] = list(KINDS.values())
    while left:
        at = left.pop()
        if isinstance(at, type) and issubclass(at, BaseModel) and at not in models:
            models.add(at)
            left += [f.annotation for f in at.model_fields.values()]
        left += typing.get_args(at)
    words = ("digest", "adapter", "memory", "artefact", "segment", "embedder", "reference")
    stored = {(m, f) for m in models for f, field in m.model_fields.items() if not field.exclude}
    called = {(m, f) for m, f in stored if any(w in f for w in words)}
    known = {(m, f) for m, fields in TEXTS.items() for f in fields} | {(Weights, "digest")}
    assert called == known, "enter a field that names an artefact in store.reach.TEXTS, or let it be Weights"


def test_verify_and_the_ledger_tell_what_is_needed_and_what_is_no_digest(tmp_path: Path) -> None:
    good, bad = (Policy(weights=Weights(place="artefact", digest=d)).identified() for d in (digest("w"), "gone"))
    with closing(open_ledger(tmp_path / "ledger.db", "write")) as ledger:
        ledger.add_records([Made(good, "op", 0, 0)])
        assert reach_of(ledger, "policy") == {good.id: {digest("w")}}
        assert verify(ledger) == []
        ledger.add_records([Made(bad, "op", 0, 1)])
        assert verify(ledger) == [f"the policy {bad.id} needs the artefact 'gone', which is no digest"]
