"""What of an ask to score is checked before it is queued, and the sums that every engine makes alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.chat import ChatTokenizer
from instar.engines.scheduler.validation import not_numbers
from instar.errors import EngineError
from instar.records import Reply


def tokens_of(tokenizer: ChatTokenizer, replies: Sequence[Reply], prompt: int, vocab_size: int, context: int) -> (
    list[list[int]]
):  # fmt: skip
    """Each reply's tokens: its own ids; the text is tokenized only where it has none. Raises EngineError for a token
    without a row, and for a reply that does not fit behind a prompt of ``prompt`` tokens."""
    out: list[list[int]] = []
    for place, reply in enumerate(replies):
        ids = list(reply.token_ids) if reply.token_ids is not None else tokenizer.reply_ids(reply.text)
        wrong = [t for t in ids if not 0 <= t < vocab_size]
        if wrong:
            raise EngineError(
                f"Reply {place} holds the tokens {wrong[:5]}; the model has tokens 0 to {vocab_size - 1}.",
                "Score replies of a model with the same tokenizer.",
            )
        if prompt + len(ids) > context:
            raise EngineError(
                f"The prompt has {prompt} tokens and reply {place} has {len(ids)}: together {prompt + len(ids)}, but "
                f"the model's context is {context}.",
                "Score a shorter reply.",
            )
        out.append(ids)
    return out


def too_large(prompt: int, reply: int, cache_tokens: int, cache_gb: float) -> EngineError:
    """The error of a reply that the cache cannot hold."""
    return EngineError(
        f"A reply of {reply} tokens to a prompt of {prompt} needs {prompt + reply} cached tokens to be scored; "
        f"{cache_gb} GB hold {cache_tokens}.",
        "Raise engine_options.cache_gb.",
    )


def log_probability(logits: NDArray[np.float32], token: int) -> float:
    """Of one token under the softmax of one row of logits. Raises EngineError where they are not numbers."""
    top = logits.max()
    if not np.isfinite(top):
        raise not_numbers()
    # one row at a time: the sum must not depend on how many rows there are
    total: Any = np.exp(logits - top).sum(dtype=np.float64)
    return float(np.float64(logits[token]) - top - np.log(total))
