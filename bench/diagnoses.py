"""How many passes over a rule doctor's dialogues it takes until the small model asks, and diagnoses, as he does.

    python -m bench.diagnoses [--cases 200] [--epochs 3] [--rate 3e-4] [--held 100]

The doctor's side of so many static consultations of AMIE, no worked example before them and all turns learned, is
trained in steps of 12 rows. Then other cases, each turn asked greedily after the rule doctor's own words: how many
questions (every fourth) are his, and how many diagnoses name the patient's illness first. Nothing is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench.tools import processor
from bench.train_ours import Bench
from instar.acquire.environments.clinic import Clinic, case_in
from instar.acquire.environments.clinic_cases import diagnosed
from instar.acquire.solutions.consult import StaticConsultation
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.chat import ChatTokenizer
from instar.export.folder import save
from instar.records import Experience, Message, Policy, Role, Task, TurnKind
from instar.refine.corrections.some_turns import SomeTurns
from instar.update.weights.layout.batches import plan
from instar.update.weights.layout.rows import rows_of
from instar.update.weights.trainer.hardware import precision_of


async def consultations(tasks: Sequence[Task], policy: Policy) -> list[Experience]:
    """A static consultation of each."""
    models = cast(Any, {"self": SimpleNamespace(policy=policy)})
    return [Experience(task=t, solution=s) for t in tasks for s in await StaticConsultation()(t, models)]


async def turns(held: Sequence[Experience], policy: Policy) -> list[Experience]:
    """All turns of the doctor's in these."""
    models = cast(Any, {"self": SimpleNamespace(policy=policy)})
    return [Experience(task=e.task, solution=s) for e in held for s in await SomeTurns(each=9)(e, models)]


def trained(parent: Path, policy: Policy, data: Sequence[Experience], epochs: int, rate: float, into: Path) -> int:
    """Train on these and write the weights into a folder; the number of steps."""
    from instar.update.weights.trainer.loop import Settings, train
    from instar.update.weights.trainer.model import open_trainable

    rows = rows_of(policy, data, parent, 2048).kept
    steps = plan(rows, batch_size=12, epochs=epochs, seed=0)
    asked = Settings(
        learning_rate=rate, warmup=0.06, max_grad_norm=1.0, weight_decay=0.0, seed=0, belongs="",
        bfloat16=precision_of("auto") == "bfloat16", checkpoint_seconds=1e9, checkpoint_steps=None,
    )  # fmt: skip
    trainable = open_trainable(parent, None, 0)
    with tempfile.TemporaryDirectory() as scratch:
        train(trainable, rows, steps, asked, cast(Any, Bench(Path(scratch))), threading.Event())
    save(trainable, parent, into)
    return len(steps)


def examined(folder: Path, held: Sequence[Experience]) -> str:
    """What the weights in a folder say after the rule doctor's words, as a line."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = ChatTokenizer.load(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def says(messages: Sequence[Message]) -> str:
        ids = torch.tensor([tokenizer.prompt_ids(messages)])
        with torch.no_grad():
            out = model.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=list(tokenizer.stop_ids))
        return tokenizer.text(out[0, ids.shape[1] :].tolist())

    questions, right, first = [], 0, Counter[str]()
    number = 0
    for e in held:
        messages = list(e.task.messages)
        for turn in e.solution.turns:
            own = turn.kind is TurnKind.assistant
            if own and diagnosed(turn.text):
                named = diagnosed(says(messages)) or ("none",)
                right += named[0] == case_in(e.task.private).illness
                first[named[0]] += 1
            elif own:
                number += 1
                questions += [says(messages).strip() == turn.text.strip()] if number % 4 == 0 else []
            messages.append(Message(role=Role.assistant if own else Role.user, content=turn.text))
    often, n = first.most_common(1)[0]
    return (
        f"questions as the rule doctor's: {sum(questions)} of {len(questions)}; diagnoses right: {right} of "
        f"{first.total()} ({often} is named in {n})"
    )


def main() -> None:
    """Train, examine, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnoses", description=(__doc__ or "").split("\n")[0])
    for name, value in (("cases", 200), ("epochs", 3), ("held", 100)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=3e-4)
    given = parser.parse_args()
    if few := [f"--{name} {number}" for name, number in vars(given).items() if number <= 0]:
        parser.error(f"{', '.join(few)}: give more than 0")
    policy = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=print)
    sets = Clinic(shots=0, turns=6)({"train": given.cases, "dev": given.held}, {"train": 0, "dev": 77})
    data = asyncio.run(turns(asyncio.run(consultations(sets["train"], policy)), policy))
    held = asyncio.run(consultations(sets["dev"], policy))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "trained"
        parent = artefacts().open(policy.weights.digest)
        steps = trained(parent, policy, data, given.epochs, given.rate, into)
        took = time.perf_counter() - began
        print(f"{processor()}; {given.cases} consultations, {given.epochs} epochs, {steps} steps in {took:.0f} s")
        print(examined(into, held))


if __name__ == "__main__":
    main()
