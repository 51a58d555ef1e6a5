"""The work of the training rows: chat rows of about 51 prompt tokens and 14 answer tokens, the same for both sides.

The prompts are like the demo's: one system line, a template of reasoning-gym's with two numbers in it. The answers are
made up in the small model's manner, not sampled: what is measured is arithmetic, not learning.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from bench import model

SYSTEM = "You add numbers. Think in short steps if you must. Write the result after 'Answer:'."
QUESTIONS = (
    "State the final answer to the following arithmetic problem: {a} + {b} =",
    "Calculate {a} + {b}.",
    "Solve {a} + {b} and respond with the result.",
)
ANSWERS = (
    "Answer: {c}",
    "The result of the addition is {c}.\n\nAnswer: {c}",
    "To solve it, add the two numbers. Answer: {c}",
    "First add the tens, then the ones.\nAnswer: {c}",
    "The sum of these two numbers is {c}, so Answer: {c}",
)
DIFFERENT = (
    "A farmer keeps {a} hens and buys {b} more on the market; tell me please how many hens walk about in his yard.",
    "If a train left {a} minutes ago and needs another {b} minutes, how long is its whole journey in minutes?",
    "My sister read {a} pages on Monday and {b} pages on Tuesday, so the pages she has read so far number what?",
    "Between them two shelves carry {a} red and {b} blue books: work out the number of books that I have to dust.",
)


def training(prompts: int, answers: int, steps: int, *, alike: bool = True) -> Callable[[int], Mapping[str, Any]]:
    """Pair -> work: ``steps`` batches of ``prompts`` prompts with ``answers`` answers each. ``alike=False`` leaves
    out the system line and asks each question in another manner: prompts share little but the template's first words.
    """

    def work(pair: int) -> Mapping[str, Any]:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(model.folder() / "tokenizer.json"))
        stop = tokenizer.token_to_id("<|im_end|>")
        draw = random.Random(500 + pair)
        sums = draw.sample([(a, b) for a in range(1, 100) for b in range(1, 100)], prompts * steps)
        rows = []
        for i, (a, b) in enumerate(sums):
            if alike:
                prompt = model.prompt_ids(SYSTEM, QUESTIONS[i % len(QUESTIONS)].format(a=a, b=b))
            else:
                opening = draw.choice(("Listen", "Well", "Please", "Now", "Say", "So"))
                text = f"{opening}: {DIFFERENT[i % 4].format(a=a, b=b)}"
                prompt = tokenizer.encode(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n").ids
            for answer in draw.sample(ANSWERS, answers):
                ids = tokenizer.encode(answer.format(c=a + b), add_special_tokens=False).ids
                rows.append({"ids": [*prompt, *ids, stop], "prompt": len(prompt)})
        return {"rows": rows, "batch": prompts * answers}

    return work
