"""Full fine-tuning of SmolLM2-135M, ours beside TRL's SFTTrainer: the same rows, batches, optimiser and clipping.

A reading is useful tokens/s: the tokens of the *rows* of a step (a prompt counts in each of its rows, whatever is fed)
by the median seconds of a step after the first. TRL runs at the best of the settings tried
(docs/log/2026-11-22-training-speed-2.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bench import machine, model
from bench.pairs import PairRow, Reading
from bench.peers import venvs
from bench.train_work import training
from bench.work import flops_per_token
from bench.worker import Worker

STEPS = 3
"""Optimiser steps of a reading; the first is not counted."""


def ours(**more: Any) -> Worker:
    """The loop of instar's SFT."""
    name = "instar SFT, bf16 where the processor has it" + (", activations recomputed" if more.get("recompute") else "")
    return Worker(name, "train_ours.py", lambda: {**folder(), **more}, fresh=bool(more.get("memory")))


def trl(at_once: int, *, memory: bool = False, recompute: bool = False) -> Worker:
    """TRL's SFTTrainer, rows grouped by length, ``at_once`` rows through the model at a time."""
    given = {
        "dtype": "bfloat16",
        "at_once": at_once,
        "memory": memory,
        "more": {"train_sampling_strategy": "group_by_length", "activation_checkpointing": recompute},
    }
    name = f"TRL 1.16 SFTTrainer, bf16, {at_once} rows at once" + (", activations recomputed" if recompute else "")
    return Worker(name, "peers/trl_sft.py", lambda: {**folder(), **given}, partial(venvs.ensure, "trl"), fresh=memory)


def folder() -> Mapping[str, Any]:
    """The setting that names the model; asked for when a side opens."""
    return {"folder": str(model.folder())}


def share(reading: Reading) -> float:
    """Part of the measured bfloat16 rate that useful tokens make up, at three times a token of generation (forward, and
    twice that backward). A shared prompt counts as often as it is useful, not as often as it is computed."""
    return reading.value * 3 * flops_per_token() / (machine.rates()["bfloat16"] * 1e9)


AT_ONCE = 16
THREE, ONE = "16 prompts x 3 answers a step", "16 prompts x 1 answer a step"
NOTHING = "Prompts without a system line, each asked in another manner: little but the answers' own prompt is shared."
MEMORY = "peak resident memory of full fine-tuning above the interpreter with its libraries"
ROWS = [
    PairRow(
        "train_3_answers_vs_trl", f"training, {THREE}", 3.0, "useful tokens/s",
        ours(), trl(AT_ONCE), training(16, 3, STEPS), pair_minutes=1.0, share=share,
    ),
    PairRow(
        "train_1_answer_vs_trl", f"training, {ONE}", 1.6, "useful tokens/s",
        ours(), trl(AT_ONCE), training(16, 1, STEPS), pair_minutes=0.5, share=share,
    ),
    PairRow(
        "train_memory_vs_trl", f"{MEMORY}, {THREE}", 0.7, "MB",
        ours(memory=True), trl(AT_ONCE, memory=True), training(16, 3, 2),
        pair_minutes=1.2, at_least=False, warm_up=False,
    ),
    PairRow(
        "train_memory_recomputed_vs_trl", f"{MEMORY}, {THREE}, both recomputing activations", None, "MB",
        ours(memory=True, recompute=True), trl(AT_ONCE, memory=True, recompute=True), training(16, 3, 2),
        pair_minutes=1.4, at_least=False, warm_up=False,
    ),
    PairRow(
        "train_3_answers_unlike_vs_trl", f"training, {THREE}, unlike prompts", None, "useful tokens/s",
        ours(), trl(AT_ONCE), training(16, 3, STEPS, alike=False), pair_minutes=1.0, note=NOTHING,
    ),
    PairRow(
        "train_1_answer_unlike_vs_trl", f"training, {ONE}, unlike prompts", None, "useful tokens/s",
        ours(), trl(AT_ONCE), training(16, 1, STEPS, alike=False), pair_minutes=0.5, note=NOTHING,
    ),
]  # fmt: skip
