"""A tiny random Llama with a character tokenizer, and an update context in a folder: what updates are tested in."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instar.records import (
    Exchange,
    Experience,
    Finish,
    Learned,
    Message,
    Pair,
    Policy,
    Preference,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
    Weights,
)
from instar.records.pair import Why

STOP = 1
CHARACTERS = [chr(c) for c in range(32, 127)] + ["\n"]
PIECES = ["<pad>", "<end>", *CHARACTERS]


def make_model(folder: Path, *, seed: int = 0, kind: str = "llama", tied: bool = True) -> Path:
    """A model folder: 2 layers of width 32, grouped-query attention, float32."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    tokens = {"bos_token_id": None, "eos_token_id": STOP, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "llama":
            config = LlamaConfig(
                vocab_size=len(PIECES),
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=256,
                tie_word_embeddings=tied,
                initializer_range=0.2,
                **tokens,
            )
            model = LlamaForCausalLM(config)
        else:
            model = GPT2LMHeadModel(
                GPT2Config(vocab_size=len(PIECES), n_embd=32, n_layer=2, n_head=2, n_positions=256, **tokens)
            )
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({p: i for i, p in enumerate(PIECES)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<pad>", "<end>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>", "pad_token": "<pad>"}))
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + '\n' }}{% endfor %}a:"
    )
    return folder


def learned_of(trainable: Any, layout: Any, *, bfloat16: bool = False) -> tuple[float, Any]:
    """The summed cross-entropy of a layout's answer tokens, in nats, and its gradient, all parameters in a row."""
    import torch

    from instar.update.weights.trainer.answer_tokens import backward

    trainable.model.zero_grad(set_to_none=True)
    loss = backward(trainable, layout, lambda logps, _: -logps.sum(), bfloat16=bfloat16)
    return loss, torch.cat([p.grad.flatten() for p in trainable.parameters().values()])


class Store:
    """Content-addressed folders, as the artefact store promises, without its care."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, folder: Path, *, about: Any = None) -> str:
        digest = digest_of(folder)
        if not self.has(digest):
            shutil.move(folder, self.root / digest)
        return digest

    def open(self, digest: str) -> Path:
        return self.root / digest

    def has(self, digest: str) -> bool:
        return (self.root / digest).is_dir()


def digest_of(folder: Path) -> str:
    h = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        h.update(f"{file.relative_to(folder)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return h.hexdigest()


class Context:
    """An update context. ``watch`` is called with every ``progress`` and may raise."""

    def __init__(self, root: Path, *, seed: int = 7, watch: Callable[[int], None] | None = None) -> None:
        self.artefacts = Store(root / "artefacts")
        self.seed = seed
        self.scratch = root / "scratch"
        self.watch = watch
        self.references: Mapping[str, Policy] = {}
        self.pairs: Sequence[Pair] | None = None
        self.journal: dict[str, Any] = {}
        self.calls: dict[str, Exchange] = {}
        self.done: list[int] = []
        self.notes: list[str] = []
        self.told: list[Learned] = []
        self.phases: list[str] = []
        self.curves: dict[tuple[str, int], dict[str, float]] = {}

    def ancestors(self, policy: Policy) -> Sequence[Experience]:
        return ()

    def exchanges(self, ids: Collection[str]) -> Mapping[str, Exchange]:
        return {id: self.calls[id] for id in ids}

    def learned(self, turns: Iterable[Learned]) -> None:
        self.told += turns

    def recall(self, key: str) -> Any | None:
        return self.journal.get(key)

    async def remember(self, key: str, value: Any) -> None:
        self.journal[key] = value

    def progress(self, done: int, total: int, *, tokens: int = 0, note: str = "") -> None:
        self.done.append(done)
        self.notes.append(note)
        if self.watch is not None:
            self.watch(done)

    def figures(self, unit: str, number: int, figures: Mapping[str, float]) -> None:
        self.curves.setdefault((unit, number), dict(figures))

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        self.phases.append(phase)
        yield


def policy_in(context: Context, folder: Path, *, system: str | None = "Add.") -> Policy:
    """A policy whose weights are a copy of ``folder`` in the shop's store."""
    copy = context.artefacts.root / "moving"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return Policy(
        weights=Weights(place="artefact", digest=context.artefacts.put(copy), name="tiny"), system=system
    ).identified()


def experience(
    question: str, *answers: str, ids: tuple[int, ...] | None = None, finish: Finish = Finish.stop, index: int = 0
) -> Experience:
    task = Task(
        id=f"t:{question}",
        messages=(Message(role=Role.user, content=question),),
        ability="add",
        canonical=question,
        source="test",
    )
    solution = Solution(
        id=f"s:{question}:{index}",
        task=task.id,
        turns=tuple(Turn(text=a, token_ids=ids) for a in answers),
        policy="p",
        engine="e",
        precision="float32",
        sampling=Sampling(),
        finish=finish,
    )
    return Experience(task=task, solution=solution)


def pair(chosen: Experience, rejected: Experience, why: Why = Why.contrastive) -> Pair:
    """The one preferred to the other."""
    said = Preference(
        id=f"p:{chosen.id}>{rejected.id}", task=chosen.task.id, chosen=chosen.id, rejected=rejected.id, why=why,
        reason="",
    )  # fmt: skip
    return Pair(preference=said, chosen=chosen, rejected=rejected)


def sums(n: int = 20) -> list[Experience]:
    """Sums with two answers each, of several lengths."""
    return [
        experience(f"{i}+{i + 3}", text.replace("#", str(2 * i + 3)), index=k)
        for i in range(n // 2)
        for k, text in enumerate(("#", "It is #." if i % 3 else "So: the answer is #"))
    ]
