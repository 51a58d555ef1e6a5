"""From experiences to training rows: the tokens of prompt and answer, and where the answer begins.

One row a trained turn. Its prompt is the one that it was sampled under, token for token (``as_asked``); or, of what a
corrector wrote (``plainly``), what the policy itself would be shown (``policy.prompt``): a corrected answer is learned
as the answer to the task itself, not to its own first draft. Of a turn whose model call is not known the prompt is made
anew: the policy's, and the turns before it. Whatever cannot become a row is refused with a reason and counted; nothing
is cut short silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from instar.chat import ChatTokenizer
from instar.errors import DataError, ModelError
from instar.records import (
    ASIDES,
    Exchange,
    Experience,
    Finish,
    Learn,
    Learned,
    Message,
    Polarity,
    Policy,
    Reply,
    Role,
    Turn,
    TurnKind,
)

_ROLE = {
    TurnKind.assistant: Role.assistant,
    TurnKind.tool_call: Role.assistant,
    TurnKind.tool_result: Role.user,
    TurnKind.partner: Role.user,
    TurnKind.draft: Role.assistant,
    TurnKind.critique: Role.assistant,
}


class Row(NamedTuple):
    """Token ids of prompt and answer together; the answer is ``ids[prompt:]``. Both are at least one token long."""

    ids: tuple[int, ...]
    prompt: int


class Rows(NamedTuple):
    """What can be trained on, in the order of the data, and how many turns were refused for which reason."""

    kept: list[Row]
    refused: dict[str, int]
    source: list[int]
    """For each row kept, the place in the data of the experience it is from."""
    turn: list[int]
    """For each row kept, the place of its turn in the solution."""


Exchanges = Callable[[Collection[str]], Mapping[str, Exchange]]
"""Model calls by their ids, as ``UpdateContext.exchanges`` gives them."""
TOGETHER = 256
"""Experiences whose model calls are looked up at a time: those of all would need the memory of all replies."""
NEGATIVE = "meant wrong: never trained toward"
NOT_ALONE = "learned plainly, and not the one trained turn of its solution"


def rows_of(
    policy: Policy, data: Sequence[Experience], folder: Path, max_length: int, exchanges: Exchanges = lambda ids: {}, *,
    negatives: bool = False, as_sampled: bool = False,
) -> Rows:  # fmt: skip
    """The rows of these experiences for the model in ``folder``. An answer that was meant wrong (a negative) becomes
    none, unless ``negatives``: for an update that trains away from it, and tells them apart by itself.

    A reply that was cut (after its call of a tool) ends in a stop token: a model is to stop there. ``as_sampled``: it
    does not, and ends in the token that holds its last character, for a policy gradient is of what the policy itself
    said.

    Raises DataError if none remains, with the count of each reason.
    """
    if not data:
        raise DataError(
            "There is nothing to train on: the update was handed no experience.",
            "Loosen the filters before it, sample more, or give easier tasks.",
        )
    chat = ChatTokenizer.load(folder)
    encode = _encoder(folder)
    longest = min(max_length, chat.context)
    kept: list[Row] = []
    refused: Counter[str] = Counter()
    source: list[int] = []
    at: list[int] = []
    asked: Mapping[str, Exchange] = {}
    for place, experience in enumerate(data):
        if place % TOGETHER == 0:
            asked = exchanges(_named(data[place : place + TOGETHER]))
        if experience.solution.polarity is Polarity.wrong and not negatives:
            refused[NEGATIVE] += 1
            continue
        if _plainly_beside_others(experience):
            refused[NOT_ALONE] += 1
            continue
        for turn, prompt, answer in _turns(policy, experience, chat, encode, asked, as_sampled):
            if not prompt or not answer or tuple(answer) == chat.stop_ids[:1]:
                refused["empty prompt or answer"] += 1
            elif len(prompt) + len(answer) > longest:
                refused[f"longer than {longest} tokens"] += 1
            else:
                kept.append(Row((*prompt, *answer), len(prompt)))
                source.append(place)
                at.append(turn)
        if not any(_trained(t) for t in experience.solution.turns):
            refused["no turn may be trained on"] += 1
    if not kept:
        why = ", ".join(f"{n} x {reason}" for reason, n in sorted(refused.items()))
        raise DataError(
            f"There is nothing to train on: all of {len(data)} experiences were refused ({why}).",
            "Raise max_length, or mend the step that made these answers.",
        )
    return Rows(kept, dict(sorted(refused.items())), source, at)


def learned_from(
    data: Sequence[Experience], rows: Rows, sign: Callable[[int, int], int] = lambda place, turn: 1
) -> list[Learned]:
    """The turns that are learned from these rows of the data; ``sign`` of the place of an experience in the data and of
    the turn in its solution: 1, -1, or 0 for one that is not learned."""
    out = []
    for place, turn in zip(rows.source, rows.turn, strict=True):
        solution = data[place].solution
        said = solution.turns[turn].said
        if way := sign(place, turn):
            out.append(Learned(solution.id, turn, Learn.as_asked if said is None else said.learn, way))
    return out


def _trained(turn: Turn) -> bool:
    return turn.train and _ROLE[turn.kind] is Role.assistant


def _named(data: Sequence[Experience]) -> list[str]:
    """The model calls in which what is learned as it was asked was said."""
    said = (t.said for e in data for t in e.solution.turns if _trained(t))
    return list(dict.fromkeys(s.exchange for s in said if s is not None and s.learn is Learn.as_asked))


def _plainly_beside_others(experience: Experience) -> bool:
    """Whether something is to be learned as the answer to the task, and is not all that is learned of this solution."""
    trained = [t.said for t in experience.solution.turns if _trained(t)]
    return len(trained) > 1 and any(said is not None and said.learn is Learn.plainly for said in trained)


def _turns(
    policy: Policy,
    experience: Experience,
    chat: ChatTokenizer,
    encode: Callable[[str], list[int]],
    exchanges: Mapping[str, Exchange],
    as_sampled: bool,
) -> list[tuple[int, list[int], list[int]]]:
    """(its place, prompt ids, answer ids) of every trained turn."""
    messages = list(policy.prompt(experience.task))
    turns = experience.solution.turns
    found: list[tuple[int, list[int], list[int]]] = []
    for i, turn in enumerate(turns):
        if turn.kind in ASIDES and not turn.train:
            continue
        if _trained(turn):
            cut = i == len(turns) - 1 and experience.solution.finish is Finish.length
            said = turn.said
            asked = None if said is None or said.learn is Learn.plainly else exchanges.get(said.exchange)
            prompt = None if asked is None else _prompt_ids(asked, chat)
            if said is None or asked is None or prompt is None:
                found.append((i, chat.prompt_ids(messages), _answer_ids(turn, cut, chat, encode)))
            else:
                reply = asked.replies[said.reply]
                if said.chars is None:
                    cut = cut or reply.finish is Finish.length
                elif as_sampled and (begun := _up_to(reply, turn.text, chat)):
                    found.append((i, prompt, list(begun)))
                    messages.append(Message(role=_ROLE[turn.kind], content=turn.text))
                    continue
                else:
                    turn = turn.model_copy(update={"token_ids": _beginning(reply, turn.text, chat)})
                    cut = cut or as_sampled
                found.append((i, prompt, _answer_ids(turn, cut, chat, encode)))
        messages.append(Message(role=_ROLE[turn.kind], content=turn.text))
    return found


def _prompt_ids(asked: Exchange, chat: ChatTokenizer) -> list[int] | None:
    """The prompt of a model call in the tokens of the model that learns: those that were read, where its tokenizer and
    template made them, else the same messages in its own; None where neither is known."""
    if asked.prompt is not None and asked.prompt.reader == chat.reader:
        return list(asked.prompt.ids)
    return None if asked.messages is None else chat.prompt_ids(asked.messages)


def _beginning(reply: Reply, text: str, chat: ChatTokenizer) -> tuple[int, ...] | None:
    """The first tokens of a reply, as far as they say this text and no more; None where no number of them does."""
    ids = reply.token_ids or ()
    if not all(0 <= i < chat.vocab_size for i in ids):
        return None
    return next((ids[:n] for n in range(1, len(ids) + 1) if chat.text(ids[:n]) == text), None)


def _up_to(reply: Reply, text: str, chat: ChatTokenizer) -> tuple[int, ...] | None:
    """The first tokens of a reply, with that which holds the last character of this text; None where they are not
    known."""
    ids = reply.token_ids or ()
    if not all(0 <= i < chat.vocab_size for i in ids):
        return None
    return next((ids[:n] for n in range(1, len(ids) + 1) if chat.text(ids[:n]).startswith(text)), None)


def _answer_ids(turn: Turn, cut: bool, chat: ChatTokenizer, encode: Callable[[str], list[int]]) -> list[int]:
    """The engine's own token ids where it gave them, else the text tokenised; then a stop token, unless the answer was
    cut off by its length limit: a model must not learn to stop in the middle."""
    ids = list(turn.token_ids or ())
    # ids of another tokenizer, or of a text edited since, would teach nonsense: they must say what the turn says
    known = all(0 <= i < chat.vocab_size for i in ids)
    if not ids or not known or chat.text(ids).strip() != turn.text.strip():
        ids = encode(turn.text)
    if not cut and (not ids or ids[-1] not in chat.stop_ids):
        ids.append(chat.stop_ids[0])
    return ids


def _encoder(folder: Path) -> Callable[[str], list[int]]:
    """Text to ids, made when first needed. A special token written out in the text stays ordinary text: an answer is
    model output, and must not smuggle in a turn."""
    made: list[Any] = []

    def encode(text: str) -> list[int]:
        if not made:
            try:
                from tokenizers import Tokenizer
            except ImportError as e:
                raise ModelError(
                    "The package tokenizers is needed to train.", "Install it: pip install 'instar[train]'."
                ) from e
            made.append(Tokenizer.from_file(str(folder / "tokenizer.json")))
            made[0].no_truncation()
            made[0].encode_special_tokens = True
        ids: list[int] = made[0].encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
        return ids

    return encode
