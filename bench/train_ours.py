"""Our side of the training rows: the very loop that ``SFT`` runs, on the same rows in the same batches."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.serve import Do, serve, settings
from bench.train_memory import peak


class Bench:
    """As much of a workshop as the loop asks for: it notes when each step ended."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.ends: list[float] = []

    def progress(self, done: int, total: int, *, tokens: int = 0, note: str = "") -> None:
        self.ends.append(time.perf_counter())

    def figures(self, unit: str, number: int, figures: Mapping[str, float]) -> None:
        """Not kept."""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        yield


def load() -> Do:
    import instar  # noqa: F401, I001 - says how threads wait, before torch is loaded, as in a run
    import torch  # noqa: F401 - the baseline of memory is taken with the libraries loaded
    import transformers  # noqa: F401 - as above

    from instar.update.weights.trainer.hardware import precision_of
    from instar.update.weights.trainer.loop import Settings, train
    from instar.update.weights.trainer.model import open_trainable
    from instar.update.weights.layout.rows import Row

    given = settings()
    bare = peak()
    trainable = open_trainable(Path(given["folder"]), None, 0, gradient_checkpointing=bool(given.get("recompute")))

    def do(work: Mapping[str, Any]) -> Mapping[str, Any]:
        rows = [Row(tuple(r["ids"]), r["prompt"]) for r in work["rows"]]
        size = work["batch"]
        steps = [list(range(i, i + size)) for i in range(0, len(rows), size)]
        asked = Settings(
            learning_rate=1e-6,
            warmup=0.0,
            max_grad_norm=1.0,
            weight_decay=0.0,
            bfloat16=precision_of("auto") == "bfloat16",
            seed=0,
            belongs="",
            checkpoint_seconds=1e9,
            checkpoint_steps=None,
            **({"max_tokens_per_microbatch": given["tokens_at_once"]} if "tokens_at_once" in given else {}),
        )
        with tempfile.TemporaryDirectory() as scratch:
            bench = Bench(Path(scratch))
            history = train(trainable, rows, steps, asked, bench, threading.Event())  # type: ignore[arg-type]  # of a shop, only what training asks for
        seconds = [b - a for a, b in zip(bench.ends, bench.ends[1:], strict=False)]
        detail = {
            "fed": history["tokens_fed"],
            "tokens": history["tokens"],
            "steps": seconds,
            "losses": history["losses"],
        }
        if given.get("memory"):
            return {"value": peak() - bare, "seconds": sum(seconds), "detail": detail}
        tokens = sum(len(r.ids) for r in rows) / len(steps)
        return {"value": tokens / statistics.median(seconds), "seconds": sum(seconds), "detail": detail}

    return do


if __name__ == "__main__":
    serve(load)
