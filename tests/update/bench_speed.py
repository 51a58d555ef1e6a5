"""Measures training speed on a real model: ``python -m tests.update.bench_speed MODEL_FOLDER [ROUNDS]``. Not a test.

The variants take turns step by step on the same rows, so that other load on the machine falls on all of them.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instar.chat import ChatTokenizer
from instar.records import Message, Role
from instar.update.weights import loop
from instar.update.weights.batches import plan
from instar.update.weights.model import Learner, open_learner
from instar.update.weights.rows import Row
from instar.update.weights.shared_prefix import Layout, padded_layout, plant, tree_layout

SYSTEM = "Solve the problem. Write the result after 'Answer:'."
ANSWERS = ("Answer: #", "The result of the addition is #.\n\nAnswer: #", "#", "To solve it add the numbers. Answer: #")


def rows(chat: ChatTokenizer, folder: Path, n: int) -> list[Row]:
    """chain_sum as in the demo, two answers a question, in the manner of the small model."""
    import reasoning_gym
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    draw = random.Random(1)
    out = []
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}
    for item in reasoning_gym.create_dataset("chain_sum", size=n // 2, seed=7, **options):
        messages = [Message(role=Role.system, content=SYSTEM), Message(role=Role.user, content=item["question"])]
        prompt = chat.prompt_ids(messages)
        for text in draw.sample(ANSWERS, 2):
            answer = tokenizer.encode(text.replace("#", item["answer"]), add_special_tokens=False).ids
            out.append(Row((*prompt, *answer, chat.stop_ids[0]), len(prompt)))
    return out


def main(folder: Path, rounds: int) -> None:
    import torch

    data = rows(ChatTokenizer.load(folder), folder, 320)
    steps = plan(data, batch_size=16, epochs=1, seed=0)[:rounds]
    learner = open_learner(folder, None, 0)
    parameters = list(learner.parameters().values())
    print(f"{len(data)} rows, mean {statistics.mean(len(r.ids) for r in data):.1f} tokens, {len(steps)} steps of 16")
    optimisers = {
        "fused": torch.optim.AdamW(parameters, lr=1e-6, weight_decay=0.0, fused=True),
        "default": torch.optim.AdamW(parameters, lr=1e-6, weight_decay=0.0),
    }

    def padded(learner: Learner, batch: Sequence[Row]) -> list[Layout]:
        return [padded_layout(batch, learner.pad)]

    def trees(room: int) -> Callable[[Learner, Sequence[Row]], list[Layout]]:
        return lambda learner, batch: [tree_layout(plant(batch, room), learner.pad)]

    variants: dict[str, tuple[Any, str, bool, str]] = {
        "padded, bf16, default AdamW (as the prototype)": (padded, "sdpa", True, "default"),
        "padded, bf16, fused AdamW": (padded, "sdpa", True, "fused"),
        "padded, bf16, fused, eager attention": (padded, "eager", True, "fused"),
        "trees of 512, bf16, fused (SFT's default)": (trees(512), "sdpa", True, "fused"),
        "trees of 128, bf16, fused": (trees(128), "sdpa", True, "fused"),
        "trees of 512, bf16, fused, eager attention": (trees(512), "eager", True, "fused"),
        "padded, fp32, fused": (padded, "sdpa", False, "fused"),
        "trees of 512, fp32, fused": (trees(512), "sdpa", False, "fused"),
    }
    seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    original = loop.layouts
    for step in steps:
        batch = [data[i] for i in step]
        for name, (layouts, attention, bfloat16, optimiser) in variants.items():
            learner.model.set_attn_implementation(attention)
            loop.layouts = (
                layouts
                if attention == "sdpa"
                else lambda learner, batch, f=layouts: [added(layout) for layout in f(learner, batch)]
            )
            start = time.perf_counter()
            loop._gradients(learner, batch, bfloat16)
            middle = time.perf_counter()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimisers[optimiser].step()
            optimisers[optimiser].zero_grad(set_to_none=True)
            seconds[name].append((middle - start, time.perf_counter() - middle))
    loop.layouts = original
    count = statistics.mean(sum(len(data[i].ids) for i in s) for s in steps)
    fed = statistics.mean(sum(x.tokens for x in original(learner, [data[i] for i in s])) for s in steps)
    print(f"{count:.0f} tokens a step, of which trees feed {fed:.0f}. Medians:")
    for name, pairs in seconds.items():
        gradient, rest = (statistics.median(p[i] for p in pairs[1:]) for i in (0, 1))
        print(f"{name:50} gradient {gradient:.2f} s, update {rest:.2f} s, {count / (gradient + rest):.0f} tokens/s")


def added(layout: Layout) -> Layout:
    """Eager attention adds its mask."""
    import dataclasses

    import torch

    if layout.mask is None:
        return layout
    return dataclasses.replace(layout, mask=torch.zeros(layout.mask.shape).masked_fill(~layout.mask, -1e9))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6)
