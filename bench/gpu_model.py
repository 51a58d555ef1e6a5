"""What ``bench.gpu`` works with: random models of real shapes, a workshop, rollouts by an engine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from instar.acquire.solutions.sample import Sample
from instar.protocols import Judge, Models, RolloutPrompts
from instar.records import (
    Experience,
    Feedback,
    Finish,
    Mark,
    Message,
    Policy,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
    Weights,
)

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
             "num_key_value_heads": 3},
    "1.7b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32,
             "num_key_value_heads": 32},
}  # fmt: skip
"""SmolLM2's, but for the first; the vocabulary is SmolLM2's too, the head is the embedding."""
BESIDE = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def make_model(folder: Path, shape: str, tokenizer: Path, device: str, seed: int = 0) -> Path:
    """A model folder with random float32 weights of a shape, drawn on a device, and a tokenizer that is there."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    config = LlamaConfig(
        vocab_size=49152, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=True,
        initializer_range=0.02, rope_parameters={"rope_type": "default", "rope_theta": 100000.0}, **ends,
        **SHAPES[shape],
    )  # fmt: skip
    torch.manual_seed(seed)
    with torch.device(device):
        LlamaForCausalLM(config).save_pretrained(folder)
    for name in BESIDE:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    return folder


class Store:
    """Artefacts as folders that are lent under names: nothing is hashed twice, for the clock runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.lent: dict[str, Path] = {}

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        """Moved, not hashed but for its weights."""
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        shutil.rmtree(self.root / digest, ignore_errors=True)
        shutil.move(folder, self.root / digest)
        return digest

    def open(self, digest: str) -> Path:
        return self.lent.get(digest) or self.root / digest

    def has(self, digest: str) -> bool:
        return self.open(digest).is_dir()

    @contextmanager
    def lend(self, digest: str, folder: Path) -> Iterator[None]:
        """As the store of a run does."""
        self.lent[digest] = folder
        yield
        del self.lent[digest]


class Even(Judge):
    """Right if the last token but one is even: nothing a random model knows, and something that it can learn."""

    name: ClassVar[str] = "bench_even"

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        return [said(s) for s in solutions]


def said(s: Solution) -> Feedback:
    """The judge's word, of one solution."""
    right = (s.turns[0].token_ids or (0, 1))[0] % 2 == 0
    mark = Mark.right if right else Mark.wrong
    return Feedback(id=f"f{s.id}", solution=s.id, score=float(right), mark=mark, source="verifier")


class Context:
    """A workshop in a folder: as much of a run as an update asks for. ``engine`` gives the rollouts."""

    rollout_prompts: RolloutPrompts | None = None
    references: Mapping[str, Policy] = {}

    def __init__(self, root: Path, folder: Path, *, watch: Callable[[int], None] = lambda done: None) -> None:
        self.artefacts, self.scratch, self.seed, self.watch = Store(root / "artefacts"), root / "scratch", 7, watch
        self.artefacts.lent["base"] = folder
        self.notes: list[str] = []
        self.kept: dict[str, Any] = {}
        self.engine: Any = None

    def policy(self) -> Policy:
        """What training begins with."""
        return Policy(weights=Weights(place="artefact", digest="base", name="random"), system="Add.").identified()

    def history(self, policy: Policy) -> dict[str, Any]:
        """What training wrote of itself."""
        found: dict[str, Any] = json.loads((self.artefacts.open(policy.weights.digest) / "training.json").read_text())
        return found

    async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
        """Asked at once, as a run does."""
        assert self.rollout_prompts is not None
        solve: Any = self.rollout_prompts.solve  # it is Sample
        sampling, n = solve.sampling, solve.samples
        precision = self.engine.precision_for("sample")
        asked = [
            self.engine.ask(policy, policy.prompt(t), n=n, sampling=sampling, seed=i, precision=precision)
            for i, t in enumerate(tasks)
        ]
        made = []
        for task, replies in zip(tasks, await asyncio.gather(*asked), strict=True):
            for i, r in enumerate(replies):
                turn = Turn(text=r.text, token_ids=r.token_ids)
                solution = Solution(
                    id=f"{task.id}/{name}/{i}", task=task.id, turns=(turn,), policy=policy.id, engine=r.engine,
                    precision=precision, sampling=sampling, finish=r.finish,
                )  # fmt: skip
                made.append(Experience(task=task, solution=solution, feedback=said(solution)))
        self.engine.unload()
        return made

    def ancestors(self, policy: Policy) -> Sequence[Experience]:
        return ()

    def exchanges(self, ids: Collection[str]) -> Mapping[str, Any]:
        return {}

    def recall(self, key: str) -> Any | None:
        return self.kept.get(key)

    async def remember(self, key: str, value: Any) -> None:
        self.kept[key] = value

    def progress(self, done: int, total: int, *, tokens: int = 0, note: str = "") -> None:
        """Noted; ``watch`` may raise, as a run that is stopped does."""
        self.notes.append(note)
        self.watch(done)

    def figures(self, unit: str, number: int, figures: Mapping[str, float]) -> None:
        """Not kept: ``history`` has what is read."""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        yield


def task(i: int) -> Task:
    """A sum."""
    message = Message(role=Role.user, content=f"What is {i} + {3 * i + 7}? Write the result after 'Answer:'.")
    return Task(id=f"t{i}", messages=(message,), ability="add", canonical=str(i), source="bench")


def sums(n: int) -> list[Experience]:
    """Sums with two answers each."""
    made = []
    for i in range(n):
        for k, text in enumerate((f"Answer: {4 * i + 7}", f"{i} + {3 * i + 7} is {4 * i + 7}.\nAnswer: {4 * i + 7}")):
            solution = Solution(
                id=f"s{i}/{k}", task=f"t{i}", turns=(Turn(text=text),), policy="p", engine="e", precision="f32",
                sampling=Sampling(), finish=Finish.stop,
            )  # fmt: skip
            made.append(Experience(task=task(i), solution=solution))
    return made


def rollout_prompts(tasks: int, samples: int, max_tokens: int) -> RolloutPrompts:
    """Tasks for rollouts."""
    sampling = Sampling(temperature=1.0, max_tokens=max_tokens)
    return RolloutPrompts([task(i) for i in range(tasks)], Sample(samples=samples, sampling=sampling), Even())
