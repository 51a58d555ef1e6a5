"""llama.cpp's server (the ``xllamacpp`` wheel), asked in-process so that no HTTP is counted; slots, batched together.

Every sample is a request of its own; the server reuses what a slot has already read of a prompt.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.serve import Do, serve, settings


def load() -> Do:
    """The server with as many slots as asked for."""
    import xllamacpp

    given = settings()
    params = xllamacpp.CommonParams()
    params.model.path = given["gguf"]
    params.n_parallel = given["slots"]
    params.n_ctx = given["slots"] * 128
    params.n_batch = params.n_ubatch = given.get("batch", 512)
    params.kv_unified = given.get("unified", False)
    params.cont_batching = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count()
    params.sampling.ignore_eos = True
    if given.get("one_request"):
        params.n_sequences = given["slots"]
    server = xllamacpp.Server(params)
    pool = ThreadPoolExecutor(max_workers=given["slots"])

    def do(work: Mapping[str, Any]) -> Mapping[str, Any]:
        def ask(ids: list[int], seed: int, n: int) -> list[str]:
            body = {
                "prompt": ids,
                "max_tokens": work["tokens"],
                "n_predict": work["tokens"],
                "temperature": work["temperature"],
                "top_k": work["top_k"],
                "top_p": work["top_p"],
                "min_p": 0.0,
                "repeat_penalty": 1.0,
                "samplers": ["top_k", "top_p", "temperature"],
                "seed": seed % 2**31,
                "ignore_eos": True,
                "cache_prompt": True,
                "n": n,
            }
            answer = server.handle_completions(body)
            answer = json.loads(answer) if isinstance(answer, str) else answer
            made = answer["usage"]["completion_tokens"]
            if made != work["tokens"] * n:
                raise RuntimeError(f"{made} tokens where {work['tokens'] * n} were asked: {str(answer)[:300]}")
            return [c["text"] for c in answer["choices"]]

        together = bool(given.get("one_request"))
        asks = [
            (p, work["seed"] + i * 1000 + k, work["samples"] if together else 1)
            for i, p in enumerate(work["ids"])
            for k in range(1 if together else work["samples"])
        ]
        began = time.perf_counter()
        texts = [t for group in pool.map(lambda a: ask(*a), asks) for t in group]
        seconds = time.perf_counter() - began
        tokens = len(texts) * work["tokens"]
        detail = {"tokens": tokens, "different": len(set(texts))}
        return {"value": tokens / seconds, "seconds": seconds, "detail": detail}

    return do


if __name__ == "__main__":
    serve(load)
