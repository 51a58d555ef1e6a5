"""Turns a GGUF model into an ordinary float32 weights folder. Run as a process of its own: ``python -m
instar.app.weights.convert FOLDER FILE OUT``, so that torch and transformers leave no memory behind in the caller."""

from __future__ import annotations

import sys
from pathlib import Path


def convert(folder: Path, file: str, out: Path) -> None:
    """Write ``folder/file`` (GGUF, any quantisation) to ``out``: config, safetensors, tokenizer, chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=file,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),  # without it the model cannot be saved
    )
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(out)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
