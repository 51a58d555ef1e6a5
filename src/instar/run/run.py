"""The run: one verb a phase of the loop. A recipe sees nothing else.

Verbs see only their arguments; nothing here reads the ledger for a recipe (on resume it would show the future).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from instar.errors import StepFailed
from instar.made import Quality
from instar.memory.library import Library
from instar.protocols import (
    ArtefactStore,
    Attempt,
    Choose,
    Correct,
    Create,
    Engine,
    Filter,
    Gate,
    Judge,
    Pairing,
    Predict,
    Propose,
    Replay,
    RolloutPrompts,
    Solve,
    StoppingGate,
    Update,
    Watch,
)
from instar.records import Decision, Experience, Health, Likelihood, Objective, Pair, Policy, Report, Task
from instar.run import (
    attempting,
    creating,
    evaluating,
    judging,
    likelihoods,
    pairing,
    refining,
    replaying,
    solving,
    steering,
    updating,
)
from instar.run.braking import Brake
from instar.run.budget import BudgetTracker
from instar.run.evaluating import Eval, once_a_round
from instar.run.generate import GenerateContext, handles
from instar.run.generate import Handles as Handles
from instar.run.learning import FEW_ROWS, Heard, few, peeking, weigh, weigh_kept
from instar.run.measuring import Measuring
from instar.run.progress import Screen
from instar.run.sets import Sets as Sets
from instar.run.sets import kept_apart
from instar.run.steps import Steps
from instar.run.stopwatch import Stopwatch
from instar.run.trying import Tries
from instar.store.ledger import Ledger


@dataclass(kw_only=True)
class Run:
    """The verbs, over one ledger, one engine and one event loop. What each does is in the module that is named after
    it; what they share is a ``Steps``."""

    ledger: Ledger
    engine: Engine
    artefacts: ArtefactStore
    generate_context: GenerateContext
    budget_tracker: BudgetTracker
    screen: Screen
    watch: Stopwatch
    stop: threading.Event
    folder: Path
    seed: int
    base: Policy
    tasks: Sets
    tolerance: float = 0.05
    round: int = 0
    last_round: int = 0
    controls: dict[str, Policy] = field(default_factory=dict)
    """Policies made only to compare with: examined beside the final one, never promoted."""
    cast: dict[str, Policy] = field(default_factory=dict)
    """Who plays the other roles, in what is sampled and in every exam: a partner, say, that stays as it is while what
    is trained and examined is "self". An exam's record names them."""
    procedures: dict[str, Eval] = field(default_factory=dict)
    """Ways to answer with the final policy, such as correcting itself: examined at the end, at equal cost."""
    casts: dict[str, dict[str, Policy]] = field(default_factory=dict)
    """Who plays which other role in one of the procedures, by its name: a verifier, say. In no other exam."""
    healths: list[Health] = field(default_factory=list)
    """Of the rounds so far. In memory only: a resumed run fills it again as it replays, so it shows no future."""
    makings: dict[str, creating.Making] = field(default_factory=dict)
    """By operator, what it made last. In memory only, as ``healths``."""
    qualities: dict[str, list[Quality]] = field(default_factory=dict)
    """By operator, how good what it made was, round by round. In memory only, as ``healths``."""
    reported: dict[tuple[str, str], str] = field(default_factory=dict)
    """(suite, policy) to the newest report of this session: what the run ends with is made from them."""
    measuring: Measuring = field(default_factory=Measuring)
    budgets: Mapping[str, tuple[Gate, Eval]] = field(default_factory=dict)
    """Suites that a candidate must not lose too much on, from the base on: who says so, and how they are examined."""
    turns: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """By round, the guards that its candidates are examined on; none: all of them in every round."""
    heard: Heard = field(default_factory=Heard)
    """What verifiers said of this round's answers."""
    tries: Tries = field(default_factory=Tries)
    """What was tried so far, and how often it was right. In memory only, as ``healths``."""
    keep_going: bool = False
    """Whether a round goes on that cannot teach anything."""
    brake: Brake = field(default_factory=Brake)
    """What two rounds of raised alarms come to."""
    writes: Solve | None = None
    """How the base answers training tasks for the divergence of each candidate from it; None: that is not measured."""
    texts: likelihoods.Texts | None = None
    """Held-out texts whose perplexity must not rise too much, from the base on."""
    gated: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """By round, the items with which a gate that stops early decided. In memory only, as ``healths``."""
    _noted: dict[str, str] = field(default_factory=dict)
    evolved_at: float | None = None
    """Seconds of wall clock at which the evolution itself was over."""

    def __post_init__(self) -> None:
        self.generate_context.library = self.generate_context.library or Library(self.artefacts)

    def rounds(self, n: int) -> Iterator[int]:
        """Rounds 1 to n. The round is part of every key made inside."""
        self.last_round = n
        for self.round in range(1, n + 1):
            self.screen.line(f"round {self.round} of {n}")
            yield self.round

    def train_tasks(self) -> tuple[Task, ...]:
        """This round's fresh share of the training tasks."""
        return self.tasks.share("train", self.round, self.last_round)

    def gate_tasks(self) -> tuple[Task, ...]:
        """This round's gate items: a gate that is reused every round is trained on."""
        return self.tasks.share("gate", self.round, self.last_round)

    @property
    def other_model(self) -> Policy | None:
        """The policy of ``judge_model``: whom a recipe may ask besides its own model; None where there is none."""
        return self.measuring.judge

    def models(self, policy: Policy, **roles: Policy) -> Handles:
        """The policy at hand under the role "self", for sampling, and who plays the other roles: these and ``cast``.
        Each acts with its own adapter for its role, if it has one. Raises ConfigError for a second "self"."""
        policy = self.brake.stands_for(policy)
        if self.round <= self.last_round:  # what comes after the last is comparison
            self.brake.sampled(policy)
        return handles(self.engine, policy, {**self.cast, **roles}, self.engine.precision_for("sample"))

    def evolved(self) -> None:
        """The evolution is over; what follows is comparison: not counted in its time, nor in its last round."""
        said = self.ledger.about().get("evolved_at")  # a resumed run was over when it was first over
        self.evolved_at = float(said) if said else self.budget_tracker.seconds
        self.ledger.set_about(evolved_at=repr(self.evolved_at))
        self.round = self.last_round + 1

    def note(self, text: str) -> None:
        self._steps.note(text)

    @property
    def _steps(self) -> Steps:
        """What the verbs share, as of now. Who plays the other roles is noted before the first of them asks."""
        cast = {role: p.id for role, p in self.cast.items()}
        if cast != self._noted:
            self.ledger.set_about(cast=json.dumps(cast))
            self._noted = cast
        return Steps(
            ledger=self.ledger, engine=self.engine, generate_context=self.generate_context, screen=self.screen,
            watch=self.watch, seed=self.seed, tolerance=self.tolerance, round=self.round, base=self.base,
            measuring=self.measuring, cast=self.cast,
        )  # fmt: skip

    # --- steer ----------------------------------------------------------------------------------------------------

    async def choose(self, op: Choose, reports: Sequence[Report], refused: int, budget: int) -> list[Objective]:
        """The objectives of this round, recorded as a tree with the root first. ``reports``: dev, newest last."""
        kept_apart(op, (), reports)
        reports = [r for r in reports if r.policy not in self.brake.instead]
        return await steering.choose(self._steps, op, reports, refused, budget)

    async def propose(self, op: Propose, objectives: Sequence[Objective], pool: Sequence[Task]) -> list[Task]:
        """Tasks of ``pool`` for these objectives; a ``Selection`` sees what was tried so far too. Each selection is
        recorded as a decision made from the objective that it serves; a task not selected stays in the pool,
        undecided. Raises StepFailed where a task is of gate or sealed."""
        kept_apart(op, self.tasks.among_suites(pool))
        examined = {t.id for t in (*self.tasks.gate, *self.tasks.sealed)}
        return await steering.propose(self._steps, op, objectives, pool, self.tries.all(), examined)

    async def create(
        self, op: Create, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task],
        models: Handles, *, at_least: int = 1,
    ) -> list[Task]:  # fmt: skip
        """New tasks for these objectives, made from ``sources``; none repeats a task of ``seen`` or one that is held
        out. Each is recorded, those that are dropped too, with a decision that says why. Raises DataError where fewer
        than ``at_least`` are left."""
        held = self.tasks.held_out()
        made = await creating.create(self._steps, op, objectives, sources, seen, models, held, at_least=at_least)
        self.makings[op.op_id] = made
        return list(made.tasks)

    def appraise(self, op: Create, attempts: Sequence[Experience] = ()) -> Decision:
        """The quality of what ``op`` made last (``create``), recorded, and whether it may go on as a source: not where
        that fell (``instar.made.fallen``). ``attempts``: judged answers to it, which say how difficult it is. Raises
        StepFailed where it made nothing yet."""
        if op.op_id not in self.makings:
            raise StepFailed(f"{op.name} has made no tasks yet, so there is nothing to appraise.", "Create first.")
        past = self.qualities.setdefault(op.op_id, [])
        found, decision = creating.appraise(self._steps, op, self.makings[op.op_id], past, attempts)
        past.append(found)
        return decision

    async def predict(
        self, op: Predict, judge: Judge, right: Filter, exam: Eval, policy: Policy, report: Report
    ) -> Decision:
        """Whether a round can help, recorded with its reason, from a dev ``report`` of this policy on this exam. The
        exam's own answers are judged again by the round's ``judge`` and kept or not by ``right``; none is asked for."""
        kept_apart(op, (), [report])
        policy = self.brake.stands_for(policy)
        if report.policy in self.brake.instead:  # of the policy that a hold went back from
            report = await self.evaluate(exam, policy, self.tasks.dev, suite="dev")
        return await steering.predict(self._steps, op, judge, right, exam, policy, report, self.tasks.dev)

    async def health(
        self, op: Watch, attempts: Sequence[Experience], kept: Sequence[Experience],
        before: Report | None = None, after: Report | None = None,
    ) -> Health:  # fmt: skip
        """This round's health, recorded and added to ``healths``; raised alarms are said at once."""
        kept_apart(op, (), [r for r in (before, after) if r is not None])
        found = await steering.health(self._steps, op, list(self.healths), attempts, kept, before, after)
        self.healths.append(found)
        self.healths = self.brake.look(self._steps, self.healths, kept, self.last_round)
        return found

    # --- acquire --------------------------------------------------------------------------------------------------

    async def solve(
        self, op: Solve, tasks: Sequence[Task], models: Handles, *, title: str = "solving", peek: Judge | None = None
    ) -> list[Experience]:
        """Every task's solutions, not yet judged, in task order. ``peek``: the verifier that will judge them looks at
        the first ones while the others are made, and says if none is right, or all are; nothing is recorded of it."""
        steps = self._steps
        step = steps.step("solve", op, title)
        if peek is not None and self._evolving and "checker" in type(peek).model_fields:  # it asks no model
            step.seen = peeking(peek, tasks, self.heard, self.round, self.note)
        return await solving.solve(steps, step, tasks, models)

    async def judge(self, op: Judge, attempts: Sequence[Experience], models: Handles) -> list[Experience]:
        """The same experiences with feedback. An operator call sees all solutions of one task."""
        steps = self._steps
        judged = await judging.judge(steps, steps.step("judge", op, "checking"), attempts, models)
        self._hear(judged)
        return judged

    async def attempt(
        self, op: Attempt, tasks: Sequence[Task], models: Handles, *, title: str = "attempting"
    ) -> list[Experience]:
        """Every task's solutions with their feedback, in task order: for operators that judge while they solve."""
        attempts = await attempting.attempt(self._steps, op, tasks, models, title=title)
        self._hear(attempts)
        return attempts

    # --- refine ---------------------------------------------------------------------------------------------------

    async def correct(self, op: Correct, attempts: Sequence[Experience], models: Handles) -> list[Experience]:
        """Rewritten solutions of these experiences, not yet judged. Each knows the solution it was made from."""
        return await refining.correct(self._steps, op, attempts, models)

    async def keep(self, filters: Filter | Sequence[Filter], attempts: Sequence[Experience]) -> list[Experience]:
        """What passes all filters, one after the other. Every decision is recorded with its reason."""
        kept = await self._kept(filters, attempts)
        self._weigh()
        if self._evolving:
            weigh_kept(self._steps, self.heard, len(kept))
        return kept

    @property
    def _evolving(self) -> bool:
        """Whether a round goes on: what comes after the last one is comparison, of which nothing is warned."""
        return self.round <= self.last_round

    def _hear(self, attempts: Sequence[Experience]) -> None:
        if self._evolving:
            self.heard.hear(self.round, attempts, self.note)
            self.tries.hear(self.round, attempts)

    def _weigh(self) -> None:
        """Stop where this round cannot teach anything."""
        if self._evolving:
            weigh(self._steps, self.heard, keep_going=self.keep_going)

    async def _kept(self, filters: Filter | Sequence[Filter], attempts: Sequence[Experience]) -> list[Experience]:
        for op in [filters] if isinstance(filters, Filter) else filters:
            kept_apart(op, self.tasks.among_suites(e.task for e in attempts))
        return await refining.keep(self._steps, filters, attempts, tell=self._evolving)

    async def split(
        self, filters: Filter | Sequence[Filter], attempts: Sequence[Experience]
    ) -> tuple[list[Experience], list[Experience]]:
        """(what passes, what does not)."""
        kept = await self._kept(filters, attempts)
        inside = {e.id for e in kept}
        return kept, [e for e in attempts if e.id not in inside]

    async def pair(self, op: Pairing, attempts: Sequence[Experience]) -> list[Pair]:
        """Which of these answers are preferred to which others. Each pair is recorded with why it is one, and each
        answer that is in none with the reason."""
        kept_apart(op, self.tasks.among_suites(e.task for e in attempts))
        return await pairing.pair(self._steps, op, attempts)

    # --- update ---------------------------------------------------------------------------------------------------

    async def update(
        self, op: Update, policy: Policy, data: Sequence[Experience], *, rollout_prompts: RolloutPrompts | None = None,
        references: Mapping[str, Policy] = MappingProxyType({}), pairs: Sequence[Pair] | None = None,
        title: str = "training", models: Handles = MappingProxyType({}),
    ) -> Policy:  # fmt: skip
        """A candidate made from ``policy`` and ``data``, from ``pairs`` of answers, or from ``rollout_prompts``:
        rollouts of the update's own.

        ``references``: policies of this run that the update holds it against, each by a name of the recipe's. They are
        part of what the candidate was made from.

        ``models``: whom the update may ask (``run.models(policy)``), journalled as in any other call. Without any the
        engine is unloaded first: training needs its memory.
        """
        policy = self.brake.stands_for(policy)
        references = {name: self.brake.stands_for(p) for name, p in references.items()}
        self.brake.paired = self.brake.paired or pairs is not None
        if self._evolving and len(usable := self.brake.usable(data)) < len(data):
            self.note(f"{len(data) - len(usable)} of {len(data)} answers are of rounds that the brake set aside")
            data = usable
            if not data:
                return policy
        if self._evolving and data and op.trains and self.brake.past is not None and self.brake.replay is not None:
            data = [*data, *await self.replay(self.brake.replay, self.brake.past, data)]
        if self._evolving and pairs is not None:
            pairs = [p for p in pairs if self.brake.usable([p.chosen, p.rejected]) == [p.chosen, p.rejected]]
        paired = (p.chosen.task for p in pairs or ())
        learned = chain((e.task for e in data), paired, rollout_prompts.tasks if rollout_prompts else ())
        kept_apart(op, self.tasks.among_suites(learned))
        rows = len(data) + len(pairs or ())
        if op.trains and 0 < rows < FEW_ROWS and self._evolving:
            self.note(few(rows))
        made = await updating.update(
            self._steps, op, policy, data, rollout_prompts=rollout_prompts, references=references, pairs=pairs,
            title=title, artefacts=self.artefacts, folder=self.folder, stop=self.stop,
            on_rollout=self._hear, weigh=self._weigh,
            held_out=() if op.trains else self.tasks.examined(), models=models,
        )  # fmt: skip
        moved = (made.weights, made.adapters) not in (
            (policy.weights, policy.adapters), (self.base.weights, self.base.adapters),
        )  # fmt: skip
        self.heard.trained = self.heard.trained or (moved and op.trains)
        if self.writes is not None and self._evolving and moved:  # a merge too; not what it shows or remembers
            await likelihoods.measured(self._steps, self.writes, made, self.tasks.train)
        return made

    async def replay(
        self, op: Replay, policy: Policy, new: Sequence[Experience], *, exam: Eval | None = None
    ) -> list[Experience]:
        """What of the earlier is learned again beside ``new`` by an update of ``policy``: answers that it and those
        before it were trained toward, and what the operator brings. Each is recorded with a decision. ``exam``: how the
        policy is asked again, where it is to be known what it does not know any more."""
        suites = self.tasks.among_suites(e.task for e in new)
        kept_apart(op, suites)
        policy, aside = self.brake.stands_for(policy), self.brake.aside if self._evolving else frozenset[str]()
        return await replaying.replay(self._steps, op, policy, new, exam, self.tasks.held_out(), aside)

    # --- evaluate -------------------------------------------------------------------------------------------------

    async def evaluate(self, exam: Eval, policy: Policy, tasks: Sequence[Task], *, suite: str) -> Report:
        """A policy on an exam. No failure is tolerated: a missing attempt would change the denominator."""
        policy = self.brake.stands_for(policy)
        report = await evaluating.evaluate(self._steps, exam, policy, tasks, suite=suite)
        self.reported[suite, policy.id] = report.id
        return report

    def _visit(self, guard: str) -> int | None:
        """For which time candidates are examined on a guard in this round; None: it is not this one's turn."""
        if not self.turns:
            return self.round
        if guard not in self.turns.get(self.round, ()):
            self.note(f"{guard}: not in this round, the guards take turns")
            return None
        return sum(guard in names for round, names in self.turns.items() if round <= self.round)

    async def read(self, policy: Policy, round: int = 0) -> Likelihood:
        """How likely a policy finds the held-out texts of a round; 0: those that nothing is decided by."""
        if self.texts is None:
            raise StepFailed("this run has no guard of texts.", 'Set suites."guard:text" = "bundled".')
        return await likelihoods.read(self._steps, self.texts, self.brake.stands_for(policy), round)

    async def dev(self, exam: Eval, policy: Policy) -> Report | None:
        """A policy's report on the dev set; None where the run has none."""
        return await self.evaluate(exam, policy, self.tasks.dev, suite="dev") if self.tasks.dev else None

    async def promote(
        self, gate: Gate, exam: Eval, incumbent: Policy, candidate: Policy, tasks: Sequence[Task]
    ) -> Policy:
        """The candidate if the gate lets it pass, and then every guard with a budget too, else the incumbent. Missing
        evidence means no.

        A gate that may stop early decides once in each round, on items that decided nothing before: its error is
        shared among the rounds. Raises StepFailed otherwise."""
        incumbent = self.brake.stands_for(incumbent)
        if isinstance(gate, StoppingGate) and candidate.id != incumbent.id:
            self.gated = once_a_round(gate, self.gated, self.round, tasks)
        rounds, steps = max(1, self.last_round), self._steps
        now = await evaluating.promote(steps, gate, exam, incumbent, candidate, tasks, rounds=rounds)
        if now.id != incumbent.id:
            guards = [
                (op, how, name, self.tasks.guard_part(name, visit))
                for name, (op, how) in self.budgets.items()
                if (visit := self._visit(name)) is not None
            ]
            kept = await evaluating.kept_within(steps, guards, now)
            if kept and self.texts is not None:
                kept = await likelihoods.kept_within(steps, self.texts, now, self.round)
            now = now if kept else incumbent
        self.brake.promoted(now)
        return now
