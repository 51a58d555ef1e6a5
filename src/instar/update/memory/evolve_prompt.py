"""Let a model rewrite the instructions that the policy works by, from what it did right and wrong by them (GEPA).

Paper: Agrawal et al., *GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning*, arXiv 2507.19457,
algorithms 1 and 2: from a pool of candidates one is drawn off the Pareto front of single tasks, a reflection on a few
of its answers writes a child, and a child that does better on those few is tried on all of the validation tasks and
joins the pool. The search is the authors' own package, ``gepa``. It runs in a thread; every answer and every reflection
is asked for through the run, so each is journalled, budgeted and not asked again after a kill.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple, TypeVar

from pydantic import Field

from instar.errors import Cancelled, ConfigError, DataError, NothingLearned, StepFailed
from instar.fence import WARNING, fenced, mark_for
from instar.protocols import Model, Update, UpdateContext
from instar.records import Decision, Experience, Finish, Message, Policy, Role, Sampling, Task, hash_of
from instar.update.memory.reflect import said_in
from instar.update.memory.writing import writer_of

SYSTEM = "system"
"""The one text of a candidate: the policy's system prompt."""
T = TypeVar("T")


class EvolvePrompt(Update):
    """The system prompt that scores best on the last part of the rollout prompts (``validation``: their share), among
    those that reflections on the others wrote, ``minibatch`` answers at a time. At most ``calls`` tasks are answered.

    Who reflects is the role "reflector" where somebody has it, else the policy itself: small models are poor at it.
    What it writes is untrusted: a prompt that is empty, cut off, longer than ``longest`` characters, or that repeats 8
    words in a row of a held-out task goes no further, and one under which tasks cannot be answered (it may be too long
    for the model) scores 0. The reflector is shown training tasks with their right answers.

    Raises ConfigError where ``gepa`` is not installed; DataError without rollout prompts or a model, and for a budget
    that one candidate would use up; NothingLearned where none is better than the prompt it began with.
    """

    name: ClassVar[str] = "evolve_prompt"
    trains: ClassVar[bool] = False

    calls: int = Field(default=300, ge=1)
    validation: float = Field(default=0.5, gt=0, lt=1)
    minibatch: int = Field(default=4, ge=1)
    longest: int = Field(default=1000, ge=20)
    sampling: Sampling = Sampling(temperature=1.0, top_k=None, max_tokens=300)
    request: str = (
        "Above are the instructions that an assistant works by, and answers that it gave by them, each with what was "
        "said of it. Write better instructions: say what kind of task comes, how to go about it, and in which form to "
        "answer. Keep what works. They must hold for other tasks of this kind, so name none of these. Write the new "
        "instructions between two lines of ``` and nothing after them."
    )

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises ConfigError where the package is not installed."""
        if find_spec("gepa") is None:
            raise ConfigError("gepa is needed to evolve prompts.", "pip install 'instar[gepa]'.")

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        if context.rollout_prompts is None:
            raise DataError("evolve_prompt was handed no tasks to try prompts on.", "Pass rollout_prompts.")
        tasks = list(context.rollout_prompts.tasks)
        held = round(self.validation * len(tasks))
        feedback, valid = tasks[: len(tasks) - held], tasks[len(tasks) - held :]
        if not feedback or not valid:
            raise DataError(f"{len(tasks)} tasks cannot be parted in two.", "Give the round more (sizes.train).")
        few = min(self.minibatch, len(feedback))
        least = 2 * (len(valid) + few)
        if self.calls < least:
            raise DataError(
                f"calls is {self.calls}: the prompt that it begins with and one other take {least} answers "
                f"({len(valid)} validation tasks and {few} of the others, each twice).",
                "Set calls higher, or sizes.train or validation lower.",
            )
        search = _Search(self, policy, context, writer_of(context), asyncio.get_running_loop())
        try:
            found = await asyncio.to_thread(search.optimized, feedback, valid)
        except BaseException as e:  # also where the run is stopped: the thread must not go on asking
            search.stop(e)
            raise
        if search.failed is not None:
            raise search.failed
        scores = dict(zip(found.texts, found.scores, strict=True))
        best = max(found.texts, key=lambda text: (scores[text], -found.texts.index(text)))
        context.decide(search.decisions(scores, best, len(valid)))
        context.learned(())
        if scores[best] <= scores[found.texts[0]]:
            raise NothingLearned(
                f"of {len(search.written)} prompts none is better than the one it has, which scores "
                f"{found.scores[0]:.1%} on {len(valid)} validation tasks."
            )
        return instructed(policy, best, self.name)


class _Found(NamedTuple):
    """The pool of a search: its texts, that which it began with first, and their mean scores on validation tasks."""

    texts: list[str]
    scores: list[float]


class _Wrote(NamedTuple):
    said: str
    text: str
    why_not: str | None


class _Search:
    """What GEPA calls an adapter: how candidates are tried, and how a child is written. It is called in a thread; all
    that touches the run happens on the run's loop, one thing after the other."""

    def __init__(
        self, op: EvolvePrompt, policy: Policy, context: UpdateContext, writer: Model, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._op, self._policy, self._context, self._writer, self._loop = op, policy, context, writer, loop
        self.failed: BaseException | None = None
        """What ended it. The package goes on after an error of a proposal, and must not."""
        self.written: list[_Wrote] = []
        self._pool: set[str] = set()
        self._valid: list[str] = []
        self._tried = 0
        self._pending: Any = None

    def optimized(self, feedback: Sequence[Task], valid: Sequence[Task]) -> _Found:
        """Run the search to its end. In a thread."""
        import gepa

        self._valid = [t.id for t in valid]
        few = min(self._op.minibatch, len(feedback))
        # what one more proposal may take: the package looks before it begins one, and not after
        more = 2 * few + len(valid)

        def over(state: Any) -> bool:
            return self.failed is not None or state.total_num_evals + more > self._op.calls

        found = gepa.optimize(
            seed_candidate={SYSTEM: self._policy.system or ""}, trainset=[*feedback], valset=[*valid], adapter=self,
            reflection_minibatch_size=few, max_metric_calls=self._op.calls, stop_callbacks=over, logger=_Silent(),
            seed=self._context.seed % 2**32,
        )  # fmt: skip
        return _Found([c[SYSTEM] for c in found.candidates], [float(s) for s in found.val_aggregate_scores])

    def stop(self, why: BaseException) -> None:
        self.failed = self.failed or why
        if self._pending is not None:
            self._pending.cancel()

    def evaluate(self, batch: list[Task], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """As ``gepa.GEPAAdapter``: the mean score of a candidate's answers to each task, and one as a record."""
        from gepa import EvaluationBatch

        found = self._on_the_loop(self._answered(batch, candidate[SYSTEM]))
        scores, records = ([found[t.id][place] for t in batch] for place in (0, 1))
        return EvaluationBatch(outputs=records, scores=scores, trajectories=records if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, str]]]:
        """As ``gepa.GEPAAdapter``: the answers that a reflection is shown, each with what was said of it. The package
        fills the last minibatch of an epoch with tasks that are in it already."""
        unlike = {r["task"]: r for r in eval_batch.trajectories if r}
        return {SYSTEM: list(unlike.values())}

    def propose_new_texts(
        self, candidate: dict[str, str], reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:  # fmt: skip
        """As ``gepa.GEPAAdapter``: a child, or the parent again where what was written is not fit to be tried."""
        records = reflective_dataset.get(SYSTEM, ())
        return {SYSTEM: self._on_the_loop(self._child(candidate[SYSTEM], records)) if records else candidate[SYSTEM]}

    async def _answered(self, tasks: Sequence[Task], text: str) -> dict[str, tuple[float, dict[str, str]]]:
        """By task: the mean score, and what a reflection would be shown. It is remembered as it was first: a check that
        gave no score is made again when a run is resumed, and must not lead the search elsewhere."""
        policy = instructed(self._policy, text, self._op.name)
        self._context.progress(min(self._tried, self._op.calls), self._op.calls)
        unlike = list({t.id: t for t in tasks}.values())
        name = f"evaluation {hash_of(policy.id, [t.id for t in unlike])[3:19]}"
        found = self._context.recall(name)
        if found is None:
            found = await self._scored(name, policy, unlike, text)
            await self._context.remember(name, found)
        self._tried += len(tasks)
        self._pool |= {text} if [t.id for t in tasks] == self._valid else set()
        return {id: (float(score), record) for id, (score, record) in found.items()}

    async def _scored(self, name: str, policy: Policy, tasks: Sequence[Task], text: str) -> dict[str, Any]:
        try:
            tries = await self._context.roll_out(name, policy, tasks)
        except StepFailed:
            if text in self._pool or text == (self._policy.system or ""):
                raise  # it could be answered under this one before: that is no fault of the prompt
            tries = []
        return {
            t.id: (_mean([e.feedback.score or 0.0 for e in own if e.feedback]), _record(own[0]) if own else {})
            for t in tasks
            for own in [[e for e in tries if e.task.id == t.id]]
        }

    async def _child(self, parent: str, records: Sequence[Mapping[str, Any]]) -> str:
        texts = [f"Task: {r['task']}\nAnswer: {r['answer']}\nSaid of it: {r['said']}" for r in records]
        mark = mark_for(parent, *texts)
        blocks = [fenced("instructions", parent or "(none)", mark)]
        blocks += [fenced(r["mark"], text, mark) for r, text in zip(records, texts, strict=True)]
        asked = "\n\n".join([*blocks, WARNING.format(mark=mark), self._op.request])
        with self._context.timed("generate"):
            (reply,) = await self._writer.ask((Message(role=Role.user, content=asked),), sampling=self._op.sampling)
        text = instructions_in(reply.text)
        why_not = self._unfit(text, parent, cut=reply.finish is not Finish.stop)
        self.written.append(_Wrote(said_in(reply), text, why_not))
        return parent if why_not else text

    def _unfit(self, text: str, parent: str, *, cut: bool) -> str | None:
        if cut:
            return "the reply was cut off"
        if not text:
            return "the reply has no instructions"
        if len(text) > self._op.longest:
            return f"it is longer than {self._op.longest} characters"
        if text == parent:
            return "it is the prompt that it was to better"
        if text in self._pool:
            return "it is in the pool already"
        return "it repeats words of a task that is held out" if self._context.leaks([text])[0] else None

    def decisions(self, scores: Mapping[str, float], best: str, n: int) -> list[Decision]:
        """On each prompt that was written: what became of it."""
        made = []
        joined = {w.text: i for i, w in enumerate(self.written) if w.why_not is None}  # it may have failed before
        for i, (said, text, why_not) in enumerate(self.written):
            score = scores.get(text) if joined.get(text) == i else None
            kept = score is not None and text == best
            reason = why_not or (
                "no better than its parent on the answers that it was written from"
                if score is None
                else f"it scores {score:.1%} on {n} validation tasks{'' if kept else ', and another prompt is better'}"
            )
            made.append(Decision(item=said, kept=kept, reason=f"a prompt: {reason}"))
        return made

    def _on_the_loop(self, work: Coroutine[Any, Any, T]) -> T:
        if self.failed is not None:
            work.close()
            raise Cancelled("the search was stopped.")
        self._pending = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self.failed is not None:  # it was stopped meanwhile
            self._pending.cancel()
        try:
            made: T = self._pending.result()
        except BaseException as e:
            self.failed = self.failed or e
            raise
        return made


class _Silent:
    """A log that the package may write to: what it says is in the run's own records."""

    def log(self, message: str) -> None:
        """Nothing."""


def instructed(policy: Policy, text: str, made_by: str) -> Policy:
    """The policy with this system prompt; itself where that is the one it has."""
    if text == (policy.system or ""):
        return policy
    changed = {"system": text or None, "parent": policy.id, "made_by": made_by, "id": ""}
    return policy.model_copy(update=changed).identified()


def instructions_in(reply: str) -> str:
    """What stands between the last two lines of ``` of a reply, or after the last one where it was not closed; without
    any, all of it. Without a language's name beside the mark, and without control characters."""
    parts = reply.split("```")
    inside = parts[-2] if len(parts) > 1 and len(parts) % 2 else parts[-1]
    beside, line, rest = inside.partition("\n")
    if len(parts) > 1 and line and re.fullmatch(r"[A-Za-z]{1,12}[ \t\r]*", beside):
        inside = rest
    lines = ("".join(c if c.isprintable() else " " * c.isspace() for c in text) for text in inside.splitlines())
    return "\n".join(text.rstrip() for text in lines).strip()


def _record(e: Experience) -> dict[str, str]:
    gold = e.task.private.get("answer")
    said = [e.feedback.comment if e.feedback else "", f"The right answer is {gold}." if gold is not None else ""]
    mark = e.feedback.mark.value if e.feedback else "answer"
    return {
        "task": e.task.question, "answer": e.solution.text, "mark": mark,
        "said": " ".join([f"It is {mark}.", *(s for s in said if s)]),
    }  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
