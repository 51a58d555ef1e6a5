"""How fast ``bench.gpu``'s models train and sample, in how much memory, beside plain transformers and TRL."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.gpu_model import Store, task
from bench.train_ours import Bench as Notes
from instar.engines.hf.engine import TransformersEngine
from instar.records import Policy, Sampling, Weights
from instar.update.weights.layout.rows import Row
from instar.update.weights.trainer.hardware import AT_ONCE_ON_A_GPU
from instar.update.weights.trainer.loop import Settings, train
from instar.update.weights.trainer.model import Lora, TrainableModel, open_trainable


def training(folder: Path, device: str, tiny: bool, *, large: bool = False) -> dict[str, Any]:
    """Tokens a second of SFT, counted as rows have them (a token that several rows share counts in each), and peak
    memory: rows that share nothing and rows that share their prompts, laid out as trees and padded; then peers."""
    batch, length, steps = (4, 24, 3) if tiny else (32, 256, 6) if large else (64, 256, 8)
    alone, shared = _rows(batch * steps, length, 1), _rows(batch * steps, length, 4)
    found = {
        "rows_a_step": batch, "tokens_a_row": length, "steps": steps,
        "ours padded, rows that share nothing": _tried(lambda: _ours(folder, device, alone, batch)),
        "ours padded, 4 answers a prompt": _tried(lambda: _ours(folder, device, shared, batch)),
        "ours padded, all of a step at once": _tried(
            lambda: _ours(folder, device, alone, batch, at_once=batch * length)
        ),
        "ours as trees, rows that share nothing": _tried(lambda: _ours(folder, device, alone, batch, trees=True)),
        "ours as trees, 4 answers a prompt": _tried(lambda: _ours(folder, device, shared, batch, trees=True)),
        "ours recomputed, rows that share nothing": _tried(lambda: _ours(folder, device, alone, batch, recompute=True)),
        "transformers, padded rows, autocast": _tried(lambda: _plain(folder, device, alone, batch)),
        "TRL SFTTrainer bf16, rows that share nothing": _tried(lambda: _trl(folder, device, alone, batch)),
    }  # fmt: skip
    if large or tiny:
        found["ours, LoRA, rows that share nothing"] = _tried(
            lambda: _ours(folder, device, alone, batch, lora=Lora(target_modules=("q_proj", "v_proj")))
        )
    return found


def _rows(count: int, length: int, answers: int) -> list[Row]:
    """Rows of random tokens: half prompt, half answer; ``answers`` neighbours have one prompt."""
    rng = random.Random(answers)
    rows: list[Row] = []
    for _ in range(count // answers):
        prompt = [rng.randrange(3, 49152) for _ in range(length // 2)]
        for _ in range(answers):
            rows.append(Row((*prompt, *(rng.randrange(3, 49152) for _ in range(length - length // 2))), length // 2))
    return rows


def _ours(
    folder: Path, device: str, rows: Sequence[Row], batch: int, *, trees: bool = False, recompute: bool = False,
    lora: Lora | None = None, at_once: int = AT_ONCE_ON_A_GPU,
) -> dict[str, Any]:  # fmt: skip
    _begin(device)
    trainable: TrainableModel = open_trainable(
        folder, lora, 0, gradient_checkpointing=recompute, device=device
    )._replace(trees=trees)
    steps = [list(range(i, i + batch)) for i in range(0, len(rows), batch)]
    asked = Settings(
        learning_rate=1e-6, warmup=0.0, max_grad_norm=1.0, weight_decay=0.0, bfloat16=True, seed=0, belongs="",
        checkpoint_seconds=1e9, checkpoint_steps=None, max_tokens_per_microbatch=at_once,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        notes = Notes(Path(scratch))
        told = train(trainable, rows, steps, asked, notes, threading.Event())  # type: ignore[arg-type]  # of a shop, only what training asks for
    seconds = [b - a for a, b in pairwise(notes.ends)]
    tokens = sum(len(r.ids) for r in rows) / len(steps)
    return {**_rate(tokens, seconds, device), "fed": told["tokens_fed"], "last_loss": told["losses"][-1]}


def _plain(folder: Path, device: str, rows: Sequence[Row], batch: int) -> dict[str, Any]:
    """What anybody writes: a float32 model, autocast, its own loss over padded rows, fused AdamW, clipped."""
    import torch
    from transformers import AutoModelForCausalLM

    _begin(device)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0, fused=True)
    ends = []
    for at in range(0, len(rows), batch):
        ids = torch.tensor([r.ids for r in rows[at : at + batch]], device=device)
        labels = ids.clone()
        labels[:, : rows[at].prompt] = -100
        with torch.autocast(device, torch.bfloat16):
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        float(loss.detach())
        _wait(device)
        ends.append(time.perf_counter())
    seconds = [b - a for a, b in pairwise(ends)]
    return {**_rate(sum(len(r.ids) for r in rows) / len(ends), seconds, device), "last_loss": float(loss.detach())}


def _trl(folder: Path, device: str, rows: Sequence[Row], batch: int) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    _begin(device)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_step_end(self, *_: Any, **__: Any) -> None:
            _wait(device)
            ends.append(time.perf_counter())

    data = [{"input_ids": list(r.ids), "labels": [-100] * r.prompt + list(r.ids[r.prompt :])} for r in rows]
    with tempfile.TemporaryDirectory() as out:
        config = SFTConfig(
            output_dir=out, per_device_train_batch_size=batch, num_train_epochs=1, learning_rate=1e-6, weight_decay=0.0,
            max_grad_norm=1.0, optim="adamw_torch_fused", use_cpu=device == "cpu", bf16=True, save_strategy="no",
            report_to=[], logging_steps=10**6, disable_tqdm=True, dataset_kwargs={"skip_prepare_dataset": True},
            gradient_checkpointing=False, activation_checkpointing=False,
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(folder)
        SFTTrainer(
            model=model, args=config, train_dataset=Dataset.from_list(data), processing_class=tokenizer,
            callbacks=[Clock()],
        ).train()  # fmt: skip
    seconds = [b - a for a, b in pairwise(ends)]
    return _rate(sum(len(r.ids) for r in rows) / len(ends), seconds, device)


def sampling(folder: Path, device: str, tiny: bool, *, large: bool = False) -> dict[str, Any]:
    """Tokens a second of the engine transformers, in bf16 and f32, and of ``generate`` on the same prompts."""
    prompts, n, most = (4, 2, 6) if tiny else (64, 8, 64)
    found = {
        "prompts": prompts, "samples": n, "max_tokens": most,
        "ours bf16": _tried(lambda: _asked(folder, device, "bf16", prompts, n, most)),
        "transformers generate bf16": _tried(lambda: _generate(folder, device, prompts, n, most)),
    }  # fmt: skip
    if not large:
        found["ours f32"] = _tried(lambda: _asked(folder, device, "f32", prompts, n, most))
        found["ours bf16, 64 rows"] = _tried(lambda: _asked(folder, device, "bf16", prompts, n, most, rows=64))
    return found


def _asked(
    folder: Path, device: str, precision: str, prompts: int, n: int, most: int, rows: int | None = None
) -> dict[str, Any]:
    _begin(device)
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place))
        store.lent["base"] = folder
        engine = TransformersEngine(store, device=device, **({} if rows is None else {"rows": rows}))
        policy = Policy(weights=Weights(place="artefact", digest="base", name="random"), system="Add.").identified()
        sampling = Sampling(temperature=1.0, max_tokens=most)

        async def ask(seed: int, count: int) -> list[tuple[tuple[int, ...], ...]]:
            asked = [
                engine.ask(policy, policy.prompt(task(i)), n=n, sampling=sampling, seed=seed + i, precision=precision)
                for i in range(count)
            ]
            return [tuple(r.token_ids or () for r in replies) for replies in await asyncio.gather(*asked)]

        at = time.perf_counter()
        asyncio.run(ask(900, 2))  # loads, and compares with the fingerprint
        load = time.perf_counter() - at
        rates, said = [], []
        for _ in range(2):
            at = time.perf_counter()
            said.append(asyncio.run(ask(0, prompts)))
            tokens = sum(len(r) for replies in said[-1] for r in replies)
            rates.append(tokens / (time.perf_counter() - at))
        same = sum(a == b for x, y in zip(*said, strict=True) for a, b in zip(x, y, strict=True))
        engine.close()
    return {"tokens_per_s": max(rates), "each": rates, "tokens": tokens, "load_s": load, "peak_gb": _peak(device),
            "said_again": f"{same} of {prompts * n}"}  # fmt: skip


def _generate(folder: Path, device: str, prompts: int, n: int, most: int) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    from instar.chat import ChatTokenizer

    _begin(device)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device)
    chat = ChatTokenizer.load(folder)
    rows = [chat.prompt_ids(task(i).messages) for i in range(prompts)]
    width = max(map(len, rows))
    ids = torch.tensor([[2] * (width - len(r)) + r for r in rows], device=device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
    rates = []
    for _ in range(2):
        _wait(device)
        at = time.perf_counter()
        out = model.generate(
            input_ids=ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            num_return_sequences=n, max_new_tokens=most, pad_token_id=0,
        )  # fmt: skip
        _wait(device)
        tokens = int((out[:, width:] != 0).sum())
        rates.append(tokens / (time.perf_counter() - at))
    return {"tokens_per_s": max(rates), "each": rates, "tokens": tokens, "peak_gb": _peak(device)}


def _rate(tokens: float, seconds: Sequence[float], device: str) -> dict[str, Any]:
    """The first step, which warms up, is not counted."""
    middle = statistics.median(seconds)
    return {"tokens_per_s": tokens / middle, "step_s": middle, "peak_gb": _peak(device)}


def _tried(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception:  # one variant that fails must not take the others along
        return {"failed": traceback.format_exc()[-1500:]}


def _begin(device: str) -> None:
    import gc

    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def _peak(device: str) -> float | None:
    import torch

    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None
