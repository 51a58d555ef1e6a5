"""TRL's GRPOTrainer for a given time, in TRL's own environment: the peer of the row ``gain_300s_minus_trl_grpo``.

Takes one JSON argument: ``model`` and ``out`` folders, ``tasks`` (a JSON lines file of prompt and private),
``verifier`` (the command that scores answers: instar's own), ``seconds``, ``learning_rate``, ``bf16``, ``batch``
(answers a step), ``seed``. The clock starts when training does: loading is a gift. The step under way when time is up
is finished. Prints one JSON line at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

GROUP = 8
LONGEST = 48


class Verifier:
    """A child process that scores answers as instar does."""

    def __init__(self, command: list[str]) -> None:
        env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.child.stdout.readline()  # it says when it is ready: its start is not TRL's time

    def __call__(self, completions: list[Any], private: list[str], **_: Any) -> list[float]:
        texts = [c[0]["content"] for c in completions]
        self.child.stdin.write(json.dumps({"texts": texts, "private": [json.loads(p) for p in private]}) + "\n")
        self.child.stdin.flush()
        scores: list[float] = json.loads(self.child.stdout.readline())
        return scores

    __name__ = "verifier"


def main() -> None:
    given: dict[str, Any] = json.loads(sys.argv[1])
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Clock(TrainerCallback):
        """Stops at the first step that ends after the time."""

        began = 0.0
        ended: list[float] = []  # noqa: RUF012 - the class has one instance, and TRL makes it

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.ended.append(time.monotonic() - self.began)
            if self.ended[-1] >= given["seconds"]:
                control.should_training_stop = True

    torch.manual_seed(given["seed"])
    with open(given["tasks"], encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    data = Dataset.from_dict(
        {"prompt": [r["prompt"] for r in rows], "private": [json.dumps(r["private"]) for r in rows]}
    )
    model = AutoModelForCausalLM.from_pretrained(given["model"], dtype=torch.float32, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(given["model"], local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    verifier, clock = Verifier(given["verifier"]), Clock()
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=verifier,
        args=GRPOConfig(
            output_dir=given["out"] + "-trainer", use_cpu=True, bf16=given["bf16"], report_to=[], save_strategy="no",
            logging_steps=1, disable_tqdm=True, num_generations=GROUP, per_device_train_batch_size=given["batch"],
            gradient_accumulation_steps=1, max_completion_length=LONGEST, temperature=1.0, beta=0.0,
            learning_rate=given["learning_rate"], lr_scheduler_type="constant", max_steps=10_000,
            activation_checkpointing=False, seed=given["seed"], dataloader_num_workers=0,
        ),
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[clock],
    )  # fmt: skip
    trainer.train()
    trainer.model.save_pretrained(given["out"])
    tokenizer.save_pretrained(given["out"])
    rewards = [round(h["reward"], 4) for h in trainer.state.log_history if "reward" in h]
    print(json.dumps({"seconds": clock.ended[-1], "ended": clock.ended, "rewards": rewards}), flush=True)


if __name__ == "__main__":
    main()
