"""How many passes over a rule doctor's dialogues it takes until the small model asks, and diagnoses, as he does.

    python -m bench.diagnoses [--cases 200] [--epochs 3] [--rate 3e-4] [--held 100] [--aloud]

The doctor's side of so many static consultations of AMIE, no worked example before them and all turns learned, is
trained in steps of 12 rows. Then it consults with a patient of fixed rules on other cases, greedily: how many of its
diagnoses name the illness first, and how many among three. Nothing is kept.
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
from instar.acquire.environments.clinic_cases import answered, diagnosed
from instar.acquire.solutions.consult import StaticConsultation
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.openvino.pipeline import Pipeline
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.request import Request
from instar.export.folder import save
from instar.records import Experience, Message, Policy, Role, Sampling, Task
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


async def consulted(pipeline: Pipeline, held: Sequence[Task]) -> list[tuple[str, ...]]:
    """What the doctor in a pipeline names in each case, after as many turns as it has; nothing: no diagnosis."""
    loop, tokenizer = asyncio.get_running_loop(), pipeline.ready.result()

    async def one(task: Task) -> tuple[str, ...]:
        messages = list(task.messages)
        for _ in range(int(task.private["turns"])):
            ids = tokenizer.prompt_ids(messages)
            asked = Request(ids, 1, Sampling(temperature=0.0, max_tokens=48), 0, loop, loop.create_future())
            pipeline.submit(asked)
            words = tokenizer.text((await asked.answer)[0][0])
            if named := diagnosed(words):
                return named
            said = answered(case_in(task.private).symptoms, words)
            messages += [Message(role=Role.assistant, content=words), Message(role=Role.user, content=said)]
        return ()

    return list(await asyncio.gather(*map(one, held)))


def examined(folder: Path, held: Sequence[Task]) -> str:
    """How the weights in a folder do as the doctor, as a line."""
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = Pipeline(lambda: folder, "f32", scratch=Path(scratch), cache_gb=2, clock=Clock())
        pipeline.ready.result()
        named = asyncio.run(consulted(pipeline, held))
        pipeline.stop()
    is_first = sum(n[:1] == (t.private["answer"],) for n, t in zip(named, held, strict=True))
    among = sum(t.private["answer"] in n[:3] for n, t in zip(named, held, strict=True))
    often, times = Counter(n[0] if n else "none" for n in named).most_common(1)[0]
    return f"of {len(held)} diagnoses {is_first} are right, {among} among three ({often} is named first in {times})"


def main() -> None:
    """Train, examine, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnoses", description=(__doc__ or "").split("\n")[0])
    for name, value in (("cases", 200), ("epochs", 3), ("held", 100)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--aloud", action="store_true", help="it says before each question which illness it may be")
    given = parser.parse_args()
    if few := [f"--{name} {number}" for name, number in vars(given).items() if name != "aloud" and number <= 0]:
        parser.error(f"{', '.join(few)}: give more than 0")
    policy = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=print)
    sets = Clinic(shots=0, turns=6, aloud=given.aloud)(
        {"train": given.cases, "dev": given.held}, {"train": 0, "dev": 77}
    )
    data = asyncio.run(turns(asyncio.run(consultations(sets["train"], policy)), policy))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "trained"
        parent = artefacts().open(policy.weights.digest)
        steps = trained(parent, policy, data, given.epochs, given.rate, into)
        took = time.perf_counter() - began
        aloud = " aloud" if given.aloud else ""
        print(
            f"{processor()}; {given.cases} consultations{aloud}, {given.epochs} epochs, {steps} steps in {took:.0f} s"
        )
        print(examined(into, sets["dev"]))


if __name__ == "__main__":
    main()
