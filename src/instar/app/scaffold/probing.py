"""The base model tried on a few of a user's rows before any run: which way of asking it can learn most from, and what
can be expected. The very verbs of a run, over a ledger that is thrown away."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.prompted import Prompted
from instar.app.configs.config import Plan
from instar.app.review.examine import open_engine
from instar.app.scaffold.prompts import Form
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.chat import ChatTokenizer
from instar.protocols import Engine, Judge, Source
from instar.records import Experience, Finish, Mark, Message, Policy, Role, Sampling, Task
from instar.run.budget import Budget, BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.outputs import Output, mint_all
from instar.run.progress import Screen
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.store.door import open_ledger
from instar.store.ledger import Made

ROWS = 20
"""Rows that each way of asking is tried on."""
SAMPLES = 4
"""Sampled replies to a row, beside the greedy one; half as many where a reply is long."""
FULL = 0.85
"""Share of rows that are right at once, from which little is left to learn: of the 20 tried rows, 17. A set with 17 had
90.6 % of 96 sealed items right before it learned, and its gain of 5.2 points was too small to show
(docs/log/2026-11-27-strangers-2.md)."""
LONG = 64
"""Tokens of a reply from which it is long."""


@dataclass(frozen=True)
class Said:
    """One reply of the base model, and what the verifier said of it."""

    task: Task
    text: str
    mark: Mark


@dataclass(frozen=True)
class Tried:
    """One way of asking on ``of`` rows: on how many the greedy reply was right, on how many any of all ``replies`` was
    right and came to its end: a run learns from no other. ``cut_off`` replies were right and did not end."""

    form: Form
    of: int
    right: int
    any_right: int
    replies: int
    share: float
    greedy: tuple[Said, ...]
    cut_off: int = 0


def best(tried: Sequence[Tried]) -> Tried:
    """The way of asking with right answers on the most rows: a run learns from those. Of equals the one whose replies
    are right more often; then the plainest.

    Where that one is right nearly everywhere at once, examples do the work and a run has nothing to add: then a plainer
    one that is right on half of the rows is taken, and the model learns to do without them."""
    top = max(tried, key=lambda t: (t.any_right, t.share))
    if top.right < FULL * top.of:
        return top
    plainer = [t for t in tried if t.right < FULL * t.of and 2 * t.any_right >= t.of]
    return max(plainer, key=lambda t: (t.any_right, t.share)) if plainer else top


def shown(task: Task, form: Form, source: Source) -> Task:
    """A task as a form puts it, with the form's system text, unless the row brings its own."""
    asked = Prompted(inner=source, template=form.template, shots=tuple(dict(s) for s in form.shots))
    made = asked.put(task)
    if not form.system or any(m.role is Role.system for m in made.messages):
        return made
    return made.model_copy(update={"messages": (Message(role=Role.system, content=form.system), *made.messages)})


def probe(
    plan: Plan,
    tasks: Sequence[Task],
    forms: Sequence[Form],
    judge: Judge,
    sampling: Sampling,
    say: Callable[[str], None],
) -> list[Tried]:
    """Ask the plan's model these rows in every one of these ways. Raises InstarError as a run would."""
    policy = obtain(plan.run.model, home=home(), artefacts=artefacts(), system=None, say=say)
    with open_engine(policy, plan.run) as engine:
        return asyncio.run(_probed(plan, policy, engine, tasks, forms, judge, sampling))


async def _probed(
    plan: Plan, policy: Policy, engine: Engine, tasks: Sequence[Task], forms: Sequence[Form], judge: Judge,
    sampling: Sampling,
) -> list[Tried]:  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="instar-probe-"))
    samples = SAMPLES if sampling.max_tokens <= LONG else SAMPLES // 2
    try:
        with closing(open_ledger(folder / "ledger.db", "write")) as ledger:
            budget_tracker, screen = BudgetTracker(Budget(), folder), Screen("silent")
            run = Run(
                ledger=ledger, engine=engine, artefacts=artefacts(), budget_tracker=budget_tracker, screen=screen,
                watch=Stopwatch(), generate_context=GenerateContext(engine, ledger, budget_tracker, asyncio.Event()),
                stop=threading.Event(), folder=folder, seed=plan.run.seed, base=policy, tasks=Sets((), (), (), ()),
            )  # fmt: skip
            ledger.add_records([Made(policy, "probed", 0, 0)])
            found = []
            for number, form in enumerate(forms):
                put = [Output(shown(t, form, plan.run.tasks), ()) for t in tasks]
                made = mint_all(put, f"probe {number}", 0)
                ledger.add_records(made)
                asked = [m.record for m in made if isinstance(m.record, Task)]
                found.append(await _tried(run, form, asked, judge, sampling, samples))
            return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _tried(run: Run, form: Form, tasks: Sequence[Task], judge: Judge, sampling: Sampling, samples: int) -> Tried:
    models = run.models(run.base)
    once = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=sampling.max_tokens))
    greedy = await run.judge(judge, await run.solve(once, tasks, models), models)
    warm = await run.judge(judge, await run.solve(Sample(samples=samples, sampling=sampling), tasks, models), models)
    all_right = [e for e in (*greedy, *warm) if _mark(e) is Mark.right]
    right = [e for e in all_right if e.solution.finish is not Finish.length]
    return Tried(
        form=form, of=len(tasks), right=sum(_mark(e) is Mark.right for e in greedy),
        any_right=len({e.task.id for e in right}), replies=len(greedy) + len(warm),
        share=len(right) / max(1, len(greedy) + len(warm)),
        greedy=tuple(Said(e.task, e.solution.text, _mark(e)) for e in greedy),
        cut_off=len(all_right) - len(right),
    )  # fmt: skip


def _mark(e: Experience) -> Mark:
    return e.feedback.mark if e.feedback is not None else Mark.unscored


# --- what its tokenizer and template say ------------------------------------------------------------------------------


def without_system(form: Form) -> Form:
    """The same way of asking for a model that knows no system role: the instruction stands in every question."""
    template = form.template or "{question}"
    return Form(form.name, "", f"{form.system}\n\n{template}" if form.system else form.template, form.shots)


def strange(chat: ChatTokenizer, questions: Sequence[str]) -> str:
    """A sentence for a language that the model's tokenizer cuts to pieces, because it was hardly trained on it; "" for
    one that it knows."""
    text = "".join(questions)
    if not text:
        return ""
    empty, *full = chat.prompt_lengths([[Message(role=Role.user, content=q)] for q in ("a", *questions)])
    each = sum(n - empty + 1 for n in full) / len(text)
    if each < 1.0:
        return ""
    return (
        f"this model's tokenizer cuts these texts into {each:.1f} tokens a character: it was hardly trained on their "
        "language. It can learn which signs go with which answer, and does not understand them."
    )
