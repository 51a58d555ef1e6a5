"""Was what was trained on shown as it is learned? Of every trained turn the prompt is made again, and compared with
what the engine read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from instar.chat import ChatTokenizer
from instar.errors import ModelError, Redacted
from instar.records import OWN, Exchange, Learn, Policy, Solution, Turn
from instar.store.artefacts import Artefacts
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchanges
from instar.store.roles import roles_of

WHAT = ("checked", "differing", "plainly", "text_only", "not_known")
TOGETHER = 200


def rows_as_shown(ledger: Ledger, store: Artefacts) -> dict[str, int]:
    """The trained turns of all answers that updates learned, counted.

    ``checked``: its messages, made into tokens by the tokenizer of the weights that learned, were compared with what
    was read; of these ``differing``. Not compared are turns that are learned ``plainly``, on purpose under another
    prompt; those of engines that read text (``text_only``); and those of which it is ``not_known``: schema 1 did not
    keep it, it was redacted, or the weights, and their tokenizer with them, are not here any more.
    """
    counts = dict.fromkeys(WHAT, 0)
    policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
    for update in roles_of(ledger).updates.values():
        parent = policies.get(update.parent or "")
        chat = None if parent is None else _tokenizer(parent, store)
        learned = update.solutions + update.away
        for i in range(0, len(learned), TOGETHER):
            part = learned[i : i + TOGETHER]
            try:
                found = list(_of(ledger, part, chat))
            except Redacted:  # one by one: the others are as known as before
                found = [what for id in part for what in _alone(ledger, id, chat)]
            for what in found:
                counts[what] += 1
    return counts


def _alone(ledger: Ledger, id: str, chat: ChatTokenizer | None) -> list[str]:
    try:
        return list(_of(ledger, [id], chat))
    except Redacted:
        return ["not_known"]


def _of(ledger: Ledger, ids: Sequence[str], chat: ChatTokenizer | None) -> Iterator[str]:
    solutions = cast(list[Solution], ledger.records(ids=ids))
    turns = [t for s in solutions for t in s.turns if t.train and t.kind in OWN]
    asked = exchanges(ledger, list({t.said.exchange for t in turns if t.said is not None}))
    for turn in turns:
        yield from _what(turn, asked[turn.said.exchange] if turn.said is not None else None, chat)


def _what(turn: Turn, asked: Exchange | None, chat: ChatTokenizer | None) -> Iterator[str]:
    if turn.said is None or asked is None or asked.messages is None:
        yield "not_known"
    elif turn.said.learn is Learn.plainly:
        yield "plainly"
    elif asked.prompt is None:
        yield "text_only"
    elif chat is None:
        yield "not_known"
    else:
        yield "checked"
        if tuple(chat.prompt_ids(asked.messages)) != asked.prompt.ids:
            yield "differing"


def _tokenizer(policy: Policy, store: Artefacts) -> ChatTokenizer | None:
    """The tokenizer of a policy's weights; None where there is none, or none that can be read here."""
    digest = policy.weights.digest
    if policy.weights.place != "artefact" or not store.has(digest):
        return None
    try:
        # not ``open``, which hashes all weights: what a tokenizer gives is compared with what was read anyway
        return ChatTokenizer.load(store.place(digest))
    except ModelError:
        return None
