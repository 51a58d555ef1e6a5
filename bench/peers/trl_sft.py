"""TRL's SFTTrainer on the rows it is given: the same tokens, labels, batches, optimiser and clipping as ours."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from bench.serve import Do, serve, settings
from bench.train_memory import peak


def load() -> Do:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    given = settings()
    bare = peak()
    tokenizer = AutoTokenizer.from_pretrained(given["folder"])
    model = AutoModelForCausalLM.from_pretrained(given["folder"], dtype=torch.float32)

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def __init__(self) -> None:
            self.starts: list[float] = []
            self.seconds: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.starts.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.perf_counter() - self.starts[-1])

    def do(work: Mapping[str, Any]) -> Mapping[str, Any]:
        rows, at_once = work["rows"], given["at_once"]
        data = [{"input_ids": r["ids"], "labels": [-100] * r["prompt"] + r["ids"][r["prompt"] :]} for r in rows]
        with tempfile.TemporaryDirectory() as out:
            config = SFTConfig(
                output_dir=out,
                per_device_train_batch_size=at_once,
                gradient_accumulation_steps=work["batch"] // at_once,
                num_train_epochs=1,
                learning_rate=1e-6,
                weight_decay=0.0,
                max_grad_norm=1.0,
                optim="adamw_torch_fused",
                use_cpu=True,
                bf16=given["dtype"] == "bfloat16",
                save_strategy="no",
                report_to=[],
                logging_steps=10**6,
                disable_tqdm=True,
                dataset_kwargs={"skip_prepare_dataset": True},
                **given.get("more", {}),
            )
            clock = Clock()
            trainer = SFTTrainer(
                model=model,
                args=config,
                train_dataset=Dataset.from_list(data),
                processing_class=tokenizer,
                callbacks=[clock],
            )
            trainer.train()
        seconds = clock.seconds[1:]
        detail = {"steps": seconds}
        if given.get("memory"):
            return {"value": peak() - bare, "seconds": sum(seconds), "detail": detail}
        steps = len(rows) / work["batch"]
        tokens = sum(len(r["ids"]) for r in rows) / steps
        return {"value": tokens / statistics.median(seconds), "seconds": sum(seconds), "detail": detail}

    return do


if __name__ == "__main__":
    serve(load)
