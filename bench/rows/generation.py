"""Generation: 48 new tokens to each prompt, ours beside transformers, vLLM and llama.cpp.

Each peer runs at the best of the settings tried (docs/log/2026-11-22-bench.md). Two ratios a peer: ours at the fastest
precision whose exam score stays within a point of f32, and both at one precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench import machine, model
from bench.engine import chosen
from bench.pairs import PairRow, Reading
from bench.peers import venvs
from bench.work import flops_per_token, generation
from bench.worker import Worker

FASTEST = "bf16"
RATE = {"f32": "float32", "bf16": "bfloat16", "int8": "int8"}


def ours(precision: str) -> Worker:
    """The engine that instar takes for this model here."""
    return Worker(f"instar, {chosen()} {precision}", "ours.py", lambda: {**folder(), "precision": precision})


def transformers(dtype: str, batch: int) -> Worker:
    """transformers' generate, in our own environment."""
    settings = {"dtype": dtype, "batch": batch}
    name = f"transformers generate, {dtype}, batch {batch}"
    return Worker(name, "peers/transformers_generate.py", lambda: {**folder(), **settings})


def vllm(dtype: str) -> Worker:
    """vLLM for CPUs."""
    settings = {"dtype": dtype}
    name = f"vLLM 0.32.0 on CPU, {dtype}"
    return Worker(name, "peers/vllm_offline.py", lambda: {**folder(), **settings}, partial(venvs.ensure, "vllm"))


def llamacpp(kind: str, slots: int) -> Worker:
    """llama.cpp's server."""
    name = f"llama.cpp server (xllamacpp), {kind}, {slots} slots"
    script = "peers/llamacpp_server.py"
    return Worker(
        name, script, lambda: {"gguf": str(model.gguf(kind)), "slots": slots}, partial(venvs.ensure, "llamacpp")
    )


def folder() -> Mapping[str, Any]:
    """The setting that names the model; asked for when a side opens."""
    return {"folder": str(model.folder())}


def share(precision: str) -> Callable[[Reading], float]:
    """Part of the measured matrix-product rate that the *generated* tokens alone make up; what is spent on reading
    prompts is not counted, so it is a lower bound."""
    return lambda r: r.value * flops_per_token() / (machine.rates()[RATE[precision]] * 1e9)


def row(key: str, target: float | None, mine: str, theirs: Worker, size: tuple[int, int], **more: Any) -> PairRow:
    """A generation row."""
    prompts, samples = size
    title = f"{prompts} prompts x {samples} samples x 48 tokens" if samples > 1 else f"{prompts} prompts x 48 tokens"
    work = generation(prompts, samples)
    return PairRow(key, title, target, "tokens/s", ours(mine), theirs, work, share=share(mine), **more)


NO_AVX512 = "The llama.cpp wheel is built for AVX2: it uses neither AVX-512 nor AMX."
ROWS = [
    row("generate_128_vs_transformers", 3.0, FASTEST, transformers("bfloat16", 128), (128, 1), pair_minutes=0.5),
    row("generate_32x8_vs_transformers", 4.5, FASTEST, transformers("bfloat16", 128), (32, 8), pair_minutes=0.9),
    row("generate_32x8_vs_vllm", 4.0, FASTEST, vllm("bfloat16"), (32, 8), start_minutes=3.5, pair_minutes=0.5),
    row("generate_32x8_vs_llamacpp", 4.0, FASTEST, llamacpp("Q8_0", 32), (32, 8), pair_minutes=1.4, note=NO_AVX512),
    row("generate_32x8_equal_precision", 2.0, "f32", transformers("float32", 256), (32, 8), pair_minutes=1.4),
    row("generate_32x8_vs_llamacpp_equal_precision", None, "f32", llamacpp("F16", 32), (32, 8), note=NO_AVX512),
    row("generate_32x8_vs_vllm_equal_precision", None, "f32", vllm("float32"), (32, 8), start_minutes=3.5),
]
