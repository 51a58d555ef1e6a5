"""The model calls of a run, each as it was: read from the journal, whatever schema that is of.

A ledger of schema 1 kept of what was shown a hash alone. What can be made again from its records is given where that
hash confirms it, and is "not known" (None) where it does not: nothing here is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError

from instar.errors import StoreError
from instar.legible import storable, unwritten
from instar.records import Exchange, Message, Policy, Prompt, Reply, Sampling, Solution, Task
from instar.records.exchange import SELF, ask_hash, ask_key
from instar.store.exchanges import PLAIN, SHOWN, SHOWN_UP_TO, ask_digest, messages_in
from instar.store.ledger import Ledger
from instar.store.readers.lineage import kinds
from instar.store.rows import GONE_LIST

ROLES = (SELF, "judge")
"""Who was asked in ledgers of schema 1, which did not say it."""
_REPLIES = TypeAdapter(tuple[Reply, ...])
_BY = "select {columns} from json_each(:ids) i cross join journal j on j.{by} = i.value order by i.key, j.rowid"
_FIND = "select key from journal where key >= :low and key < :high order by key limit 20"
_ROLES = "select j.key, j.role from json_each(:ids) i cross join journal j on j.key = i.value where j.role is not null"
_PROMPT = "select reader, ids from prompts where digest = :digest"
_CALL = """
select c.item, c.outputs, o.fields from calls c join steps s on s.key = c.step left join ops o on o.id = s.op
where c.key = :call"""


class _Key(NamedTuple):
    key: str


class _Role(NamedTuple):
    key: str
    role: str


class _Call(NamedTuple):
    item: str
    outputs: str
    fields: str | None


def exchange(ledger: Ledger, id: str) -> Exchange:
    """The exchange with this id, the key of its ask. Raises StoreError as ``exchanges``."""
    return exchanges(ledger, [id])[id]


def exchanges(ledger: Ledger, ids: Collection[str]) -> dict[str, Exchange]:
    """These exchanges, by id. Raises StoreError for one that is not there, and for one that was changed."""
    found = {e.id: e for e in _read(ledger, "key", ids)}
    missing = [id for id in ids if id not in found]
    if missing:
        raise StoreError(
            f"the ledger {ledger.path} holds no model call {missing[0]}.",
            "Run `instar verify`: it says all that is missing.",
        )
    return found


def roles(ledger: Ledger, ids: Collection[str]) -> dict[str, str]:
    """In which role each of these was asked; one of which that is not known is missing."""
    if not ids or "role" not in ledger.columns("journal"):
        return {}
    return {r.key: r.role for r in ledger._select(_Role, _ROLES, ids=json.dumps(list(ids)))}


def of_call(ledger: Ledger, call: str) -> list[Exchange]:
    """The exchanges of one operator call, in the order they were stored."""
    return list(_read(ledger, "call", [call]))


def find(ledger: Ledger, prefix: str) -> list[str]:
    """The ids of model calls that begin so (with or without the scheme ``i1:``), at most 20."""
    like = prefix if ":" in prefix else f"i1:{prefix}"
    return [r.key for r in ledger._select(_Key, _FIND, low=like, high=f"{like}\uffff")]


def _read(ledger: Ledger, by: str, ids: Collection[str]) -> Iterator[Exchange]:
    there = ledger.columns("journal")
    names = (*PLAIN, "digest", *SHOWN, "branch")
    columns = ", ".join(f"j.{name}" if name in there else "null" for name in names)
    for values in list(ledger._stream(_BY.format(columns=columns, by=by), ids=list(ids))):
        row = dict(zip(names, values, strict=True))
        ledger.refuse_redacted(row["key"], row["replies"] == GONE_LIST)
        if row["digest"] is not None and row["digest"] != ask_digest(row):
            raise StoreError(f"the journalled replies to {row['key']} were changed.", "Run `instar verify`.")
        replies = _REPLIES.validate_json(row["replies"])
        more = _shown(ledger, row) if row["role"] is not None else _recovered(ledger, row, len(replies))
        plain = {k: row[k] for k in PLAIN if k not in ("key", "step", "replies")}
        yield Exchange(id=row["key"], replies=replies, branch=row["branch"], **plain, **more)


def _shown(ledger: Ledger, row: Mapping[str, Any]) -> dict[str, Any]:
    """What schema 2 keeps besides."""
    messages = None
    if row["messages"] is not None:
        rows = cast(list[tuple[str, str, str]], list(ledger._stream(SHOWN_UP_TO, last=row["messages"])))
        messages = messages_in(rows, row["messages"])
        if messages is None:
            for digest in (*(before for before, _, _ in rows[1:]), row["messages"]):
                ledger.refuse_redacted(digest)
            raise StoreError(f"what was shown in the model call {row['key']} is not all there.", "Run `instar verify`.")
    prompt = None
    if row["prompt"] is not None:
        found = list(ledger._stream(_PROMPT, digest=row["prompt"]))
        if not found:
            raise StoreError(f"the prompt of the model call {row['key']} is not there.", "Run `instar verify`.")
        ledger.refuse_redacted(row["prompt"], found[0][1] == GONE_LIST)
        prompt = Prompt(reader=found[0][0], ids=tuple(json.loads(found[0][1])))
    sampling = None if row["sampling"] is None else Sampling.model_validate_json(row["sampling"])
    return {
        "role": row["role"], "seed": row["seed"], "weights": row["weights"], "messages": messages,
        "sampling": sampling, "prompt": prompt,
    }  # fmt: skip


# --- schema 1 ---------------------------------------------------------------------------------------------------------


def _recovered(ledger: Ledger, row: Mapping[str, Any], n: int) -> dict[str, Any]:
    """What a row of schema 1 does not say and other records prove: its role, and the plain prompt of a task."""
    role = next((r for r in ROLES if ask_key(row["call"], row["turn"], r) == row["key"]), None)
    known: dict[str, Any] = {"role": role}
    calls = ledger._select(_Call, _CALL, call=row["call"])
    of = kinds(ledger, [row["policy"], *(c.item for c in calls)])
    if not calls or of.get(row["policy"]) != "policy" or of.get(calls[0].item) != "task":
        return known
    policy, task = ledger.records(ids=[row["policy"], calls[0].item])
    known["weights"] = cast(Policy, policy).weights.digest
    plain = cast(Policy, policy).prompt(cast(Task, task))
    for messages in (_as(plain, storable), _as(plain, unwritten)):  # as it is asked now, and as it once was
        for sampling in _samplings(ledger, calls[0]):
            if ask_hash(messages, n, sampling, row["policy"], row["precision"]) == row["ask"]:
                return {**known, "messages": messages, "sampling": sampling}
    return known


def _as(messages: Collection[Message], write: Any) -> tuple[Message, ...]:
    return tuple(m.model_copy(update={"content": write(m.content)}) for m in messages)


def _samplings(ledger: Ledger, call: _Call) -> list[Sampling]:
    """How a call may have sampled: as its answers say, or one of its operator's settings."""
    made = [id for id, kind in kinds(ledger, json.loads(call.outputs)).items() if kind == "solution"]
    found = [cast(Solution, s).sampling for s in ledger.records(ids=made)]
    found += _settings(json.loads(call.fields)) if call.fields else []
    return list(dict.fromkeys(found))


def _settings(fields: Any) -> list[Sampling]:
    if isinstance(fields, Mapping):
        if set(fields) == set(Sampling.model_fields):
            try:
                return [Sampling.model_validate(fields)]
            except ValidationError:
                return []
        return [s for v in fields.values() for s in _settings(v)]
    return [s for v in fields for s in _settings(v)] if isinstance(fields, list) else []
