"""Any policy on any exam, outside a run: the very verbs of a run, over a ledger that is thrown away.

What comes out is the report a run would have stored: same keys, same precision, no gap accepted.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from instar.acquire.feedback import pool
from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.layouts import layout_of
from instar.acquire.tasks.table import Table, reachable
from instar.app.configs.config import Plan, plan
from instar.app.configs.config_file import read
from instar.app.configs.registry import EngineContext, engines, unknown
from instar.app.configs.run_config import RunConfig
from instar.app.configs.shots import with_shots
from instar.app.host.engine_choice import engine_for, exam_engine, options_for
from instar.app.preflight.prompts import longest_answer
from instar.app.preflight.seen import SHOWN, shown
from instar.app.scaffold.tasks import read_tasks, source_of
from instar.app.sessions.session import SEALED
from instar.app.sessions.suites import exam_of
from instar.app.sessions.task_sets import draw
from instar.app.storage.paths import artefacts
from instar.app.weights.policies import Found, find, reading
from instar.chat import ChatTokenizer
from instar.errors import ConfigError, DataError, StepFailed
from instar.evaluate.eval import Eval
from instar.protocols import Engine
from instar.records import Policy, Report, Sampling, Task, suite_kind
from instar.run.budget import Budget, BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.outputs import Output, mint_all
from instar.run.progress import Screen
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.store.door import open_ledger
from instar.store.ledger import Made
from instar.store.left_out import left_out

MAY_EXAMINE = ("sealed", "dev")
"""Sets of a run that a policy may be examined on here, beside its suites: the gate's would be trained on, train's prove
nothing."""


@dataclass(frozen=True)
class Suite:
    """What is asked and how: the tasks of a set of a run, or of a file."""

    name: str
    tasks: tuple[Task, ...]
    exam: Eval
    config: RunConfig
    """The run's configuration (or a default one): engine, precisions, seed, system prompt."""
    about: str
    engine: str | None = None
    """What answered in that run: "auto" takes it where it can, so that the report compares with the run's own."""


def plan_of(run: Path) -> Plan:
    """The checked configuration a run was made with. Raises ConfigError if it was killed before it stored one."""
    with reading(run) as ledger:
        about = ledger.about()
    if "config" not in about:
        raise ConfigError(f"the run {run.name} was killed before it began: nothing is stored.", "Start it again.")
    return plan(json.loads(about["config"]))


def suite_of_run(run: Path, name: str = "sealed") -> Suite:
    """The exam of a run, as it is asked there. Raises ConfigError for another set, DataError for an empty one."""
    if name not in MAY_EXAMINE and suite_kind(name) is None:
        hint = "The gate's tasks decide promotions and train's were trained on." if name in ("gate", "train") else ""
        raise ConfigError(f"{run.name}:{name} is no exam; there are {' and '.join(MAY_EXAMINE)}.", hint)
    made = plan_of(run)
    exam = (getattr(made.settings, "dev_exam", None) if name == "dev" else None) or getattr(made.settings, "exam", None)
    if not isinstance(exam, Eval):
        raise ConfigError(f"the recipe {made.recipe.name} of the run {run.name} has no exam.", "Give a JSONL file.")
    if suite_kind(name) is not None:
        if name not in made.run.suites:
            raise unknown("suite", name, made.run.suites)
        exam = exam_of(exam, made.run.suites[name])
    with reading(run) as ledger:
        out = left_out(ledger)
        asked = [id for id in ledger.sets().get(name, []) if id not in out]
        tasks = [t for t in ledger.records(ids=asked) if isinstance(t, Task)]
        engine = exam_engine(ledger)
        # as it was noted, or (of an older run) as one of its exams was held: all of them have the same roles
        others = json.loads(ledger.about().get("cast", "{}")) or next(
            (r.exam.roles for r in cast(list[Report], ledger.records("report")) if r.exam.roles), {}
        )
    if others:
        raise ConfigError(
            f"the exams of {run.name} have other roles beside the policy: {', '.join(sorted(others))}.",
            "Its recipe alone brings them: examine there.",
        )
    if not tasks:
        raise DataError(f"the run {run.name} has no {name} tasks.", f"Its config says sizes.{name} = 0.")
    return Suite(name, tuple(tasks), exam, made.run, f"the {name} set of {run.name} ({len(tasks)} tasks)", engine)


def suite_of_config(path: Path, *, at_most: int | None = None) -> Suite:
    """The sealed exam that a run of this config would end with: its tasks, prompts, judge and lengths. Raises
    ConfigError and DataError as the run would."""
    made = plan(read(str(path)))
    exam = getattr(made.settings, "exam", None)
    if not isinstance(exam, Eval):
        raise ConfigError(f"the recipe {made.recipe.name} of {path} has no exam.", "Give a file of rows.")
    minted = mint_all([Output(task, ()) for task in draw(made)["sealed"][:at_most]], made.run.tasks.op_id, 0)
    tasks = [m.record for m in minted if isinstance(m.record, Task)]
    return Suite(SEALED, tuple(tasks), exam, made.run, f"the sealed set of {path} ({len(tasks)} tasks)")


