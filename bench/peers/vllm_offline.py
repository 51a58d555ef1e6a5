"""vLLM on a CPU through its offline ``LLM``: the engine of its server without the HTTP in front of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from bench.serve import Do, serve, settings


def load() -> Do:
    """The engine: both cores (by itself it keeps one back), prefix caching, compiled unless ``eager``."""
    given = settings()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
    if given.get("bind"):
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = given["bind"]
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=given["folder"],
        dtype=given["dtype"],
        max_model_len=512,
        max_num_seqs=given.get("seqs", 256),
        max_num_batched_tokens=given.get("batched", 4096),
        enable_prefix_caching=True,
        enforce_eager=bool(given.get("eager")),
        disable_log_stats=True,
    )

    def do(work: Mapping[str, Any]) -> Mapping[str, Any]:
        def params(i: int) -> Any:
            return SamplingParams(
                n=work["samples"],
                temperature=work["temperature"],
                top_k=work["top_k"],
                top_p=work["top_p"],
                seed=work["seed"] + i if given.get("seeded") else None,
                max_tokens=work["tokens"],
                min_tokens=work["tokens"],
                ignore_eos=True,
                detokenize=False,
            )

        prompts = [{"prompt_token_ids": p} for p in work["ids"]]
        began = time.perf_counter()
        outputs = llm.generate(prompts, [params(i) for i in range(len(prompts))], use_tqdm=False)
        seconds = time.perf_counter() - began
        made = [tuple(c.token_ids) for o in outputs for c in o.outputs]
        tokens = sum(map(len, made))
        return {
            "value": tokens / seconds,
            "seconds": seconds,
            "detail": {"tokens": tokens, "different": len(set(made))},
        }

    return do


if __name__ == "__main__":
    serve(load)
