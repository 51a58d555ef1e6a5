"""What a call made, on its way into the ledger: each output with its id, and as the ledger will give it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

from instar.errors import StepFailed
from instar.legible import fit
from instar.records import Feedback, Learn, Learned, Mark, Record, Reply, Said, Solution, Turn, TurnKind, mint
from instar.store.ledger import Made

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Output:
    """What a call made: the record without its id, and what it was made from beside the call's own inputs."""

    record: Record
    inputs: tuple[str, ...]
    decides: tuple[str, ...] = ()
    """Records this one decides on: each gets a ``decided_by`` edge to it."""
    learned: tuple[Learned, ...] | None = None
    """Of a policy: what it learned. None: nobody said, which is not that it learned nothing."""


@dataclass(frozen=True)
class Rolled(Output):
    """What a call of a rollout made. Its id hangs on its own operator and its place among its like, and on no round:
    the rollout's name is among its inputs."""

    op: str = ""
    index: int = 0
    left: frozenset[int] = frozenset()
    """As ``Made.left``."""


def mint_all(outputs: Iterable[Output], op_id: str, round: int, *, first: int = 0) -> list[Made]:
    """Give every output its id: from its kind, its operator, its inputs, the round and its place among its like,
    counted from ``first``."""
    made: list[Made] = []
    for index, o in enumerate(outputs, start=first):
        record = o.record
        op, of, at = (o.op, 0, o.index) if isinstance(o, Rolled) else (op_id, round, index)
        if record.kind != "policy":
            id = mint(record.kind, op, o.inputs, of, at)
            record = record.model_copy(update={"id": id})
        left = o.left if isinstance(o, Rolled) else None
        made.append(Made(record, op, of, at, o.inputs, o.decides, o.learned, left))
    return made


def pointed(outputs: Sequence[Output], given: Sequence[Reply], *, plainly: bool) -> list[Output]:
    """The same, each turn of a solution with where it was said: one that does not know it, and reads word for word as a
    reply that this call was given, was said there. Of equal replies each is taken once, in order: they are equal.

    ``plainly``: what is trained on is learned under the plain prompt of its task, whatever it was shown.
    """
    taken: set[Said] = set()
    out = []
    for o in outputs:
        record = o.record
        if isinstance(record, Solution) and any(plainly or t.said is None for t in record.turns):
            turns = tuple(_pointed(t, given, taken, plainly) for t in record.turns)
            o = replace(o, record=record.model_copy(update={"turns": turns}))
        out.append(o)
    return out


def _pointed(turn: Turn, given: Sequence[Reply], taken: set[Said], plainly: bool) -> Turn:
    said = turn.said
    if said is None and turn.kind in (TurnKind.assistant, TurnKind.tool_call):
        like = (
            r.said for r in given
            if r.said is not None and r.said not in taken and r.text == turn.text
            and turn.token_ids in (None, r.token_ids)
        )  # fmt: skip
        said = next(like, None)
        if said is not None:
            taken.add(said)
    if said is not None and plainly and turn.train:
        said = said.model_copy(update={"learn": Learn.plainly})
    return turn if said is turn.said else turn.model_copy(update={"said": said})


def fitting(made: Sequence[Made]) -> list[Made]:
    """The same, each record as the ledger will give it back. Raises StepFailed for one that it cannot hold."""
    records = [fitted(m.record) for m in made]
    return [m if record is m.record else replace(m, record=record) for m, record in zip(made, records, strict=True)]


def fitted(record: R) -> R:
    """A record as the ledger will give it back. Feedback that cannot be kept is a check that failed: it says nothing of
    the answer. Raises StepFailed for any other."""
    try:
        return fit(record)
    except ValueError as e:
        why = str(e)
    if not isinstance(record, Feedback):
        raise StepFailed(f"it made a {record.kind} that cannot be stored: {why}.")
    sources = get_args(Feedback.model_fields["source"].annotation)
    return record.model_copy(
        update={
            "score": None, "mark": Mark.invalid, "answer": None, "evidence": {},
            "source": record.source if record.source in sources else "verifier",
            "comment": f"the checker's feedback cannot be stored: {why}",
        }
    )  # fmt: skip


def only(kind: type[R], records: Iterable[Record]) -> list[R]:
    """Of what calls made, the records of one kind, in order."""
    return [r for r in records if isinstance(r, kind)]
