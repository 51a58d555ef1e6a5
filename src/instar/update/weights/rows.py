"""From experiences to training rows: the tokens of prompt and answer, and where the answer begins.

The prompt is what the policy itself would be shown (``policy.prompt``), so a model is trained on exactly the text it
will act on. One row a trained turn: earlier turns of the solution belong to the prompt of the later ones, but for
drafts and critiques: a corrected answer is learned as the answer to the task itself, not to its own first draft.
Whatever cannot become a row is refused with a reason and counted; nothing is cut short silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from instar.chat import ChatTokenizer
from instar.errors import DataError, ModelError
from instar.records import ASIDES, Experience, Finish, Message, Policy, Role, Turn, TurnKind

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


def rows_of(policy: Policy, data: Sequence[Experience], folder: Path, max_length: int) -> Rows:
    """The rows of these experiences for the model in ``folder``.

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
    for place, experience in enumerate(data):
        for prompt, answer in _turns(policy, experience, chat, encode):
            if not prompt or not answer or tuple(answer) == chat.stop_ids[:1]:
                refused["empty prompt or answer"] += 1
            elif len(prompt) + len(answer) > longest:
                refused[f"longer than {longest} tokens"] += 1
            else:
                kept.append(Row((*prompt, *answer), len(prompt)))
                source.append(place)
        if not any(_trained(t) for t in experience.solution.turns):
            refused["no turn may be trained on"] += 1
    if not kept:
        why = ", ".join(f"{n} x {reason}" for reason, n in sorted(refused.items()))
        raise DataError(
            f"There is nothing to train on: all of {len(data)} experiences were refused ({why}).",
            "Raise max_length, or mend the step that made these answers.",
        )
    return Rows(kept, dict(sorted(refused.items())), source)


def _trained(turn: Turn) -> bool:
    return turn.train and _ROLE[turn.kind] is Role.assistant


def _turns(
    policy: Policy, experience: Experience, chat: ChatTokenizer, encode: Callable[[str], list[int]]
) -> list[tuple[list[int], list[int]]]:
    """(prompt ids, answer ids) of every trained turn."""
    messages = list(policy.prompt(experience.task))
    turns = experience.solution.turns
    found: list[tuple[list[int], list[int]]] = []
    for i, turn in enumerate(turns):
        if turn.kind in ASIDES and not turn.train:
            continue
        if _trained(turn):
            cut = i == len(turns) - 1 and experience.solution.finish is Finish.length
            found.append((chat.prompt_ids(messages), _answer_ids(turn, cut, chat, encode)))
        messages.append(Message(role=_ROLE[turn.kind], content=turn.text))
    return found


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
