"""The work of the generation rows: prompts like the demo's, for every pair others, the same for both sides."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from bench import model

SYSTEM = "Solve the problem. Write the result after 'Answer:'."
TOKENS = 48
SAMPLING = {"temperature": 0.7, "top_k": 40, "top_p": 1.0}
"""Those of a run (``Sampling``'s defaults)."""


def generation(prompts: int, samples: int) -> Callable[[int], Mapping[str, Any]]:
    """Pair -> work: ``prompts`` different prompts, ``samples`` continuations each, exactly TOKENS tokens long.

    Prompts of two pairs differ, or a prefix cache would have read them all before.
    """

    def work(pair: int) -> Mapping[str, Any]:
        draw = random.Random(1000 + pair)
        sums = draw.sample([(a, b) for a in range(1, 100) for b in range(1, 100)], prompts)
        asked = [f"State the final answer to the following arithmetic problem: {a} + {b} =" for a, b in sums]
        return {
            "messages": [[["system", SYSTEM], ["user", text]] for text in asked],
            "ids": [model.prompt_ids(SYSTEM, text) for text in asked],
            "samples": samples,
            "tokens": TOKENS,
            "seed": 7919 * (pair + 2),
            **SAMPLING,
        }

    return work


def flops_per_token(context: int = 78) -> float:
    """Multiplications and additions of one token of SmolLM2-135M: two for each weight of a product (the embedding
    counts once, as the head), and attention over ``context`` positions (a prompt of 54 and half of 48)."""
    c = model.config()
    hidden, inner, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
    heads, kv, size = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    block = hidden * size * (2 * heads + 2 * kv) + 3 * hidden * inner
    return float(2 * (layers * block + c["vocab_size"] * hidden) + layers * 4 * heads * size * context)
