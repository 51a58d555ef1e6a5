"""Training and sampling on a GPU: against a CPU, against themselves after a stop, against TRL, and how fast.

    python -m bench.gpu --tokenizer FOLDER --out FOLDER      # at most 8 minutes on one card; FOLDER has tokenizer.json
    python -m bench.gpu --device cpu --tiny ...              # the same pieces, small, without a card

Random weights of SmolLM2's shapes are made here, from a seed. Each piece is tried by itself, the smallest first, and
what it found is written at once to gpu.json: a piece that fails, or a clock that runs out, loses nothing before it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench import gpu_speed
from bench.gpu_model import Context, make_model, rollout_prompts, sums
from instar.engines.hf.engine import TransformersEngine
from instar.errors import BudgetSpent
from instar.records import Reply
from instar.update.weights.grpo import Grpo
from instar.update.weights.layout.rows import Row
from instar.update.weights.sft import SFT
from instar.update.weights.trainer.model import Lora, open_trainable


class Bench(NamedTuple):
    """Where, with what, and how large."""

    device: Literal["cpu", "cuda"]
    tiny: bool
    tokenizer: Path
    place: Path

    def model(self, shape: str) -> Path:
        """The folder of a random model, made when it is first asked for."""
        shape = "tiny" if self.tiny else shape
        folder = self.place / f"model-{shape}"
        return folder if folder.is_dir() else make_model(folder, shape, self.tokenizer, self.device)

    def sft(self, **more: Any) -> SFT:
        """The training that pieces compare."""
        epochs = 1 if self.tiny else 2
        usual = {"learning_rate": 5e-5, "epochs": epochs, "batch_size": 8, "checkpoint_seconds": 1e9}
        return SFT(**{**usual, "precision": "float32", "device": self.device, **more})

    def train(self, op: SFT, name: str, watch: Callable[[int], None] = lambda done: None) -> tuple[Context, Any]:
        """The workshop of a training by the name, and what came out."""
        context = Context(self.place / name, self.model("135m"), watch=watch)
        rows = sums(12 if self.tiny else 32)
        return context, asyncio.run(op(context.policy(), rows, context))  # type: ignore[arg-type]  # of it, what is asked


def machine(b: Bench) -> dict[str, Any]:
    """What it ran on."""
    import torch
    import transformers

    found = {"torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version(),
             "cores": os.cpu_count(), "device": b.device, "tiny": b.tiny}  # fmt: skip
    if b.device == "cuda":
        card = torch.cuda.get_device_properties(0)
        found |= {"card": card.name, "memory_gb": card.total_memory / 1e9, "cuda": torch.version.cuda}
        found["tf32"] = torch.backends.cuda.matmul.allow_tf32
    return found


def tests(b: Bench) -> dict[str, Any]:
    """The tests with the marker cuda, where the folder beside this one has them."""
    if not Path("tests").is_dir():
        return {"tests": "not carried"}
    marker = "cuda" if b.device == "cuda" else "not slow and not nightly and not cuda"
    files = ["tests/update/test_devices.py", "tests/engines/test_devices.py"]
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marker, *files]
    done = subprocess.run(line, capture_output=True, text=True, timeout=150)
    return {"rc": done.returncode, "tail": done.stdout[-1800:] + done.stderr[-300:]}


def losses(b: Bench) -> dict[str, Any]:
    """The loss curve of SFT in float32 on a CPU and on the device, same rows; and in bfloat16."""
    _, _, cpu = _curve(b, b.sft(device="cpu"), "sft-cpu")
    context, policy, here = _curve(b, b.sft(), "sft")
    _, _, half = _curve(b, b.sft(precision="bfloat16"), "sft-bf16")
    again, twice, _ = _curve(b, b.sft(), "sft-again")
    adapted = _curve(b, b.sft(lora=Lora(target_modules=("q_proj", "v_proj"))), "sft-lora")[2]
    lean = _curve(b, b.sft(gradient_checkpointing=True), "sft-recompute")[2]
    apart = [abs(x - y) for x, y in zip(cpu, here, strict=True)]
    return {
        "cpu_float32": cpu, "device_float32": here, "device_bfloat16": half, "largest_difference": max(apart),
        "target": 1e-3, "met": max(apart) <= 1e-3, "lora_float32": adapted,
        "bfloat16_largest_difference": max(abs(x - y) for x, y in zip(cpu, half, strict=True)),
        "recomputed_largest_difference": max(abs(x - y) for x, y in zip(here, lean, strict=True)),
        "twice": _apart(context, policy, again, twice), "about": {k: v for k, v in context.history(policy).items()
        if k in ("device", "card", "precision", "layout", "tokens", "tokens_fed")},
    }  # fmt: skip


def _curve(b: Bench, op: SFT, name: str) -> tuple[Context, Any, list[float]]:
    context, policy = b.train(op, name)
    return context, policy, context.history(policy)["losses"]


def _apart(one: Context, policy: Any, other: Context, second: Any) -> dict[str, Any]:
    """How far two trained sets of weights are from each other."""
    from safetensors.torch import load_file

    a, c = (
        load_file(s.artefacts.open(p.weights.digest) / "model.safetensors") for s, p in ((one, policy), (other, second))
    )
    most = max(float((a[n] - c[n]).abs().max()) for n in a)
    norm = sum(float((a[n] - c[n]).pow(2).sum()) for n in a) ** 0.5 / sum(float(a[n].pow(2).sum()) for n in a) ** 0.5
    return {"same_bits": most == 0.0, "largest": most, "relative_norm": norm}


def resume(b: Bench) -> dict[str, Any]:
    """SFT stopped in the middle and gone on with from its checkpoint; and what another device makes of that."""
    found: dict[str, Any] = {}
    whole = b.train(b.sft(), "whole")
    for kind in ("float32", "bfloat16"):
        op = b.sft(precision=kind)
        if kind == "bfloat16":
            whole = b.train(op, "whole-bf16")
        stopped = Context(b.place / f"stopped-{kind}", b.model("135m"), watch=_stop_at(2))
        rows = sums(12 if b.tiny else 32)
        with suppress(BudgetSpent):
            asyncio.run(op(stopped.policy(), rows, stopped))  # type: ignore[arg-type]  # as above
        found[f"checkpoints_{kind}"] = sorted(p.name for p in stopped.scratch.iterdir())
        if kind == "float32" and b.device == "cuda":
            copied = Context(b.place / "other-device", b.model("135m"))
            shutil.copytree(stopped.scratch, copied.scratch)
            moved = asyncio.run(b.sft(device="cpu")(copied.policy(), rows, copied))  # type: ignore[arg-type]  # as above
            found["on_a_cpu"] = [n for n in copied.notes if "set aside" in n]
            found["on_a_cpu_steps"] = len(copied.history(moved)["losses"])
        stopped.watch = lambda done: None
        policy = asyncio.run(op(stopped.policy(), rows, stopped))  # type: ignore[arg-type]  # as above
        found[kind] = _apart(*whole, stopped, policy)
    return found


def _stop_at(step: int) -> Callable[[int], None]:
    def watch(done: int) -> None:
        if done == step:
            raise BudgetSpent("stopped by the bench")

    return watch


def grpo(b: Bench) -> dict[str, Any]:
    """Two rollouts sampled by the engine on the device and learned from; the engine's log-probabilities beside the
    trainer's."""
    from instar.update.weights.layout.minibatch import layouts
    from instar.update.weights.trainer.answer_tokens import answer_logps

    context = Context(b.place / "grpo", b.model("135m"))
    tasks, samples, most = (4, 4, 8) if b.tiny else (16, 8, 64)
    context.rollout_prompts = rollout_prompts(tasks, samples, most)
    context.engine = TransformersEngine(context.artefacts, device=b.device)
    begun = time.monotonic()
    op = Grpo(prompts=tasks // 2, iterations=2, beta=0.04, learning_rate=1e-5, device=b.device)
    policy = asyncio.run(op(context.policy(), (), context))  # type: ignore[arg-type]  # as above
    told, seconds = context.history(policy), time.monotonic() - begun
    ids = context.kept["rolled out 1"][0]["solution"]["turns"][0]["token_ids"]
    question = policy.prompt(context.rollout_prompts.tasks[tasks // 2])
    reply = Reply(text="", finish="length", policy=policy.id, engine="", precision="f32", token_ids=ids,
                  prompt_tokens=0, tokens=len(ids))  # fmt: skip
    (scored,) = asyncio.run(context.engine.score(policy, question, [reply], precision="f32"))[:1]
    from instar.chat import ChatTokenizer

    folder = context.artefacts.open(policy.weights.digest)
    prompt = ChatTokenizer.load(folder).prompt_ids(question)
    trainable = open_trainable(folder, None, 0, device=b.device)
    (layout,) = layouts(trainable, [Row((*prompt, *ids), len(prompt))], 4096)
    trainer = answer_logps(trainable, layout, 1.0).tolist()
    kept = {k: told[k] for k in ("rollouts", "losses", "optimiser_steps", "precision", "device", "card") if k in told}
    context.engine.close()
    return {
        **kept, "seconds": seconds, "sampled_at": context.engine.precision_for("sample"),
        "engine_minus_trainer_logprob": max(abs(x - y) for x, y in zip(scored, trainer, strict=True)),
        "fingerprint": (folder / "fingerprint.json").is_file(),
    }  # fmt: skip


PIECES: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "machine": machine,
    "tests": tests,
    "losses": losses,
    "grpo": grpo,
    "resume": resume,
    "sampling_135m": lambda b: gpu_speed.sampling(b.model("135m"), b.device, b.tiny),
    "training_135m": lambda b: gpu_speed.training(b.model("135m"), b.device, b.tiny),
    "training_1.7b": lambda b: gpu_speed.training(b.model("1.7b"), b.device, b.tiny, large=True),
    "sampling_1.7b": lambda b: gpu_speed.sampling(b.model("1.7b"), b.device, b.tiny, large=True),
}


def main() -> None:
    """Try every piece in order, while there is time."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    asked.add_argument("--tiny", action="store_true")
    asked.add_argument("--tokenizer", type=Path, required=True)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--seconds", type=float, default=460, help="no piece is begun after these")
    asked.add_argument("--only", nargs="*", default=list(PIECES))
    given = asked.parse_args()
    found: dict[str, Any] = {}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        b = Bench(given.device, given.tiny, given.tokenizer, Path(place))
        for name in given.only:
            at = time.monotonic()
            if at - begun > given.seconds:
                found[name] = {"not_begun": "no time"}
                continue
            print(f"--- {name}", flush=True)
            try:
                found[name] = PIECES[name](b)
            except Exception:  # the next piece is worth trying
                found[name] = {"failed": traceback.format_exc()[-2500:]}
            found[name]["seconds_in_all"] = round(time.monotonic() - at, 1)
            given.out.mkdir(parents=True, exist_ok=True)
            (given.out / "gpu.json").write_text(json.dumps(found, indent=1))
            print(json.dumps(found[name]), flush=True)
            _free(given.device)


def _free(device: str) -> None:
    import gc

    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
