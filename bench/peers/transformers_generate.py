"""transformers' ``generate``: left padding, batches of a given size, samples as ``num_return_sequences``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bench.serve import Do, serve, settings


def load() -> Do:
    """The model at the dtype asked for."""
    import torch
    from transformers import AutoModelForCausalLM

    given = settings()
    torch.set_num_threads(given.get("threads") or torch.get_num_threads())
    model = AutoModelForCausalLM.from_pretrained(
        given["folder"], dtype=getattr(torch, given["dtype"]), attn_implementation=given.get("attention", "sdpa")
    ).eval()
    more = {"cache_implementation": given["cache"]} if given.get("cache") else {}

    @torch.inference_mode()
    def do(work: Mapping[str, Any]) -> Mapping[str, Any]:
        torch.manual_seed(work["seed"])
        prompts, n = work["ids"], work["samples"]
        step = max(1, given["batch"] // n)
        tokens = 0
        different = set()
        began = time.perf_counter()
        for i in range(0, len(prompts), step):
            part = prompts[i : i + step]
            width = max(map(len, part))
            ids = torch.tensor([[0] * (width - len(p)) + p for p in part])
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in part])
            out = model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=work["temperature"],
                top_k=work["top_k"],
                top_p=work["top_p"],
                num_return_sequences=n,
                min_new_tokens=work["tokens"],
                max_new_tokens=work["tokens"],
                pad_token_id=0,
                **more,
            )[:, width:].tolist()
            tokens += sum(map(len, out))
            different |= {tuple(o) for o in out}
        seconds = time.perf_counter() - began
        detail = {"tokens": tokens, "different": len(different)}
        return {"value": tokens / seconds, "seconds": seconds, "detail": detail}

    return do


if __name__ == "__main__":
    serve(load)