def suite_of_file(
    path: Path, *, judge: str | None, samples: int, max_tokens: int, at_most: int | None, question: str | None = None,
    answer: str | None = None,
) -> Suite:  # fmt: skip
    """All distinct rows of a file in any layout that ``instar init`` knows, asked greedily (sampled at 0.7 when there
    are several samples a task).

    ``judge``: a checker's name or ``my_checks.py:is_right``. ``question`` and ``answer`` name columns. Raises
    ConfigError and DataError as the run would.
    """
    source: Table = (plain := Jsonl(path=str(path)))
    reachable(source)
    if path.suffix != ".jsonl" or question or answer or not _usual(plain):
        reading = read_tasks(path, question=question, answer=answer)
        if reading.bad:
            raise DataError(
                f"{len(reading.bad)} rows of {path} cannot be used: {reading.bad[0]}.", "Mend or remove them."
            )
        source = source_of(reading)
    drawn = source.distinct()[:at_most]
    made = mint_all([Output(task, ()) for task in drawn], source.op_id, 0)
    tasks = [m.record for m in made if isinstance(m.record, Task)]
    sampling = Sampling(temperature=0.0 if samples == 1 else 0.7, max_tokens=max_tokens)
    verifier = Verify(checker=judge) if judge else Verify()
    exam = Eval(solve=Sample(samples=samples, sampling=sampling), judge=verifier, samples=samples)
    return Suite(path.name, tuple(tasks), exam, RunConfig(recipe="rest_em"), f"{path} ({len(tasks)} tasks)")


def _usual(source: Jsonl) -> bool:
    """Whether the rows are a question and an answer under these names, and no conversation or choice."""
    try:
        source.distinct()
        return layout_of([row for _, row in source._read(str(source.path)).rows]) is None
    except DataError:
        return False


def candidate_for(suite: Suite, said: str, *, system: str | None = None, say: Callable[[str], None]) -> Found:
    """The policy that ``said`` names, asked as the suite's questions are: one of a run as it was asked there, any other
    with the system prompt (unless another is given) and the shots of the suite's config.

    Raises as ``instar.app.weights.policies.find`` does.
    """
    found = find(said, system=suite.config.system if system is None else system, say=say)
    if found.run is not None or not suite.config.shots:
        return found
    shots = suite.config.shots
    many = f"{len(shots)} examples" if len(shots) > 1 else "example"
    say(f"{said} is of no run: it is shown the {many} of the exam's config before each question")
    return replace(found, policy=with_shots(found.policy, shots))


@contextmanager
def open_engine(
    policy: Policy,
    config: RunConfig,
    *,
    name: str | None = None,
    before: str | None = None,
    scratch: Path | None = None,
) -> Iterator[Engine]:
    """The engine that answers for a policy, closed again at the end. ``name`` overrides the configuration's; "auto"
    takes ``before`` where it can."""
    asked = name or config.engine
    if asked != "auto" and asked not in engines():
        raise unknown("engine", asked, ["auto", *engines()])
    store = artefacts()
    options = dict(config.engine_options) if name in (None, config.engine) else {}
    chosen = engine_for(policy, store, options, before=before) if asked == "auto" else asked
    if chosen == "openai":
        options = options_for(policy, config)
    with tempfile.TemporaryDirectory(prefix="instar-", dir=scratch) as folder:
        engine = engines()[chosen](EngineContext(store, Path(folder), options))
        try:
            yield engine
        finally:
            engine.close()


def examine_all(policies: Sequence[Policy], suite: Suite, screen: Screen, *, engine: str | None = None) -> list[Report]:
    """Each policy's report on one exam, in order. Raises InstarError as a run's own exam does."""
    for policy in policies:
        refuse_overlong(policy, suite)
    reports = []
    pool.shared().warm()
    try:
        for policy in policies:  # one engine at a time: two sets of weights need not fit
            with open_engine(policy, suite.config, name=engine, before=suite.engine) as made:
                reports.append(asyncio.run(examined(policy, suite, screen, made)))
    except StepFailed as e:  # its hint speaks of a run that is resumed
        raise StepFailed(e.message, "Mend the cause and examine again: an exam accepts no gap.") from e
    finally:
        pool.shared().close()
    return reports


def refuse_overlong(policy: Policy, suite: Suite) -> None:
    """Raises DataError for tasks that, with the answer asked for, do not fit the context, before any is asked."""
    most = longest_answer(suite.exam.solve)
    if not most or policy.weights.place != "artefact":
        return
    chat = ChatTokenizer.load(artefacts().open(policy.weights.digest))
    lengths = chat.prompt_lengths([policy.prompt(t) for t in suite.tasks])
    over = [(t, n) for t, n in zip(suite.tasks, lengths, strict=True) if n + most > chat.context]
    if over:
        said = "; ".join(f"{shown(t.question)}: {n:,} tokens" for t, n in over[:SHOWN])
        more = f" and {len(over) - SHOWN:,} more" if len(over) > SHOWN else ""
        many = f"{len(over):,} of the {len(suite.tasks):,} questions {'do' if len(over) > 1 else 'does'}"
        raise DataError(
            f"{many} not fit the context of {policy.weights.name or 'the model'}, {chat.context:,} tokens of which "
            f"{most:,} are kept for the answer: {said}{more}.",
            "Shorten or remove these rows, ask for shorter answers (--max-tokens), or take another model.",
        )


async def examined(policy: Policy, suite: Suite, screen: Screen, engine: Engine) -> Report:
    """The policy's report on a suite, over a ledger that is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="instar-exam-"))
    try:
        with closing(open_ledger(folder / "ledger.db", "write")) as ledger:
            budget_tracker = BudgetTracker(Budget(), folder)
            run = Run(
                ledger=ledger, engine=engine, artefacts=artefacts(), budget_tracker=budget_tracker, screen=screen,
                watch=Stopwatch(), generate_context=GenerateContext(engine, ledger, budget_tracker, asyncio.Event()),
                stop=threading.Event(), folder=folder, seed=suite.config.seed, base=policy, tasks=Sets((), (), (),
                suite.tasks),
            )  # fmt: skip
            ledger.add_records([Made(policy, "examined", 0, 0)])
            with screen.shown():
                return await run.evaluate(suite.exam, policy, suite.tasks, suite=suite.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
