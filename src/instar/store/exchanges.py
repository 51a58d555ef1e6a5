"""An exchange on its way into the journal: its row, the messages that it adds, the prompt that it adds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from instar.records import Exchange, Message, Prompt, Role, canonical_json, hash_of

NOTHING = ""
"""The digest of no message: what comes before the first."""
PLAIN = ("key", "step", "call", "turn", "ask", "policy", "replies", "engine", "precision")
SHOWN = ("role", "sampling", "seed", "weights", "messages", "prompt")
"""What a row of the journal has in schema 2; in a row of schema 1 all of it is null."""


SHOWN_UP_TO = """
with recursive up(before, role, content, place) as (
  select before, role, content, 0 from messages where digest = :last
  union all select m.before, m.role, m.content, place + 1 from up join messages m on m.digest = up.before
  where place < 100000) -- no more: in a file that was changed it may go round for ever
select before, role, content from up order by place desc"""
"""What a model was shown up to a message, the first first."""


def messages_in(rows: Sequence[tuple[str, str, str]], last: str) -> tuple[Message, ...] | None:
    """The messages of the rows of ``SHOWN_UP_TO``; None where they are not all there, or not those of the digest."""
    before = NOTHING
    for came_before, role, content in rows:
        if came_before != before:
            return None
        before = message_digest(before, role, content)
    return tuple(_message(role, content) for _, role, content in rows) if before == last else None


def _message(role: str, content: str) -> Message:
    if role.startswith("{"):
        return Message(content=content, **json.loads(role))
    return Message(role=Role(role), content=content)


def _speaks(m: Message) -> str:
    """What stands in the column ``role``: who speaks; of a message that has to do with tools, all but its text."""
    return canonical_json(m.model_dump(mode="json", exclude={"content"})) if m.typed else m.role.value


def message_digest(before: str, role: str, content: str) -> str:
    """The digest of a message and of all that was shown before it."""
    return hash_of("shown", before, role, content)


def chain(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """The rows of these messages, each of which knows the one before it; the last stands for all of them."""
    before = NOTHING
    for m in messages:
        role = _speaks(m)
        digest = message_digest(before, role, m.content)
        yield {"digest": digest, "before": before, "role": role, "content": m.content}
        before = digest


def prompt_digest(reader: str, ids: Sequence[int]) -> str:
    """The digest of what an engine read."""
    return hash_of("prompt", reader, list(ids))


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """The row of a prompt."""
    digest = prompt_digest(prompt.reader, prompt.ids)
    return {"digest": digest, "reader": prompt.reader, "ids": canonical_json(list(prompt.ids))}


def ask_digest(row: Mapping[str, Any]) -> str:
    """What covers a row of the journal: all of it but times and counts, which follow from the replies. Of messages and
    prompt it covers the digests, as they do what they stand for. A row of schema 1 goes on being covered as it was."""
    plain = [row[k] for k in PLAIN]
    if row.get("role") is None:
        return hash_of("journalled", *plain)
    within = [] if row.get("branch") is None else [row["branch"]]  # in no branch: as before there were any
    return hash_of("exchange row", *plain, *(row[k] for k in SHOWN), *within)


def exchange_rows(
    e: Exchange, step: str, seconds: float
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The row of an exchange, those of its messages, that of its prompt (if it is known)."""
    messages = list(chain(e.messages or ()))
    prompts = [] if e.prompt is None else [prompt_row(e.prompt)]
    row = {
        "key": e.id, "step": step, "call": e.call, "turn": e.turn, "ask": e.ask, "policy": e.policy,
        "engine": e.engine, "precision": e.precision,
        "replies": canonical_json([r.model_dump(mode="json") for r in e.replies]),
        "prompt_tokens": e.replies[0].prompt_tokens, "tokens": sum(r.tokens for r in e.replies),
        "seconds": seconds, "at": time.time(),
        "role": e.role, "seed": e.seed, "weights": e.weights,
        "sampling": None if e.sampling is None else canonical_json(e.sampling.model_dump(mode="json")),
        "messages": None if e.messages is None else messages[-1]["digest"] if messages else NOTHING,
        "prompt": prompts[0]["digest"] if prompts else None, "branch": e.branch,
    }  # fmt: skip
    return {**row, "digest": ask_digest(row)}, messages, prompts
