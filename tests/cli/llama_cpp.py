"""llama.cpp in this process (the wheel xllamacpp), and a tiny model with a byte-level tokenizer to give to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.engines.tiny import CONFIG, tensors

TEMPLATE = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ' ' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant ' }}{% endif %}"
)


class LlamaCpp:
    """A GGUF file loaded by llama.cpp, on one thread: its threads wait for each other by spinning."""

    def __init__(self, path: Path) -> None:
        import xllamacpp

        p = xllamacpp.CommonParams()
        p.model.path = str(path)
        p.n_ctx, p.n_parallel, p.warmup, p.verbosity = 512, 1, False, -1
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
        p.cache_type_k = p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self.server = xllamacpp.Server(p)

    def answers(self, chats: list[list[dict[str, str]]], max_tokens: int) -> list[str]:
        """The greedy reply to each conversation, through the chat template in the file."""
        out = []
        for messages in chats:
            asked: dict[str, Any] = {
                "messages": messages,
                "max_tokens": max_tokens,
                "temperature": 0,
                "cache_prompt": False,
            }
            said: Any = self.server.handle_chat_completions(asked)
            out.append(str(said["choices"][0]["message"]["content"]))
        return out


def byte_level_model(folder: Path) -> Path:
    """A whole random Llama whose tokenizer is byte-level BPE, split as GPT-2's."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [f"What is {i} + {i * 7}? It is {i * 8}, user assistant." for i in range(200)]
    # letters alone: random bytes are no UTF-8, and each program writes that down in its own way
    trainer = trainers.BpeTrainer(vocab_size=160, special_tokens=["<s>", "</s>"])
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {**CONFIG, "vocab_size": tokenizer.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 1}
    save_file(tensors(3, config), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder
