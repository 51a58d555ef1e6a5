"""One session of a run: open or reopen its folder, let the recipe work, examine the result, leave it resumable."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.acquire.feedback import pool
from instar.acquire.replay import Mixed
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.sets import SETS
from instar.app.configs.config import Plan
from instar.app.configs.shots import with_shots
from instar.app.host.engine_choice import engine_of
from instar.app.host.limits import limits
from instar.app.host.machine import gpu, processor
from instar.app.host.versions import versions
from instar.app.memories import with_memory
from instar.app.preflight.estimate import agenda
from instar.app.preflight.foreseen import contradicted, foreseen, renamed
from instar.app.preflight.guards import turns
from instar.app.preflight.needs import lacking
from instar.app.preflight.strangers import strangers
from instar.app.preflight.trainable import refuse_untrainable
from instar.app.preflight.verifiers import put_to_the_test, verifiers
from instar.app.sessions.begun_with import begun_with, recorded_as
from instar.app.sessions.ending import end
from instar.app.sessions.headline import beside, figures
from instar.app.sessions.procedures import procedures
from instar.app.sessions.same_run import same_run
from instar.app.sessions.stopping import stopping_on_ctrl_c
from instar.app.sessions.suites import budgets, examined
from instar.app.sessions.task_sets import sets_of
from instar.app.sessions.texts import read_at_last, texts_of
from instar.app.sessions.tools import same_tools
from instar.app.sessions.tracking import followed, ready
from instar.app.storage.paths import artefacts, home
from instar.errors import (
    BudgetSpent,
    Cancelled,
    ConfigError,
    NothingToLearn,
    RunHeld,
    StepFailed,
    StoreError,
)
from instar.legible import said
from instar.model_folder.folder import read
from instar.protocols import Engine, Replay
from instar.records import Policy, Sampling, Task
from instar.run.braking import Brake
from instar.run.budget import BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.measuring import Measuring
from instar.run.progress import Screen
from instar.run.replaying import refuse_held_out
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.store.artefacts import Artefacts
from instar.store.disk import full, is_full
from instar.store.door import open_ledger
from instar.store.ledger import Ledger, Made
from instar.store.left_out import leave_out
from instar.store.lock import WriterLock
from instar.store.readers import policies
from instar.store.refusal import WRITING
from instar.store.sessions import seconds_of

SEALED = "sealed"
WRITES = Sample(samples=1, sampling=Sampling(temperature=1.0, max_tokens=64))
"""How the base answers for the divergence from it: as it is, from all tokens, or the estimate would be biased."""


@dataclass(frozen=True)
class Ended:
    """How a session ended. ``nothing_left`` is True when the run was complete before it began."""

    folder: Path
    nothing_left: bool = False


def execute(
    plan: Plan,
    folder: Path,
    screen: Screen,
    *,
    accept_changes: bool = False,
    without: Sequence[tuple[str, str]] = (),
    stop: threading.Event | None = None,
    drawn: Mapping[str, list[Task]] | None = None,
    check_seconds: float = 0.0,
) -> Ended:
    """Work on a run until it is done, stopped or failed. Raises InstarError; what is finished is in the ledger.

    ``without``: tasks to leave out from now on, for every policy, each (id or its beginning, reason). ``drawn``: a new
    run's sets where they were drawn already (app.preflight), ``check_seconds`` what one check took there.

    Ctrl-C stops it in the main thread; in another thread (a notebook's), setting ``stop`` does.
    """
    stop = stop or threading.Event()
    ready(plan)
    with WriterLock(folder / "lock"), _clear_disk_errors(folder), contextlib.closing(_ledger(folder)) as ledger:
        if ledger.copied is not None:
            screen.line(f"  this ledger is of an older instar; as it was, it is kept as {ledger.copied.name}")
        if not ledger.has_work():  # a start that failed leaves nothing in the way of the next
            ledger.forget_start()
            (folder / "started").touch()
        changed = same_run(ledger, plan, accept_changes)
        if "result" in ledger.about():
            with followed(plan, folder, screen.line):  # a tracker that was added later, or failed, hears of it now
                pass
            if without:
                raise ConfigError(f"the run {folder.name} is finished: its exam stands.", "Start a new run.")
            return Ended(folder, nothing_left=True)
        for task, reason in without:
            screen.line(leave_out(ledger, task, reason))
        watch = Stopwatch()
        session = ledger.begin_session()
        _note_versions(ledger, session)
        with followed(plan, folder, screen.line):
            status, note = "failed", ""
            try:
                _work(plan, folder, screen, ledger, watch, accept_changes, stop, changed, drawn, check_seconds)
                status = "finished"
            except KeyboardInterrupt:  # before the loop, or after it
                status, note = "stopped", "Ctrl-C"
                raise Cancelled("stopped.") from None
            except (Cancelled, BudgetSpent, NothingToLearn, RunHeld) as e:
                status, note = "stopped", f"{e.kept} {e.hint}" if isinstance(e, NothingToLearn) else str(e)
                raise
            except SystemExit as e:  # a user's operator called sys.exit(): the run has not ended well
                note = f"SystemExit: {e}"
                raise StepFailed(f"an operator called sys.exit({e}).", "Mend it and resume: the rest is kept.") from e
            except BaseException as e:
                note = f"{type(e).__name__}: {said(e)}"
                raise
            finally:
                # a full disk cannot take the note either; the reason is on its way
                with contextlib.suppress(StoreError):
                    ledger.end_session(session, status, note[:2000], watch.spans())
    return Ended(folder)


def _note_versions(ledger: Ledger, session: int) -> None:
    """Each session may have run on another machine, or after an upgrade: all of them are kept."""
    known = json.loads(ledger.about().get("versions", "{}"))
    ledger.set_about(versions=json.dumps({**known, f"session {session}": versions()}))


def _note_limits(ledger: Ledger, base: Policy, engine: Engine, store: Artefacts) -> None:
    """What this machine could do for such a model, so that the summary can say the share of it that was reached."""
    if base.weights.place != "artefact" or gpu() is not None or importlib.util.find_spec("torch") is None:
        return  # a GPU's rate is not measured yet
    trained = "bf16" if processor()["bf16_in_hardware"] else "f32"
    of = {"generate": engine.precision_for("sample"), "exam": engine.precision_for("exam"), "train": trained}
    ledger.set_about(limits=json.dumps(limits(home(), store.open(base.weights.digest), of)))


def _work(
    plan: Plan, folder: Path, screen: Screen, ledger: Ledger, watch: Stopwatch, accept: bool, stop: threading.Event,
    changed: frozenset[str], drawn: Mapping[str, list[Task]] | None, check_seconds: float,
) -> None:  # fmt: skip
    store = artefacts()
    with watch.phase("start"):
        pool.shared().warm()  # the checking processes start on the other core meanwhile: about a second
        try:
            base = _base(plan, ledger, store, screen)
            if base.weights.place == "artefact":
                refuse_untrainable(plan, read(store.open(base.weights.digest)))
            ledger.add_records([Made(base, recorded_as(plan.run.model), 0, 0)])
            judge = _judge(plan, ledger, store, screen)
            if judge is not None and judge.id != base.id:
                ledger.add_records([Made(judge, recorded_as(str(plan.run.judge_model)), 0, 0)])
            # who looked before the run began has said so
            contradictions = [] if ledger.sets() or drawn is not None else [*renamed(plan), *contradicted(plan)]
            tasks = sets_of(plan, ledger, drawn)
            for sentence in [*contradictions, *(foreseen(plan, {"gate": tasks.gate}) if drawn is None else ())]:
                screen.line(f"warning: {sentence}")
            if "agenda" not in ledger.about():
                now = {n: getattr(tasks, n) for n in SETS} | dict(tasks.suites)
                ledger.set_about(agenda=json.dumps(agenda(plan, now, check_seconds)))
            if not ledger.has_work() and (taking := turns(plan, dict(tasks.suites))) is not None:
                ledger.set_about(guard_turns=json.dumps({str(r): list(n) for r, n in taking.by_round.items()}))
                screen.line(taking.sentence)
            engine = engine_of(plan, base, folder, store, ledger, screen.line, judge=judge)
            _note_limits(ledger, base, engine, store)
        except BaseException:
            pool.shared().close()  # now, not at exit: workers that boot while their parent goes print tracebacks
            raise
    try:
        asyncio.run(
            _loop(plan, folder, screen, ledger, watch, store, base, judge, tasks, engine, accept, stop, changed)
        )
    finally:
        with watch.phase("close"):
            engine.close()
            pool.shared().close()


async def _loop(
    plan: Plan, folder: Path, screen: Screen, ledger: Ledger, watch: Stopwatch, store: Artefacts,
    base: Policy, judge: Policy | None, tasks: Sets, engine: Engine, accept: bool, stop: threading.Event,
    changed: frozenset[str],
) -> None:  # fmt: skip
    cfg = plan.run
    spent = ledger.asked()
    before = sum(seconds for id, seconds in seconds_of(ledger).items() if id != ledger.session)
    budget_tracker = BudgetTracker(
        cfg.budget, folder, home(), tokens=spent["tokens"], calls=spent["calls"], seconds_before=before
    )
    about = ledger.about()
    for key, place in zip(("disk_free_at_start", "home_free_at_start"), budget_tracker.places, strict=False):
        if key not in about:
            about[key] = repr(shutil.disk_usage(place).free / 1e9)
            ledger.set_about(**{key: about[key]})
        budget_tracker.free_at_start[place] = float(about[key])
    ledger.spans = watch.spans
    generate_context = GenerateContext(engine, ledger, budget_tracker, asyncio.Event(), accept_changes=accept)
    run = Run(
        ledger=ledger, engine=engine, artefacts=store, generate_context=generate_context,
        budget_tracker=budget_tracker, screen=screen, watch=watch, stop=stop, folder=folder, seed=cfg.seed, base=base,
        tasks=tasks, tolerance=cfg.tolerance, measuring=Measuring(cfg.audit_with, judge), keep_going=cfg.keep_going,
        budgets=budgets(getattr(plan.settings, "exam", None), cfg.suites),
        brake=Brake(cfg.brake, replay=Mixed()), writes=WRITES, texts=texts_of(cfg),
        turns={int(r): n for r, n in json.loads(about.get("guard_turns", "{}")).items()},
    )  # fmt: skip
    with screen.shown(), stopping_on_ctrl_c(asyncio.get_running_loop(), generate_context, stop, screen):
        if not spent["calls"]:  # a new run; one that was stopped here is tested again
            _prepared(plan, tasks)
        else:
            for line in strangers(plan):
                screen.line(line)
        await asyncio.to_thread(same_tools, plan, ledger, accept)
        if not spent["calls"] or changed & {j.op_id for j in verifiers(plan)}:
            with run.watch.phase("check"):
                await put_to_the_test(
                    plan, run.tasks.train, run.screen.line, lambda r: ledger.set_about(stress=r.model_dump_json())
                )
        final = run.brake.stands_for(await plan.recipe.function(run, plan.settings))
        if run.evolved_at is None:
            run.evolved()
        await _seal(plan, run, final)
        if generate_context.replayed:
            screen.line(
                f"  {generate_context.replayed:,} model calls were answered from the journal, "
                f"{generate_context.asked:,} asked anew"
            )
    with contextlib.suppress(OSError):
        (folder / "scratch").rmdir()


def _prepared(plan: Plan, tasks: Sets) -> None:
    """Refuse a run with an operator that lacks something it needs, before a token is spent."""
    for missing in lacking(plan, {**{name: getattr(tasks, name) for name in SETS}, **tasks.suites}):
        raise missing
    for op in plan.ops():
        if isinstance(op, Replay):
            refuse_held_out(op, tasks.held_out())


async def _seal(plan: Plan, run: Run, final: Policy) -> None:
    """The sealed exam: scored once, at the end, for the base, the result and the controls."""
    exam = getattr(plan.settings, "exam", None)
    result: dict[str, Any] = {"final": final.id, "base": run.base.id, "evolution_seconds": run.evolved_at}
    result["controls"] = {name: p.id for name, p in run.controls.items()}
    if exam is not None:
        before = await run.evaluate(exam, run.base, run.tasks.sealed, suite=SEALED)
        after = before if final.id == run.base.id else await run.evaluate(exam, final, run.tasks.sealed, suite=SEALED)
        result["sealed"] = {**figures(before, after), "controls": {}}
        for name, policy in run.controls.items():
            other = await run.evaluate(exam, policy, run.tasks.sealed, suite=SEALED)
            result["sealed"]["controls"][name] = beside(other, after)
        if run.procedures:
            result["sealed"]["procedures"] = await procedures(run, exam, final, after)
        if run.tasks.suites:  # without any, a result is what it was before there were suites
            result["suites"] = await examined(run, exam, plan.run.suites, final)
    if run.texts is not None:
        result["text"] = await read_at_last(run, final)
    end(run.ledger, plan.recipe.name, result, run.reported)


def _base(plan: Plan, ledger: Ledger, store: Artefacts, screen: Screen) -> Policy:
    base = begun_with(
        plan.run.model, ledger=ledger, home=home(), artefacts=store, system=plan.run.system, say=screen.line
    )
    began = policies.begun_with(ledger, recorded_as(plan.run.model))
    return with_memory(with_shots(base, plan.run.shots), plan.run.memory, began)


def _judge(plan: Plan, ledger: Ledger, store: Artefacts, screen: Screen) -> Policy | None:
    """The policy of ``judge_model``, if there is one."""
    if plan.run.judge_model is None:
        return None
    return begun_with(plan.run.judge_model, ledger=ledger, home=home(), artefacts=store, system=None, say=screen.line)


def _ledger(folder: Path) -> Ledger:
    return open_ledger(folder / "ledger.db", "write")


@contextlib.contextmanager
def _clear_disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except WRITING as e:
        if is_full(e):
            raise full([folder, home()]) from e
        raise
